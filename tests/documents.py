"""The fenced blocks of README.md and docs/*.md that a reader would run."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^(?P<mark><!--[^\n]*-->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str
    text: str
    composed: bool

    @property
    def commands(self) -> list[list[str]]:
        """Its command lines, split as a shell would, without comments."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def _is_composed(match: re.Match[str]) -> bool:
    marked = (match["mark"] or "").startswith("<!-- composed")
    return marked or re.search(r"""[\s='"]/data/""", match["text"]) is not None


def blocks(page: str) -> list[Block]:
    found = BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))
    return [Block(m["language"], m["text"], _is_composed(m)) for m in found if m["language"] in ("sh", "python")]
