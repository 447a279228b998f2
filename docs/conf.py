"""How Sphinx builds the site from these pages and the docstrings: `make docs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

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
]
exclude_patterns = ["reference/modules.rst"]
html_theme = "furo"
html_math_renderer = "mathml"
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


def _formula(writer: Any, node: nodes.math | nodes.math_block) -> NoReturn:
    writer.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Formulas as MathML, which browsers draw themselves: Sphinx's own way loads a script from the network."""
    app.add_html_math_renderer("mathml", (_formula, None), (_formula, None))
