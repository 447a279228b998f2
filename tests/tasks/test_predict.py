"""Scores for people and for programs."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from damage import cut_clip
from tiny import TAPS, clip, damage, errors, generated, network, places, run

from fmcvqa import cli
from fmcvqa.errors import VideoError
from fmcvqa.prediction import Prediction
from fmcvqa.predictor import VideoQualityModel
from fmcvqa.sealed import read_sealed, write_sealed
from fmcvqa.tasks import predict
from fmcvqa.tasks.rows import COLUMNS

Capture = pytest.CaptureFixture[str]
NAME = "KoNViD-1k (synthetic stand-in)"
SCALE = {"name": NAME, "minimum": 1.0, "maximum": 5.0, "stand_in": True}


@pytest.fixture(scope="module")
def model(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    words = [*generated(), *network(), *places(shared_folder, folder), f"features.layers=[{TAPS[0]}]"]
    assert cli.main(["fit", *words, "protocol.repeats=2", "report=false", f"output={folder / 'model.fmcvqa'}"]) == 0
    return folder / "model.fmcvqa"


@pytest.fixture
def trained_on(shared_folder: Path) -> list[Path]:
    """Two clips of the training set."""
    return sorted((shared_folder / "data").rglob("*.mp4"))[:2]


def expected(model: Path, paths: list[Path], **options: Any) -> list[Prediction]:
    return VideoQualityModel.load(model).predict_many(paths, num_workers=0, progress=False, **options)


def test_a_table_says_what_each_score_is_worth(
    model: Path, trained_on: list[Path], tmp_path: Path, capsys: Capture
) -> None:
    odd, lost = clip(tmp_path / "odd.mp4", 6), tmp_path / "lost.mp4"
    paths = [trained_on[0], odd, lost]
    code, out, err = run(capsys, "predict", *map(str, paths), "--model", str(model))
    assert code == 3
    known, unlike, _ = expected(model, paths)
    assert known.interval is not None
    header, first, second, third, scale = out.splitlines()
    assert header.split() == ["clip", "score", "90", "%", "interval", "better", "than"]
    interval = f"{known.interval.low:.2f} to {known.interval.high:.2f}"
    assert first.split() == [str(paths[0]), f"{known.score:.3f}", *interval.split(), f"{known.percentile:.0f}", "%"]
    ends = [header.index("score") + 5, header.index("interval") + 8, header.index("than") + 4]
    assert [first[:end][-4:] for end in ends] == [f"{known.score:.3f}"[-4:], interval[-4:], first[-4:]]
    assert unlike.unlike is not None
    assert second.endswith(f"  unlike the training set; {'; '.join(unlike.unlike.reasons)}")
    assert third.split() == [str(lost), "-", "-", "-", "E_NOT_FOUND"]
    assert scale == (
        f"scale: 1 (worst) to 5 (best), as in {NAME}; better than: the share of that set's clips with a lower MOS"
    )
    assert [error.split(":")[0] for error in errors(err)] == ["E_NOT_FOUND"]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_json_jsonl_and_csv_say_the_same(
    workers: str, model: Path, trained_on: list[Path], tmp_path: Path, capsys: Capture
) -> None:
    bad = damage(clip(tmp_path / "bad.mp4", 24))
    words = ["predict", str(bad), *map(str, trained_on), "--model", str(model), "--workers", workers]
    code, out, err = run(capsys, *words, "--json")
    assert code == 3
    rows = json.loads(out)
    assert [(row["path"], row["code"]) for row in rows] == [
        (str(bad), "E_CORRUPT"),
        *((str(path), None) for path in trained_on),
    ]
    assert rows == [
        {**row.to_dict(), "score": row.score and pytest.approx(row.score, abs=1e-6)}
        for row in expected(model, [bad, *trained_on])
    ]
    assert (rows[1]["scale"], rows[0]["score"], rows[0]["interval"], rows[1]["timeline"]) == (SCALE, None, None, None)
    assert errors(err) == [rows[0]["error"]]
    assert [json.loads(line) for line in run(capsys, *words, "--jsonl")[1].splitlines()] == rows
    table = list(csv.DictReader(io.StringIO(run(capsys, *words, "--csv")[1])))
    assert list(table[0]) == list(COLUMNS)
    assert [(row["path"], row["code"], row["score"]) for row in table] == [
        (row["path"], row["code"] or "", "" if row["score"] is None else str(row["score"])) for row in rows
    ]
    assert float(table[1]["low"]) == rows[1]["interval"]["low"]
    assert (table[0]["unlike"], table[1]["unlike"]) == ("", "false")


def test_a_damaged_clip_has_a_score_and_a_mark_where_that_is_allowed(
    model: Path, trained_on: list[Path], tmp_path: Path, capsys: Capture
) -> None:
    """The model's own recipe rejects damage."""
    bad, out = cut_clip(tmp_path / "cut.mkv"), tmp_path / "scores.jsonl"
    words = ["predict", str(bad), str(trained_on[0]), "--model", str(model), "--out", str(out)]
    code, text, _ = run(capsys, *words, "--json")
    refused, whole = json.loads(text)
    assert (code, refused["code"], refused["damage"], refused["score"]) == (3, "E_TRUNCATED", None, None)
    code, text, err = run(capsys, *words, "--json", "--damage", "mark")
    marked, same = json.loads(text)
    assert (code, marked["code"], marked["damage"]["code"]) == (0, None, "E_TRUNCATED")
    assert marked["damage"]["found"] in refused["error"]
    assert same == whole and whole["damage"] is None
    assert f"note: 1 clip of 2 scored before, in {out}" in err.splitlines()  # the whole one: its score is the same
    assert "note: 1 clip marked as damaged: scored by the frames before the damage" in err.splitlines()
    [wanted] = expected(model, [bad], damage="mark")
    assert marked == {**wanted.to_dict(), "score": pytest.approx(wanted.score, abs=1e-6)}
    assert wanted.frames == marked["frames"] > 20
    assert Prediction.from_dict(marked).damage == wanted.damage

    _, text, err = run(capsys, *words, "--damage", "mark", "--csv")
    assert f"note: 2 clips of 2 scored before, in {out}" in err.splitlines()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["code"], row["damage"]) for row in rows] == [("", "E_TRUNCATED"), ("", "")]
    _, text, _ = run(capsys, *words, "--damage", "mark", "--jsonl")
    assert [json.loads(line)["damage"] for line in text.splitlines()] == [marked["damage"], None]
    line = run(capsys, *words, "--damage", "mark")[1].splitlines()[1]
    assert f"  damaged (E_TRUNCATED), {marked['frames']} frames used" in line
    assert json.loads(run(capsys, *words, "--json")[1]) == [refused, whole]  # no longer allowed, kept or not


