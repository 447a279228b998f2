"""``fmcvqa distort``: TID2013's layout from photographs, labels only where somebody gave them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import run

from fmcvqa.data.distortions import psnr
from fmcvqa.data.labels import TID2013
from fmcvqa.data.synthetic.scenes import Scene

Capture = pytest.CaptureFixture[str]
TYPES = ["--types", "1,8,16", "--size", "96x64"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, name in enumerate(("beach.png", "Attic.jpg", "cat.PNG")):
        Image.fromarray(Scene((seed,), (96, 128)).frame()).save(folder / name)
    (folder / "notes.txt").write_text("no photograph")
    return folder


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def labels(path: Path, references: int, numbers: tuple[int, ...] = (1, 8, 16)) -> Path:
    names = [
        f"i{r:02d}_{n:02d}_{level}.bmp" for r in range(1, references + 1) for n in numbers for level in range(1, 6)
    ]
    path.write_text("".join(f"{9 * k / len(names):.5f} {name}\n" for k, name in enumerate(names)))
    return path


def test_a_set_without_labels_has_everything_but_labels(photos: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "set"
    code, said, _ = run(capsys, "distort", str(photos), str(out), *TYPES)
    assert (code, said) == (
        0,
        f"45 images of 3 photographs (3 types x 5 levels) in {out}; distortions.csv has the PSNR of each\n"
        "no labels: nobody has rated these images, so there is no mos_with_names.txt; --labels FILE adds it\n",
    )
    names = sorted(p.name for p in out.iterdir())
    assert names == ["distorted.json", "distorted_images", "distortions.csv", "photos.csv", "reference_images"]
    assert (out / "photos.csv").read_text() == "reference,photo\nI01,Attic.jpg\nI02,beach.png\nI03,cat.PNG\n"
    assert sorted(p.name for p in (out / "reference_images").iterdir()) == ["I01.bmp", "I02.bmp", "I03.bmp"]
    beach = pixels(photos / "beach.png")[16:80, 16:112]  # the centre
    assert np.array_equal(pixels(out / "reference_images/I02.bmp"), beach)
    rows = list(csv.DictReader((out / "distortions.csv").open()))
    assert len(rows) == 45
    row = next(row for row in rows if row["name"] == "i02_01_3.bmp")
    found = psnr(beach, pixels(out / "distorted_images/i02_01_3.bmp"))
    assert row == {
        "name": "i02_01_3.bmp",
        "reference": "I02",
        "number": "1",
        "distortion": "additive Gaussian noise",
        "level": "3",
        "nominal_psnr": "27",
        "psnr": f"{found:.3f}",
    }
    assert found == pytest.approx(27, abs=0.06)
    assert next(row for row in rows if row["number"] == "16")["nominal_psnr"] == ""


def test_a_set_with_labels_is_read_as_tid2013(photos: Path, tmp_path: Path, capsys: Capture) -> None:
    given = labels(tmp_path / "scores.txt", references=4)  # one reference more than there are photographs
    out = tmp_path / "set"
    code, said, _ = run(capsys, "distort", str(photos), str(out), *TYPES, "--labels", str(given))
    assert (code, said.splitlines()[1]) == (
        0,
        f"mos_with_names.txt: 45 labels from {given}; 15 labels of other images left out",
    )
    records = TID2013(out, expected=45).records()
    assert {record.reference for record in records} == {"I01", "I02", "I03"}
    assert records[7].id == "i01_08_3"
    assert records[7].mos == pytest.approx(9 * 7 / 60, abs=1e-5)


def test_seed_and_name_decide_every_byte(photos: Path, tmp_path: Path, capsys: Capture) -> None:
    for name, seed in (("one", "3"), ("two", "3"), ("three", "4")):
        assert run(capsys, "distort", str(photos), str(tmp_path / name), *TYPES, "--seed", seed)[0] == 0
    (photos / "beach.png").rename(photos / "zoo.png")
    assert run(capsys, "distort", str(photos), str(tmp_path / "renamed"), *TYPES, "--seed", "3")[0] == 0
    first = {p.name: p.read_bytes() for p in (tmp_path / "one/distorted_images").iterdir()}
    for other, noise_differs in (("two", False), ("three", True)):
        again = {p.name: p.read_bytes() for p in (tmp_path / other / "distorted_images").iterdir()}
        assert (first["i01_01_1.bmp"] != again["i01_01_1.bmp"]) == noise_differs
        assert first["i01_08_1.bmp"] == again["i01_08_1.bmp"]  # blur has no chance in it
    # Its number changed from 2 to 3, and cat's from 3 to 2: the noise of cat went with its name.
    renamed = tmp_path / "renamed/distorted_images"
    assert (renamed / "i02_01_1.bmp").read_bytes() == first["i03_01_1.bmp"]
    assert (renamed / "i03_01_1.bmp").read_bytes() != first["i02_01_1.bmp"]


def test_an_interrupted_set_is_finished_and_a_finished_one_left(photos: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ["distort", str(photos), str(tmp_path / "set"), *TYPES]
    assert run(capsys, *words)[0] == 0
    image = tmp_path / "set/distorted_images/i01_01_1.bmp"
    before, stamp = image.read_bytes(), image.stat().st_mtime_ns
    assert run(capsys, *words)[0] == 0
    assert image.stat().st_mtime_ns == stamp
    code, _, err = run(capsys, *words, "--seed", "1")
    assert code == 4
    assert err == (
        f"error: {tmp_path / 'set'} holds a distorted set made with other settings than seed=1. Found: seed=0. "
        "Try: another folder, these settings, or deleting the folder\n"
    )
    assert image.read_bytes() == before


def test_offsets_reduction_and_whole_photographs(photos: Path, tmp_path: Path, capsys: Capture) -> None:
    offsets = tmp_path / "offsets.csv"
    offsets.write_text("photo,top,left\nbeach,5,7\n")
    words = ["--types", "16", "--size", "96x64"]
    assert run(capsys, "distort", str(photos), str(tmp_path / "a"), *words, "--offsets", str(offsets))[0] == 0
    source = pixels(photos / "beach.png")
    assert np.array_equal(pixels(tmp_path / "a/reference_images/I02.bmp"), source[5:69, 7:103])
    assert run(capsys, "distort", str(photos), str(tmp_path / "b"), *words, "--reduce")[0] == 0
    small = np.asarray(Image.fromarray(source).resize((96, 72), Image.Resampling.LANCZOS))
    assert np.array_equal(pixels(tmp_path / "b/reference_images/I02.bmp"), small[4:68])
    assert run(capsys, "distort", str(photos), str(tmp_path / "c"), "--types", "16", "--size", "whole")[0] == 0
    assert np.array_equal(pixels(tmp_path / "c/reference_images/I02.bmp"), source)


def test_what_cannot_be_is_one_line(photos: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "set"

    def refused(*words: str, folder: Path = photos) -> tuple[int, str]:
        code, said, err = run(capsys, "distort", str(folder), str(out), *words)
        assert said == ""
        assert not (out / "distorted.json").exists()
        return code, err.splitlines()[-1]

    assert refused(folder=tmp_path / "none") == (
        4,
        f"error: {tmp_path / 'none'} is not a folder. Try: the folder of the photographs",
    )
    (tmp_path / "empty").mkdir()
    assert refused(folder=tmp_path / "empty") == (
        4,
        f"error: there are no photographs in {tmp_path / 'empty'}. "
        "Try: files ending in .bmp, .jpeg, .jpg, .png, .ppm, .tif, .tiff, .webp",
    )
    assert refused("--types", "1,x") == (
        2,
        "error: --types 1,x cannot be. Try: numbers from 1 to 24 with commas between, or all",
    )
    assert refused("--types", "30")[0] == 2
    assert refused("--size", "10x10") == (
        2,
        "error: --size 10x10 cannot be. Try: WIDTHxHEIGHT of at least 64 pixels each, or whole",
    )
    few = labels(tmp_path / "few.txt", references=2)
    assert refused(*TYPES, "--labels", str(few)) == (
        4,
        f"error: {few} has no label for i03_01_1, i03_01_2, i03_01_3 and 12 more. Found: 30 labels. "
        "Try: a label for every image, fewer --types, or no --labels",
    )
    assert refused(*TYPES, "--labels", str(tmp_path / "gone.txt")) == (
        4,
        f'error: the label file {tmp_path / "gone.txt"} does not exist. Try: lines of "MOS name", as TID2013 has',
    )
    offsets = tmp_path / "offsets.csv"
    offsets.write_text("photo,top,left\nbeech,5,7\n")
    assert refused(*TYPES, "--offsets", str(offsets)) == (
        4,
        f"error: offsets are given for beech, which are no photographs of {photos}. "
        "Try: file names without their endings",
    )
    assert refused("--types", "16") == (
        4,
        f"error: a crop of 512x384 at top -144, left -192 does not fit into {photos / 'Attic.jpg'} of 128x96 pixels. "
        "Try: a smaller --size, --size whole, or other offsets",
    )
    (photos / "beach.jpg").write_bytes(b"")
    assert refused(*TYPES) == (
        4,
        f"error: several photographs in {photos} are called beach. Try: one ending for each name",
    )


def test_a_photograph_that_cannot_be_read_is_named(photos: Path, tmp_path: Path, capsys: Capture) -> None:
    (photos / "bad.jpg").write_bytes(b"no picture")
    code, _, err = run(capsys, "distort", str(photos), str(tmp_path / "set"), *TYPES)
    assert code == 4
    assert f"error: the photograph {photos / 'bad.jpg'} cannot be read (cannot identify image file" in err
    assert "Try: taking it out of the folder, or a fresh copy" in err


def test_help_has_an_example(capsys: Capture) -> None:
    code, out, _ = run(capsys, "distort", "--help")
    assert code == 0
    assert "fmcvqa distort ~/photos outputs/distorted\n" in out
    assert "Nobody has rated these images" in out
