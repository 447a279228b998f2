"""``fmcvqa degrade``: an ordinal set that ``data=csv`` reads, with its sources as groups."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from tiny import clip, run

from fmcvqa.data.decoding.pyav import PyAVDecoder
from fmcvqa.data.labels import CSVVideos
from fmcvqa.regression.protocols import Nested, Paper
from fmcvqa.regression.splits import read_groups

Capture = pytest.CaptureFixture[str]
TYPES = ["--types", "h264,freeze,mixture_rising", "--height", "64", "--frames", "12"]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    (folder / "more").mkdir(parents=True)
    for seed, name in enumerate(("beach.mp4", "a tic.mp4", "more/beach.mp4")):
        clip(folder / name, 13, seed=seed)
    return folder


def made(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "videos").iterdir()}


def test_a_set_is_ordered_within_its_sources_and_read_as_csv(clips: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "set"
    code, said, _ = run(capsys, "degrade", str(clips), str(out), *TYPES)
    assert (code, said) == (
        0,
        f"48 videos of 3 sources (3 types x 5 strengths, and the source) in {out}\n"
        "labels.csv: an order within source and type, no MOS: nobody has rated these videos\n",
    )
    rows = list(csv.DictReader((out / "labels.csv").open()))
    assert rows[5] == {
        "path": "videos/a-tic_h264_5.mp4",
        "id": "a-tic_h264_5",
        "mos": "0",
        "group": "a-tic",
        "type": "h264",
        "strength": "5",
        "how": "47 qp",
        "meaning": "order within group and type only; not a MOS",
    }
    for group in {row["group"] for row in rows}:
        for kind in ("h264", "freeze", "mixture_rising"):
            assert [r["mos"] for r in rows if (r["group"], r["type"]) == (group, kind)] == ["4", "3", "2", "1", "0"]
    records = CSVVideos(out / "labels.csv").records()
    assert [record.id for record in records] == [row["id"] for row in rows]
    shapes = [frame.shape for _, frame in PyAVDecoder().frames(records[0].path)]
    assert shapes == [(64, 86, 3)] * 12
    manifest = json.loads((out / "degraded.json").read_text())
    assert "Nobody rated these videos" in manifest["note"]
    assert len(manifest["settings"]["sources"]) == 3


def test_no_source_is_on_both_sides_of_a_split(clips: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "set"
    assert run(capsys, "degrade", str(clips), str(out), "--types", "h264", "--frames", "12")[0] == 0
    labels = out / "labels.csv"
    ids = [record.id for record in CSVVideos(labels).records()]
    groups = read_groups(labels, ids)
    assert len(set(groups)) == 3
    for protocol in (Paper(groups_file=labels, folds=3), Nested(groups_file=labels, folds=3, repeats=2, inner_folds=2)):
        for index, split in enumerate(protocol.splits(ids)):
            assert not set(groups[split.train]) & set(groups[split.test])
            search = protocol.search(split, index, groups)
            for inner in () if search is None else search.inner:
                assert not set(groups[inner.train]) & set(groups[inner.test])


def test_content_seed_and_type_decide_every_byte(clips: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ["--types", "noise,h264", "--frames", "12"]
    for name, seed in (("one", "3"), ("two", "3"), ("three", "4")):
        assert run(capsys, "degrade", str(clips / "a tic.mp4"), str(tmp_path / name), *words, "--seed", seed)[0] == 0
    (clips / "a tic.mp4").rename(clips / "zoo.mp4")
    assert run(capsys, "degrade", str(clips / "zoo.mp4"), str(tmp_path / "four"), *words, "--seed", "3")[0] == 0
    one, two, three, four = (made(tmp_path / name) for name in ("one", "two", "three", "four"))
    assert one == two
    assert one["a-tic_noise_3.mp4"] != three["a-tic_noise_3.mp4"]
    assert one["a-tic_h264_3.mp4"] == three["a-tic_h264_3.mp4"]
    assert one["a-tic_noise_3.mp4"] == four["zoo_noise_3.mp4"]


def test_an_interrupted_set_is_finished_and_others_are_refused(clips: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "set"
    words = ["degrade", str(clips / "beach.mp4"), str(out), *TYPES]
    assert run(capsys, *words)[0] == 0
    kept, lost = out / "videos/beach_h264_1.mp4", out / "videos/beach_freeze_5.mp4"
    before, stamp = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    (out / ".partial").mkdir()
    (out / "degraded.json").rename(out / ".partial/settings.json")  # as a killed run leaves it
    assert run(capsys, *words)[0] == 0
    assert (lost.read_bytes(), kept.stat().st_mtime_ns) == (before, stamp)
    code, _, err = run(capsys, *words, "--seed", "1")
    assert (code, err) == (
        4,
        f"error: {out} holds a degraded set made with other settings than seed=1. Found: seed=0. "
        "Try: another folder, these settings, or deleting the folder\n",
    )


def test_what_cannot_be_is_one_line(clips: Path, tmp_path: Path, capsys: Capture) -> None:
    def refused(*words: str, source: Path = clips) -> tuple[int, str]:
        code, said, err = run(capsys, "degrade", str(source), str(tmp_path / "set"), *words)
        assert said == ""
        assert not (tmp_path / "set/degraded.json").exists()
        return code, err.splitlines()[-1]

    code, line = refused("--types", "blurr")
    assert code == 2
    assert line.startswith("error: there is no degradation 'blurr'. Found: h264, hevc, vp9, av1, scaling, blur, noise,")
    assert refused("--height", "63") == (2, "error: --height 63 cannot be. Try: an even number of pixels from 64")
    assert refused("--frames", "0") == (2, "error: --frames 0 cannot be. Try: a number from 12")
    assert refused("--frames", "5") == (
        4,
        f"error: '{clips / 'a tic.mp4'}' cannot be a source with 5 frames of 128x96. "
        "Found: at least 12 frames of 64x64 are needed. Try: a longer or larger clip, or a larger --frames or --height",
    )
    (clips / "copy.mp4").write_bytes((clips / "beach.mp4").read_bytes())
    assert refused() == (
        4,
        f"error: '{clips / 'beach.mp4'}' and '{clips / 'copy.mp4'}' are the same clip. Try: naming it once",
    )
    code, line = refused(source=tmp_path / "none.mp4")
    assert code == 3
    assert line.startswith("error: E_NOT_FOUND: ")


def test_help_has_an_example(capsys: Capture) -> None:
    code, out, _ = run(capsys, "degrade", "--help")
    assert code == 0
    assert "fmcvqa degrade ~/clips outputs/degraded\n" in out
    assert "They are no MOS" in out