def test_one_number_has_no_place_for_a_mark(model: Path, tmp_path: Path) -> None:
    allowing = VideoQualityModel.load(model)
    allowing.recipe = replace(allowing.recipe, damage="mark")
    path = cut_clip(tmp_path / "cut.mkv")
    with pytest.raises(VideoError, match="E_TRUNCATED"):
        allowing.predict(path)
    [prediction] = allowing.predict_many([path], num_workers=0, progress=False)
    assert prediction.code == "E_TRUNCATED"


def test_the_seconds_of_a_damaged_clip_end_with_its_frames(model: Path, tmp_path: Path) -> None:
    [marked] = expected(model, [cut_clip(tmp_path / "cut.mkv", keep=0.95)], damage="mark", timeline=True)
    assert marked.timeline is not None
    assert [window.frames for window in marked.timeline] == [25, marked.frames - 25]


def test_every_input_is_a_row_whatever_it_is(
    model: Path, trained_on: list[Path], tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "nothing").mkdir()
    words = [str(tmp_path / "nothing"), str(trained_on[0]), str(tmp_path / "no*.mp4"), str(trained_on[0])]
    code, out, err = run(capsys, "predict", *words, "--model", str(model), "--json")
    assert code == 3
    assert [(row["path"], row["code"]) for row in json.loads(out)] == [
        (words[0], "E_NO_FILES"),
        (words[1], None),
        (words[2], "E_NOT_FOUND"),
    ]
    assert "note: 1 mention of a clip that was named before left out" in err.splitlines()


def test_the_bad_ones_are_rows_with_a_code_and_the_command_ends_with_3(
    model: Path, trained_on: list[Path], tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    bad = {
        damage(clip(tmp_path / "damaged.mp4", 24)): "E_CORRUPT",
        tmp_path / "text.mp4": "E_NO_VIDEO",
        tmp_path / "empty.mp4": "E_EMPTY",
        tmp_path / "lost.mp4": "E_NOT_FOUND",
        tmp_path / "nothing": "E_NO_FILES",
    }
    asked = [*bad, trained_on[0]]
    code, out, _ = run(capsys, "predict", *map(str, asked), "--model", str(model), "--jsonl")
    assert code == 3
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["path"], row["code"]) for row in rows] == [
        *((str(path), kind) for path, kind in bad.items()),
        (str(trained_on[0]), None),
    ]
    assert [row["score"] is None for row in rows] == [True] * len(bad) + [False]


