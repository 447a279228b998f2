"""Many videos, long videos, and what the same bytes give (FAULTS, "Load")."""

from __future__ import annotations

from pathlib import Path

import pytest
from load import long_clip, peaks, run_many


def test_a_hundred_videos_of_which_some_are_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ok, failed, skipped = run_many(tmp_path, 100, monkeypatch)
    assert ok + len(failed) + skipped == 100
    assert len(failed) == 2
    assert skipped == 10
    assert {row["id"].split("_")[1]: row["code"] for row in failed} == {"dies": "E_DECODER_CRASH", "cut": "E_TRUNCATED"}
    for row in failed:
        assert row.keys() == {"id", "path", "code", "stage", "seconds", "error"}
        assert row["stage"] == ("decode" if row["code"] == "E_DECODER_CRASH" else "open")
        assert 0 <= row["seconds"] < 60


def test_a_long_clip_takes_the_memory_of_a_short_one(tmp_path: Path) -> None:
    short, long = (peaks(long_clip(tmp_path / f"{seconds}.mp4", seconds)) for seconds in (5, 60))
    assert (short["frames"], long["frames"]) == (125, 1500)
    assert long["child"] <= 1.05 * short["child"]
    assert long["parent"] <= 1.05 * short["parent"]
