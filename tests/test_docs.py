"""The hand-written pages build without a warning; the reference, which takes longer, is in tests/release."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_pages_build_without_a_warning(tmp_path: Path) -> None:
    strict = ["--quiet", "--fail-on-warning", "--keep-going"]
    command = [sys.executable, "-m", "sphinx", *strict, "--tag", "pages", "--builder", "html", "docs", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (built.returncode, built.stderr) == (0, "")
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"reference"}
    assert {path.stem for path in tmp_path.glob("*.html")} >= pages
