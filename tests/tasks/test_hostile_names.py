"""Outputs stay where they belong, whatever the videos are called."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tiny import clip, network, places, run

NAMES = ["two words", "%d", "'a' \"b\"", "$(touch x)", "-i", "emoji \U0001f3ac", "star*", "..", "a\\b", "colon:"]


def test_features_of_oddly_named_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in" / "deep" / "set"
    folder.mkdir(parents=True)
    seed = clip(tmp_path / "seed.mp4", 2).read_bytes()
    for name in NAMES:
        (folder / f"{name}.mp4").write_bytes(seed)
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "mos"), *((f"{name}.mp4", 3) for name in NAMES)])
    before = set(tmp_path.rglob("*"))
    words = ["data=csv", f"data.labels={folder / 'labels.csv'}", *network(), *places(tmp_path / "out")]
    code, _, err = run(capsys, "extract", *words)
    assert code == 0, err
    made = set(tmp_path.rglob("*")) - before - {tmp_path / "out"}
    assert all(tmp_path / "out" in path.parents for path in made)
    assert sum(path.suffix == ".safetensors" for path in made) == len(NAMES)
    assert not Path("x").exists()