def test_seconds_and_strides(model: Path, tmp_path: Path, capsys: Capture) -> None:
    long = clip(tmp_path / "long.mp4", 40)
    words = ["predict", str(long), "--model", str(model), "--timeline", "--stride", "4"]
    [row] = json.loads(run(capsys, *words, "--json")[1])
    [same] = expected(model, [long], timeline=True, stride=4)
    assert row == same.to_dict()
    assert [(second["start"], second["end"], second["frames"]) for second in row["timeline"]] == [(0, 1, 7), (1, 2, 3)]
    assert row["frames"] == 10
    scores = [second["score"] for second in row["timeline"]]
    [line] = csv.DictReader(io.StringIO(run(capsys, *words, "--csv")[1]))
    assert [float(score) for score in line["timeline"].split(";")] == scores
    out = run(capsys, *words)[1].splitlines()
    assert out[2] == f"  second by second: {scores[0]:.2f} {scores[1]:.2f}"


def test_an_out_file_that_cannot_be_read_again_is_refused(model: Path, tmp_path: Path, capsys: Capture) -> None:
    for out in (tmp_path, Path("/dev/null")):
        code, _, err = run(capsys, "predict", str(tmp_path / "clip.mp4"), "--model", str(model), "--out", str(out))
        assert (code, err) == (
            2,
            f"error: {out} is no regular file. Try: a file for --out, which is also read again\n",
        )


def test_files_behind_links_are_written_and_the_links_stay(
    model: Path, trained_on: list[Path], tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "disk").mkdir()
    links = [tmp_path / name for name in ("scores.html", "scores.jsonl", "copy.fmcvqa")]
    for link in links:
        link.symlink_to(tmp_path / "disk" / link.name)
    page, out, copy = links
    words = ["predict", str(trained_on[0]), "--model", str(model), "--html", str(page), "--out", str(out)]
    assert run(capsys, *words)[0] == 0
    VideoQualityModel.load(model).save(copy)
    assert all(link.is_symlink() and (tmp_path / "disk" / link.name).stat().st_size > 100 for link in links)


def test_an_out_file_is_gone_on_with(model: Path, trained_on: list[Path], tmp_path: Path, capsys: Capture) -> None:
    out, lost = tmp_path / "scores.jsonl", tmp_path / "late.mp4"
    words = ["predict", *map(str, [lost, *trained_on]), "--model", str(model), "--out", str(out), "--json"]
    code, first, _ = run(capsys, *words)
    assert code == 3
    kept = [json.loads(line) for line in out.read_text().splitlines()]
    assert [{k: row[k] for k in json.loads(first)[0]} for row in kept] == json.loads(first)
    # The first clip is there now, the second has changed, the third row was cut by a kill.
    clip(lost, 6)
    changed = {**kept[1], "score": 1.25, "source": {**kept[1]["source"], "size": 1}}
    marked = {**kept[2], "score": 1.75}
    lines = [json.dumps(row) for row in (kept[0], changed, marked)]
    out.write_text("\n".join(lines) + '\n{"path": "x", "sc')
    code, second, err = run(capsys, *words)
    assert code == 0
    assert f"note: 1 clip of 3 scored before, in {out}" in err.splitlines()
    rows = json.loads(second)
    assert [row["path"] for row in rows] == [str(lost), *map(str, trained_on)]
    assert rows[1] == json.loads(first)[1]  # scored again
    assert rows[2]["score"] == 1.75  # taken over
    assert [json.loads(line)["score"] for line in out.read_text().splitlines()] == [row["score"] for row in rows]
    # Another model or setting would mix scores that cannot be compared.
    assert run(capsys, *words, "--stride", "2")[::2] == (
        2,
        f"error: {out} holds scores that were made in another way (not the same: stride). "
        "Try: another file for --out, or delete this one to score everything again\n",
    )
    other, row = tmp_path / "other.txt", json.loads(out.read_text().splitlines()[-1])
    strange = [row | {"score": odd} for odd in (None, "5", True, float("nan"), float("inf"))]
    strange += [row | {"scale": 5}, row | {"source": None}, {**row, "unlike": {}}]
    for line in ("milk\neggs\n", *(json.dumps(each) + "\n" for each in strange)):
        other.write_text(line)
        assert run(capsys, *words[:-2], str(other))[::2] == (
            2,
            f"error: {other} line 1 is no row of fmcvqa predict. Try: another file for --out, or delete this one\n",
        )
        assert other.read_text() == line


