"""Files of a finished run's videos, found by its configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fmcvqa.data.synthetic import SyntheticKoNViD1k, SyntheticLIVEVQC
from fmcvqa.tasks.videos import find_videos


@dataclass
class Result:
    config: dict[str, Any]
    target: Any = field(default=None)


def made(root: Path) -> dict[str, Any]:
    return {"root": str(root), "videos": 4, "seconds": 0.16, "size": [64, 96], "fps": 25, "seed": 0}


def test_of_sets_in_real_layouts_and_made_ones(tmp_path: Path) -> None:
    konvid, live = made(tmp_path / "k"), made(tmp_path / "l")
    expected = {record.id: record.path for record in SyntheticKoNViD1k(**konvid).records()}
    assert len(expected) == 4
    for target in ("fmcvqa.data.synthetic.SyntheticKoNViD1k", "fmcvqa.data.labels.KoNViD1k"):
        assert find_videos(Result({"data": {"_target_": target, **konvid}})) == expected
    other = {record.id: record.path for record in SyntheticLIVEVQC(**live).records()}
    both = {"data": {"_target_": "?"}, "target": {"_target_": "fmcvqa.data.labels.LIVEVQC", "root": live["root"]}}
    assert find_videos(Result(both, target=object())) == other


def test_of_a_csv(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"-")
    (tmp_path / "my.csv").write_text("path,mos\na.mp4,1\ngone.mp4,2\n")
    config = {"_target_": "fmcvqa.data.labels.CSVVideos", "labels": str(tmp_path / "my.csv"), "id_column": None}
    assert find_videos(Result({"data": config})) == {"a": tmp_path / "a.mp4"}


@pytest.mark.parametrize(
    "target", ["fmcvqa.data.synthetic.SyntheticKoNViD1k", "os.system", "fmcvqa.data.labels.KoNViD1k"]
)
def test_nothing_is_made_and_nothing_foreign_runs(tmp_path: Path, target: str) -> None:
    root = tmp_path / "new"
    assert find_videos(Result({"data": {"_target_": target, **made(root), "command": f"touch {root}"}})) == {}
    assert find_videos(Result({"data": "text"})) == {} and find_videos(Result({})) == {}
    assert not root.exists()
