"""Another project trains on our frames: in this checkout here, from the wheel in the release tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tiny import clip

import fmcvqa

SCRIPT = Path(__file__).parent / "borrower" / "src" / "borrower" / "train.py"
_START = "class Brightness(LightningModule):"


def check(said: str) -> dict[str, object]:
    """What the borrower said: it has learnt, it has features, and nothing it has no use for was imported."""
    out: dict[str, object] = json.loads(said.splitlines()[-1])
    for name in ("frames", "images"):
        first, last = out[name]  # type: ignore[misc]
        assert last < first / 2, name
    assert out["features"] == {"features.4/mean": [8256], "features.4/max": [8256]}  # 128 channels
    assert out["imported"] == []
    return out


def test_another_project_trains_on_our_frames(tmp_path: Path) -> None:
    clips = [clip(tmp_path / f"{k}.mp4", 6, seed=k) for k in range(2)]
    environment = {**os.environ, "PYTHONPATH": str(Path(fmcvqa.__file__).parents[1])}
    command = [sys.executable, str(SCRIPT), str(tmp_path / "tid2013"), *map(str, clips)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert check(ended.stdout)["from"] == fmcvqa.__file__


def test_its_own_part_is_short() -> None:
    text = SCRIPT.read_text()
    own = [line for line in text[text.index(_START) : text.index("def main")].splitlines() if line.strip()]
    assert len(own) <= 15