def test_rows_are_on_the_disk_when_the_next_clip_is_scored(
    model: Path, trained_on: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that dies in its second clip has kept the first."""
    out = tmp_path / "scores.jsonl"
    judge = VideoQualityModel.judge

    def dies(self: VideoQualityModel, path: Path, pooled: Any) -> Prediction:
        if path == trained_on[1]:
            assert [json.loads(line)["path"] for line in out.read_text().splitlines()] == [str(trained_on[0])]
            raise RuntimeError("killed")
        return judge(self, path, pooled)

    monkeypatch.setattr(VideoQualityModel, "judge", dies)
    with pytest.raises(RuntimeError, match="killed"):
        cli.main(["predict", *map(str, trained_on), "--model", str(model), "--out", str(out), "--workers", "0"])
    assert len(out.read_text().splitlines()) == 1


def test_a_model_of_the_format_1_says_what_it_cannot(
    model: Path, trained_on: list[Path], tmp_path: Path, capsys: Capture
) -> None:
    arrays, record = read_sealed(model)
    arrays = {name: array for name, array in arrays.items() if name.startswith(("trunk/", "regressor/"))}
    old = {key: value for key, value in record.items() if key not in ("calibration", "training_set")}
    write_sealed(tmp_path / "old.fmcvqa", arrays, old | {"format": 1})
    code, out, _ = run(capsys, "predict", str(trained_on[0]), "--model", str(tmp_path / "old.fmcvqa"))
    assert code == 0
    assert out.splitlines()[1].split()[-2:] == ["-", "-"]
    assert out.splitlines()[-1] == (
        "no interval, percentile and distance: the model file has the format 1; fmcvqa fit writes them"
    )


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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json", "--jsonl"], "argument --jsonl: not allowed with argument --json"),
        (["--stride", "0"], "argument --stride: 0 is below 1"),
        (["--stride", "x"], "argument --stride: invalid whole number value: 'x'"),
        (["--damage", "keep"], "argument --damage: invalid choice: 'keep' (choose from 'reject', 'mark')"),
        (["--jsn"], "unrecognized arguments: --jsn (did you mean --json?)"),
    ],
)
def test_what_the_parser_refuses(words: list[str], said: str, capsys: Capture) -> None:
    code, out, err = run(capsys, "predict", "a.mp4", "--model", "m", *words)
    assert (code, out) == (2, "")
    assert err.endswith(f"fmcvqa predict: error: {said}\n")


def test_colours_are_for_terminals_that_want_them(
    model: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["predict", str(tmp_path / "lost.mp4"), "--model", str(model)]
    assert "\x1b" not in "".join(run(capsys, *words)[1:])
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert re.search(r"\x1b\[31m.*lost\.mp4.*E_NOT_FOUND\x1b\[0m", run(capsys, *words)[1])
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run(capsys, *words)[1]


def test_the_page_says_what_the_rows_say(model: Path, tmp_path: Path, capsys: Capture) -> None:
    paths = [str(clip(tmp_path / "a b.mp4", 30)), str(tmp_path / "lost.mp4")]
    page = tmp_path / "pages" / "scores.html"
    code, out, err = run(capsys, "predict", *paths, "--model", str(model), "--jsonl", "--html", str(page))
    assert code == 3 and f"note: the page is {page}\n" in err
    rows = [json.loads(line) for line in out.splitlines()]
    text = page.read_text()
    [data] = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    shown = json.loads(data)["clips"]
    assert [clip["score"] for clip in shown] == [round(rows[0]["score"], 4), None]
    seconds = [round(window["score"], 4) for window in rows[0]["timeline"]]
    assert [window["score"] for window in shown[0]["timeline"]] == seconds and len(seconds) > 0
    assert 'src="../a%20b.mp4"' in text and '<span class="code">E_NOT_FOUND</span>' in text
    assert "--html" in text


def test_a_page_that_cannot_be_written(model: Path, tmp_path: Path, capsys: Capture) -> None:
    path = clip(tmp_path / "a.mp4", 6)
    code, out, err = run(capsys, "predict", str(path), "--model", str(model), "--html", str(tmp_path))
    assert (code, out) == (4, "")  # it is known before the first clip is scored
    assert errors(err) == [f"{tmp_path} cannot be written (Is a directory). Try: another --html"]


def test_a_disk_that_fills_meanwhile_costs_the_page_alone(
    model: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(predict, "write_atomic", full)
    path, page = clip(tmp_path / "a.mp4", 6), tmp_path / "page.html"
    code, out, err = run(capsys, "predict", str(path), "--model", str(model), "--html", str(page))
    assert code == 4 and str(path) in out
    assert errors(err) == [f"{page} cannot be written (No space left on device). Try: another --html"]
