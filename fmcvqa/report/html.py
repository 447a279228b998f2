"""One HTML file that needs nothing else: template, style, script and data in it, and a policy that says so."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

TEMPLATES = "templates"


def render(template: str, *, scripts: tuple[str, ...], media: str = "'none'", **context: Any) -> bytes:
    """A page as UTF-8; every text in ``context`` is escaped by the template.

    Args:
        template: Name of a file in ``templates``.
        scripts: Names of the scripts it runs, in this order.
        media: Where its policy lets video come from.
        context: What the template shows.
    """
    style, script = _asset("page.css"), "\n".join(_asset(name) for name in scripts)
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        f"media-src {media}; base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template(template)
    text = page.render(policy=policy, style=style, script=script, **context)
    return text.encode("utf-8", errors="backslashreplace")  # a file name may hold bytes that are no text


def _asset(name: str) -> str:
    text = files(__package__).joinpath(TEMPLATES, name).read_text(encoding="utf-8")
    return text.strip() + "\n"


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


@cache
def _environment() -> Environment:
    loader = PackageLoader("fmcvqa.report", TEMPLATES)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
