"""The tests that docs/faults.md marks P, one a line: ``python -m pytest -n 2 $(python tests/promises.py)``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "faults.md"
TEST = re.compile(r"\b(P, R|[PR]):? (?=`tests/)|`(tests/[\w/]+\.py(?:::\w+)?)`")


def promised(page: str) -> list[str]:
    """Names behind a ``P`` or ``P, R`` in the rows of the tables, each once and in their order."""
    names: dict[str, None] = {}
    for row in page.splitlines():
        kind = ""
        for mark, name in TEST.findall(row) if row.startswith("|") else []:
            kind = mark or kind
            if name and kind != "R":
                names[name] = None
    return list(names)


if __name__ == "__main__":
    sys.stdout.write("\n".join(promised(PAGE.read_text())) + "\n")
