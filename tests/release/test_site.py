"""The whole site, the reference from every docstring included; ``make docs`` builds the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.release

ROOT = Path(__file__).resolve().parents[2]


def test_pages_and_reference_build_without_a_warning(tmp_path: Path) -> None:
    strict = ["--quiet", "--fail-on-warning", "--keep-going"]
    command = [sys.executable, "-m", "sphinx", *strict, "--builder", "html", "docs", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (built.returncode, built.stderr) == (0, "")
    predictor = (tmp_path / "reference" / "fmcvqa.html").read_text()
    assert 'id="fmcvqa.predictor.VideoQualityModel.predict_many"' in predictor
    for page in tmp_path.rglob("*.html"):
        assert 'src="http' not in page.read_text(), f"{page.name} loads something from the network"
