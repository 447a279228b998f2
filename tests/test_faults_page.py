"""docs/faults.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from fmcvqa.errors import VIDEO_CODES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "faults.md").read_text()


def test_every_code_is_in_the_table() -> None:
    assert dict(re.findall(r"^\| `(E_\w+)` \| (.+) \|$", PAGE, re.MULTILINE)) == VIDEO_CODES


def test_every_test_named_there_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    for path, function in named:
        assert (ROOT / path).is_file(), path
        assert not function or f"def {function}(" in (ROOT / path).read_text(), function
