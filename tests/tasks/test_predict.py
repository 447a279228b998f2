"""Scores for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny import TAPS, clip, damage, errors, generated, network, places, run

from fmcvqa import cli
from fmcvqa.predictor import VideoQualityModel

Capture = pytest.CaptureFixture[str]
SCALE = {"name": "KoNViD-1k (synthetic stand-in)", "minimum": 1.0, "maximum": 5.0, "stand_in": True}


@pytest.fixture(scope="module")
def model(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    words = [*generated(), *network(), *places(shared_folder, folder), f"features.layers=[{TAPS[0]}]"]
    assert cli.main(["fit", *words, "protocol.repeats=2", f"output={folder / 'model.fmcvqa'}"]) == 0
    return folder / "model.fmcvqa"


def test_a_score_per_clip_with_its_scale(model: Path, tmp_path: Path, capsys: Capture) -> None:
    clips = [clip(tmp_path / name, 6, seed=seed) for seed, name in enumerate(("a.mp4", "longer name.mp4"))]
    expected = [VideoQualityModel.load(model).predict(path) for path in clips]
    code, out, err = run(capsys, "predict", *map(str, clips), "--model", str(model))
    assert (code, errors(err)) == (0, [])
    width = len(str(clips[1]))
    assert out == (
        f"{clips[0]!s:{width}}  {expected[0]:.3f}\n{clips[1]}  {expected[1]:.3f}\n"
        "scale: 1 (worst) to 5 (best), as in KoNViD-1k (synthetic stand-in)\n"
    )


@pytest.mark.parametrize("workers", ["0", "2"])
def test_json_is_a_list_and_jsonl_a_line_each(workers: str, model: Path, tmp_path: Path, capsys: Capture) -> None:
    good = clip(tmp_path / "good.mp4", 6)
    expected = VideoQualityModel.load(model).predict(good)
    words = ["predict", str(good), "--model", str(model), "--workers", workers]
    code, out, _ = run(capsys, *words, "--json")
    assert code == 0
    assert json.loads(out) == [
        {"path": str(good), "score": pytest.approx(expected, abs=1e-6), "scale": SCALE, "code": None}
    ]
    code, lines, _ = run(capsys, *words, "--jsonl")
    assert [json.loads(line) for line in lines.splitlines()] == json.loads(out)


def test_a_clip_that_cannot_be_read_has_a_code_and_the_others_a_score(
    model: Path, tmp_path: Path, capsys: Capture
) -> None:
    good, bad, lost = clip(tmp_path / "good.mp4", 6), damage(clip(tmp_path / "bad.mp4", 24)), tmp_path / "lost.mp4"
    words = ["predict", str(lost), str(good), str(bad), "--model", str(model)]
    code, out, err = run(capsys, *words, "--json")
    assert code == 3
    rows = json.loads(out)
    assert [(row["path"], row["code"]) for row in rows] == [
        (str(lost), "E_NOT_FOUND"),
        (str(good), None),
        (str(bad), "E_CORRUPT"),
    ]
    assert [row["score"] is None for row in rows] == [True, False, True]
    said = errors(err)
    assert len(said) == 2
    assert said[0].startswith(f"E_NOT_FOUND: the video {str(lost)!r} ")
    assert said[1].startswith(f"E_CORRUPT: the video {str(bad)!r} is damaged. Found: ")
    code, out, _ = run(capsys, *words)
    assert code == 3
    assert [line.split()[-1] for line in out.splitlines()[:3:2]] == ["E_NOT_FOUND", "E_CORRUPT"]


def test_a_file_that_is_no_model_starts_nothing(tmp_path: Path, capsys: Capture) -> None:
    good, none = clip(tmp_path / "good.mp4", 2), tmp_path / "none.fmcvqa"
    assert run(capsys, "predict", str(good), "--model", str(none)) == (
        4,
        "",
        f"error: {none} cannot be opened (No such file or directory). Try: fmcvqa fit writes a model\n",
    )
    assert run(capsys, "predict", str(good), "--model", str(good)) == (
        4,
        "",
        f"error: {good} cannot be read (ValueError). "
        "Found: bytes that are not a whole fmcvqa model. Try: a fresh copy\n",
    )


def test_both_forms_at_once_are_refused(capsys: Capture) -> None:
    code, out, err = run(capsys, "predict", "a.mp4", "--model", "m", "--json", "--jsonl")
    assert (code, out) == (2, "")
    assert err.endswith("fmcvqa predict: error: argument --jsonl: not allowed with argument --json\n")
