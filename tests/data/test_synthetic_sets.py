"""The generated sets: layouts the real readers accept, the same bytes each time, never over foreign files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from fmcvqa.data import filling
from fmcvqa.data.labels import LIVEVQC, TID2013, KoNViD1k
from fmcvqa.data.synthetic import SyntheticKoNViD1k, SyntheticLIVEVQC, SyntheticTID2013, videos
from fmcvqa.errors import ConfigError, DatasetError

TINY = {"size": (64, 96), "seed": 7}
DATABASE = "LIVE Video Quality Challenge (VQC) Database"


def tid2013(root: Path, **changes: object) -> SyntheticTID2013:
    return SyntheticTID2013(root, **{"references": 3, "distortions": (1, 8, 11), **TINY, **changes})


def konvid1k(root: Path, **changes: object) -> SyntheticKoNViD1k:
    return SyntheticKoNViD1k(root, **{"videos": 6, "seconds": 0.24, **TINY, **changes})


def livevqc(root: Path, **changes: object) -> SyntheticLIVEVQC:
    return SyntheticLIVEVQC(root, **{"videos": 8, "seconds": 0.2, **TINY, **changes})


SETS = [tid2013, konvid1k, livevqc]


def files(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("make", SETS)
def test_the_same_seed_gives_the_same_bytes(make, tmp_path, monkeypatch):
    make(tmp_path / "one").prepare()
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    make(tmp_path / "two").prepare()
    assert files(tmp_path / "one") == files(tmp_path / "two")


@pytest.mark.parametrize("make", SETS)
def test_another_seed_gives_other_pictures_and_scores(make, tmp_path):
    one, two = make(tmp_path / "one"), make(tmp_path / "two", seed=8)
    assert [label.mos for label in one.labels()] != [label.mos for label in two.labels()]
    shared = files(one.root).keys() & files(two.root).keys()
    same = [name for name in shared if files(one.root)[name] == files(two.root)[name]]
    assert same == []


@pytest.mark.parametrize("make", SETS)
def test_preparing_again_touches_nothing(make, tmp_path):
    made = make(tmp_path / "set")
    made.prepare()
    before = {path: path.stat().st_mtime_ns for path in made.root.rglob("*")}
    make(tmp_path / "set").records()
    assert {path: path.stat().st_mtime_ns for path in made.root.rglob("*")} == before


@pytest.mark.parametrize(("make", "count"), [(tid2013, 45), (konvid1k, 6), (livevqc, 8)])
def test_the_real_reader_finds_the_set_complete(make, count, tmp_path):
    made = make(tmp_path / "set")
    report = made.check()
    assert (
        report.render() == f"{made.name} in {made.root}: {count} of {count} labels, {count} with their file\n  complete"
    )
    records = made.records()
    assert [(record.id, record.mos) for record in records] == [(label.id, label.mos) for label in made.labels()]
    assert made.stand_in
    assert made.name.endswith(" (synthetic stand-in)")
    low, high = made.mos_range
    assert all(low <= record.mos <= high for record in records)
    assert np.ptp([record.mos for record in records]) > 0.15 * (high - low)


def test_mos_ranges_are_those_of_the_real_sets():
    assert SyntheticTID2013.mos_range == TID2013.mos_range == (0, 9)
    assert SyntheticKoNViD1k.mos_range == KoNViD1k.mos_range == (1, 5)
    assert SyntheticLIVEVQC.mos_range == LIVEVQC.mos_range == (0, 100)


def test_tid2013_layout(tmp_path):
    made = tid2013(tmp_path / "tid2013")
    records = made.records()
    root = made.root
    assert sorted(path.name for path in root.iterdir()) == [
        "distorted_images",
        "mos.txt",
        "mos_std.txt",
        "mos_with_names.txt",
        "reference_images",
        "synthetic.json",
    ]
    assert sorted(path.name for path in (root / "reference_images").iterdir()) == ["I01.BMP", "I02.BMP", "i03.bmp"]
    rows = [line.split(" ") for line in (root / "mos_with_names.txt").read_text().splitlines()]
    assert [name for _, name in rows[:6]] == [
        "I01_01_1.bmp",
        "i01_01_2.bmp",
        "i01_01_3.bmp",
        "i01_01_4.bmp",
        "i01_01_5.bmp",
        "i01_08_1.bmp",
    ]
    assert [name for _, name in rows if name.endswith(".BMP")] == ["I01_11_1.BMP", "I02_11_1.BMP", "I03_11_1.BMP"]
    on_disk = {path.name for path in (root / "distorted_images").iterdir()}
    assert {"I01_01_1.bmp", "i01_08_1.bmp", "i01_11_1.bmp"} < on_disk
    assert (root / "mos.txt").read_text().split() == [mos for mos, _ in rows]
    assert len((root / "mos_std.txt").read_text().split()) == 45
    assert {record.reference for record in records} == {"I01", "I02", "I03"}
    with Image.open(records[0].path) as image:
        assert (image.format, image.mode, image.size) == ("BMP", "RGB", (96, 64))
    by_level = {record.id: record.mos for record in records}
    assert by_level["i01_08_1"] > by_level["i01_08_3"] > by_level["i01_08_5"]


def test_konvid1k_layout(tmp_path):
    made = konvid1k(tmp_path / "konvid1k")
    records = made.records()
    assert sorted(path.name for path in made.root.iterdir()) == [
        "KoNViD_1k_metadata",
        "KoNViD_1k_videos",
        "synthetic.json",
    ]
    lines = (made.root / "KoNViD_1k_metadata/KoNViD_1k_mos.csv").read_text().splitlines()
    assert lines[0] == '"flickr_id","mos"'
    assert all(line.count('"') == 4 for line in lines)
    scores = [float(line.split('"')[3]) for line in lines[1:]]
    assert scores == sorted(scores, reverse=True)
    assert all(int(record.id) > 2**31 for record in records)
    for record in records:
        with av.open(str(record.path)) as container:
            stream = container.streams.video[0]
            shown = list(container.decode(video=0))
            assert (stream.codec_context.name, stream.average_rate, len(shown)) == ("h264", 25, 6)
            assert (shown[0].width, shown[0].height, shown[0].format.name) == (96, 64, "yuv420p")


def test_livevqc_layout(tmp_path):
    made = livevqc(tmp_path / "livevqc")
    records = made.records()
    names = sorted(path.name for path in (made.root / DATABASE / "Video").iterdir())
    assert names == ["A001.mp4", "A012NEW.mp4", "B001.mp4", "B002.mp4", "B003.mp4", "F001.mp4", "G001.mp4", "G002.mp4"]
    content = loadmat(made.root / DATABASE / "data.mat")
    assert content["video_list"].shape == content["mos"].shape == (8, 1)
    assert content["video_list"][1, 0].item() == "A012.mp4"
    sizes = {}
    for record in records:
        with av.open(str(record.path)) as container:
            sizes[record.id[0]] = (container.streams.video[0].height, container.streams.video[0].width)
    assert sizes == {"A": (76, 116), "B": (64, 96), "F": (64, 72), "G": (102, 48)}


@pytest.mark.parametrize("make", [konvid1k, livevqc])
def test_a_broken_off_generation_is_finished_by_the_next(make, tmp_path, monkeypatch):
    make(tmp_path / "whole").prepare()
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    made, calls, encode = make(tmp_path / "broken"), [], videos.encode

    def breaking(*args: object) -> bytes:
        calls.append(args)
        if len(calls) == 4:
            raise RuntimeError("the power went")
        return encode(*args)

    monkeypatch.setattr(videos, "encode", breaking)
    with pytest.raises(RuntimeError, match="the power went"):
        made.prepare()
    assert not (made.root / "synthetic.json").exists()
    # One more clip may have been begun before the rest was called off.
    there = len(list(made.root.rglob("*.mp4")))
    assert 3 <= there <= 4
    calls[:] = [()] * 10
    made.prepare()
    assert len(calls) - 10 == made.videos - there
    assert files(made.root) == files(tmp_path / "whole")


def test_a_killed_generation_is_finished_by_the_next(tmp_path):
    konvid1k(tmp_path / "whole").prepare()
    script = (
        "import os, sys\n"
        "from fmcvqa.data import filling\nfrom fmcvqa.data.synthetic import SyntheticKoNViD1k\n"
        "count, replace = [0], filling.Path.replace\n"
        "def dying(self, target):\n"
        "    count[0] += 1\n"
        "    if count[0] == 4: os._exit(9)\n"
        "    return replace(self, target)\n"
        "filling.Path.replace = dying\n"
        "SyntheticKoNViD1k(sys.argv[1], videos=6, seconds=0.24, size=(64, 96), seed=7).prepare()\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "killed")], check=False, capture_output=True)
    assert killed.returncode == 9, killed.stderr
    made = konvid1k(tmp_path / "killed")
    assert sorted(path.name for path in made.root.iterdir()) == [".partial", "KoNViD_1k_metadata", "KoNViD_1k_videos"]
    assert made.check().ok
    assert files(made.root) == files(tmp_path / "whole")


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path):
    for name in ("a.mp4", "b.mp4", "c.mp4", "thesis.tex"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(DatasetError) as error:
        konvid1k(tmp_path).prepare()
    assert str(error.value) == (
        f"KoNViD-1k (synthetic stand-in) cannot be made in {tmp_path}: the folder holds other things. "
        "Found: a.mp4, b.mp4, c.mp4 and 1 more. Try: a new or an empty folder; nothing was changed"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4", "c.mp4", "thesis.tex"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "set").write_text("mine")
    with pytest.raises(DatasetError) as error:
        livevqc(tmp_path / "set").prepare()
    assert str(error.value) == (
        f"LIVE-VQC (synthetic stand-in) cannot be made in {tmp_path / 'set'}. Found: a file. "
        "Try: a new or an empty folder"
    )


def test_other_settings_are_refused_by_name(tmp_path):
    konvid1k(tmp_path / "set").prepare()
    before = files(tmp_path / "set")
    with pytest.raises(DatasetError) as error:
        konvid1k(tmp_path / "set", videos=9, seed=1).labels()
    assert str(error.value) == (
        f"{tmp_path / 'set'} holds a KoNViD-1k (synthetic stand-in) made with other settings than seed=1, videos=9. "
        "Found: seed=7, videos=6. Try: another folder, these settings, or deleting the folder"
    )
    with pytest.raises(DatasetError) as error:
        livevqc(tmp_path / "set").labels()
    assert str(error.value) == (
        f"{tmp_path / 'set'} holds another set than LIVE-VQC (synthetic stand-in). "
        "Found: KoNViD-1k (synthetic stand-in). Try: another folder"
    )
    assert files(tmp_path / "set") == before


def test_an_unfinished_set_of_other_settings_is_refused(tmp_path, monkeypatch):
    def nothing(*args: object) -> bytes:
        raise RuntimeError("stop")

    monkeypatch.setattr(videos, "encode", nothing)
    with pytest.raises(RuntimeError, match="stop"):
        konvid1k(tmp_path / "set").prepare()
    with pytest.raises(DatasetError, match="made with other settings than seed=1"):
        konvid1k(tmp_path / "set", seed=1).prepare()


def test_a_damaged_manifest_is_named(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/synthetic.json").write_text("{")
    with pytest.raises(DatasetError) as error:
        konvid1k(tmp_path / "set").prepare()
    assert str(error.value) == (
        f"{tmp_path / 'set/synthetic.json'} is damaged. Try: deleting {tmp_path / 'set'}; it will be made again"
    )


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(filling, "_write", full)
    with pytest.raises(DatasetError) as error:
        konvid1k(tmp_path / "set").prepare()
    assert str(error.value) == (
        f"KoNViD-1k (synthetic stand-in) cannot be made in {tmp_path / 'set'}: No space left on device. "
        "Try: a folder that may be written and has room"
    )


def test_the_manifest_says_what_the_set_is(tmp_path):
    konvid1k(tmp_path / "set").prepare()
    assert json.loads((tmp_path / "set/synthetic.json").read_text()) == {
        "name": "KoNViD-1k (synthetic stand-in)",
        "note": "Generated pictures and invented scores: a stand-in, not the dataset whose layout it has.",
        "settings": {"version": 3, "seed": 7, "size": [64, 96], "videos": 6, "seconds": 0.24, "fps": 25},
    }


def test_a_clip_taken_away_is_reported_by_the_real_reader(tmp_path):
    made = konvid1k(tmp_path / "set")
    gone = made.records()[0]
    gone.path.unlink()
    assert made.check().missing == (gone.id,)
    shutil.rmtree(made.root)
    assert made.check().ok


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (tid2013, {"references": 26}, "references=26 cannot be. Try: a whole number from 1 to 25"),
        (tid2013, {"distortions": ()}, "distortions is empty. Try: at least one number, such as 8 (Gaussian blur)"),
        (konvid1k, {"videos": 0}, "videos=0 cannot be. Try: a whole number from 1 to 999"),
        (konvid1k, {"seed": -1}, "seed=-1 cannot be. Try: a whole number from 0 to 4294967295"),
        (konvid1k, {"seconds": 0.1}, "seconds=0.1 at fps=25 is a clip of 2 frames. Try: 4 to 1000 frames"),
        (
            livevqc,
            {"size": (65, 96)},
            "size=[65, 96] cannot be. Try: height and width, even numbers from 48 to 2160",
        ),
    ],
)
def test_settings_that_cannot_be_are_named(make, changes, message, tmp_path):
    with pytest.raises(ConfigError) as error:
        make(tmp_path / "set", **changes)
    assert str(error.value) == message
    assert not (tmp_path / "set").exists()


def test_an_unknown_distortion_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"^no distortion has the number 25, 30\. Found: 1 additive Gaussian noise"):
        tid2013(tmp_path / "set", distortions=(1, 25, 30))
