"""Ten thousand videos, and an hour of 4K (R)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from load import CODES, long_clip, peaks, run_many

pytestmark = pytest.mark.faults


def test_ten_thousand_videos_of_which_some_are_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str], None]
) -> None:
    ok, failed, skipped = run_many(tmp_path, 10_000, monkeypatch)
    codes = Counter(row["code"] for row in failed)
    figure(f"{ok} read + {len(failed)} failed {dict(codes)} + {skipped} skipped of 10000")
    assert ok + len(failed) + skipped == 10_000
    assert len(failed) == 200
    assert {row["id"].split("_")[1]: row["code"] for row in failed} == CODES


def test_an_hour_of_4k_takes_the_memory_of_ten_seconds(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """Two frames a second, all of them used: the short clip's 20 fill every buffer as the hour's 7200 do."""
    size = {"size": (3840, 2160), "rate": 2}
    short, long = (peaks(long_clip(tmp_path / f"{seconds}.mp4", seconds, **size)) for seconds in (10, 3600))
    assert (short["frames"], long["frames"]) == (20, 7200)
    ratio = max(long[where] / short[where] for where in ("parent", "child"))
    figure(f"peak memory of an hour over ten seconds {ratio:.3f}; child {long['child'] // 1024} MiB")
    assert ratio <= 1.05
