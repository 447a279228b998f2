"""How Sphinx builds the site from these pages and the docstrings: `make docs`."""

from __future__ import annotations

from pathlib import Path

from fmcvqa import __version__

PACKAGE = Path(__file__).resolve().parents[1] / "fmcvqa"

project = "fmcvqa"
author = "the fmcvqa authors"
release = __version__
language = "en"

extensions = [
    "myst_parser",  # pages are Markdown, formulas between dollars
    "sphinx.ext.apidoc",  # one reference page per package, made anew by every build
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # docstrings are in Google's style
    "sphinx.ext.mathjax",
]
exclude_patterns = ["reference/modules.rst"]
html_theme = "furo"
html_title = f"fmcvqa {release}"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

apidoc_modules = [
    {
        "path": str(PACKAGE),
        "destination": "reference",
        "module_first": True,
        "exclude_patterns": [str(PACKAGE / "tasks"), str(PACKAGE / "cli.py")],  # a command's reference is its --help
        "automodule_options": {"members", "show-inheritance", "ignore-module-all"},  # each name at its home only
    }
]
default_role = "py:obj"  # `name` in a docstring links where it can and is code where it cannot
autodoc_member_order = "bysource"
napoleon_use_ivar = True
napoleon_numpy_docstring = False

if tags.has("pages"):  # type: ignore[name-defined]  # noqa: F821  # Sphinx defines it; without the reference: seconds
    apidoc_modules = []
    exclude_patterns += ["reference.md", "reference"]
