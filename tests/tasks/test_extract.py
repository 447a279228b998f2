"""Extraction as a command: what is done stays done, and what cannot be read is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import cut_clip
from tiny import TAPS, clip, damage, errors, labelled, network, places, run

from fmcvqa import cli
from fmcvqa.data.decoding import PyAVDecoder
from fmcvqa.data.records import VideoRecord
from fmcvqa.features.store import FeatureStore
from fmcvqa.sealed import read_sealed
from fmcvqa.tasks import extract

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The command over three clips with labels in a CSV file."""
    labels = labelled(tmp_path / "set", ["a", "b", "c"], count=24)
    return ["extract", "data=csv", f"data.labels={labels}", *network(), *places(tmp_path)]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The videos of each extraction that really runs."""
    seen: list[list[str]] = []
    real = extract.extract_features

    def watched(records: list[VideoRecord], *arguments: Any, **options: Any) -> None:
        seen.append([record.id for record in records])
        real(records, *arguments, **options)

    monkeypatch.setattr(extract, "extract_features", watched)
    return seen


def entries(tmp_path: Path) -> dict[str, int]:
    """Name and time of change of each stored video."""
    return {path.stem: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*/*/*.safetensors")}


def test_a_second_run_does_nothing(words: list[str], asked: list[list[str]], tmp_path: Path, capsys: Capture) -> None:
    code, out, err = run(capsys, *words)
    assert code == 0
    [folder] = (tmp_path / "cache" / "labels").iterdir()
    assert out == f"3 videos of labels: features in {folder}\n"
    assert "3 of 3 videos of labels to extract" in err
    assert "GPU available" not in err
    assert "litlogger" not in err
    arrays, record = read_sealed(folder / "b.safetensors")
    assert set(arrays) == {f"{tap}/{pool}" for tap in TAPS for pool in ("mean", "max")}
    assert (record["video"], record["frames"], record["reader"]) == ("b", 24, "pyav")
    before = entries(tmp_path)
    assert run(capsys, *words)[0] == 0
    assert entries(tmp_path) == before
    assert asked == [["a", "b", "c"]]


def test_a_corrupt_clip_is_named_and_the_others_are_kept(
    words: list[str], asked: list[list[str]], tmp_path: Path, capsys: Capture
) -> None:
    bad = tmp_path / "set" / "b.mp4"
    whole = bad.read_bytes()
    damage(bad)
    code, out, err = run(capsys, *words)
    failures = tmp_path / "outputs" / "extract" / "failures.jsonl"
    [row] = [json.loads(line) for line in failures.read_text().splitlines()]
    why = f"E_CORRUPT: the video {str(bad)!r} is damaged. Found: "
    assert (code, out) == (3, "")
    assert row.pop("error").startswith(why)
    assert 0 < row.pop("seconds") < 60
    assert row == {"id": "b", "path": str(bad), "code": "E_CORRUPT", "stage": "decode"}
    [message] = errors(err)
    assert message.startswith(f"1 of 3 videos could not be read: {why}")
    assert message.endswith(
        "Found: the features of the other 2 are kept. "
        f"Try: mend or remove the files named in {failures}, then the same command again"
    )
    before = entries(tmp_path)
    assert before.keys() == {"a", "c"}

    assert run(capsys, *words)[0] == 3
    bad.write_bytes(whole)
    assert run(capsys, *words)[0] == 0
    assert asked == [["a", "b", "c"], ["b"], ["b"]]
    assert not failures.exists()
    after = entries(tmp_path)
    assert after.keys() == {"a", "b", "c"}
    assert {name: after[name] for name in before} == before


def test_a_file_that_is_replaced_while_it_is_read_fails_and_is_read_anew(
    words: list[str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, real = clip(tmp_path / "other.mp4", 3, seed=9), PyAVDecoder.frames

    def replaces(self: PyAVDecoder, path: Path, *, stride: int = 1) -> Iterator[Any]:
        yield from real(self, path, stride=stride)
        if Path(path).name == "b.mp4":
            other.replace(path)
        if Path(path).name == "c.mp4":
            Path(path).unlink()

    with monkeypatch.context() as patched:
        patched.setattr(PyAVDecoder, "frames", replaces)
        code, _, err = run(capsys, *words, "loader.num_workers=0")
    bad = [tmp_path / "set" / f"{name}.mp4" for name in "bc"]
    assert code == 3
    assert all(f"E_CHANGED: the file {path} changed while it was read. Try: " in err for path in bad)
    assert entries(tmp_path).keys() == {"a"}
    clip(bad[1], 4)
    assert run(capsys, *words)[0] == 0
    [folder] = (tmp_path / "cache").glob("*/*")
    assert [read_sealed(folder / f"{name}.safetensors")[1]["frames"] for name in "abc"] == [24, 3, 4]


@pytest.mark.parametrize("workers", [0, 2])
def test_frames_smaller_than_the_crop_are_their_videos_fault(
    workers: int, words: list[str], tmp_path: Path, capsys: Capture
) -> None:
    clip(tmp_path / "set" / "b.mp4", 40, width=64, height=48)
    code, _, err = run(capsys, *words, "recipe.resize=null", "recipe.crop=64", f"loader.num_workers={workers}")
    assert code == 3
    [row] = [json.loads(line) for line in (tmp_path / "outputs/extract/failures.jsonl").read_text().splitlines()]
    assert (row["id"], row["code"], row["stage"]) == ("b", "E_TOO_SMALL", "features")
    assert "a crop of 64x64 does not fit frames of 64x48" in err
    assert entries(tmp_path).keys() == {"a", "c"}


def test_frames_smaller_than_the_network_takes_are_their_videos_fault_too(
    words: list[str], tmp_path: Path, capsys: Capture
) -> None:
    clip(tmp_path / "set" / "b.mp4", 40, width=8, height=96)
    code, _, err = run(capsys, *words, "recipe.resize=null", "recipe.crop=null")
    assert code == 3
    assert "E_TOO_SMALL: the network takes frames from 17x17 on, not 8x96. Try: resize=17 or more" in err
    assert entries(tmp_path).keys() == {"a", "c"}
    code, _, err = run(capsys, *words, "recipe.resize=12", "recipe.crop=12")
    assert code == 2
    assert errors(err) == ["crop=12 is smaller than the 17 pixels that the network takes. Try: crop=17 or more"]


def test_a_damaged_clip_is_used_in_part_and_marked_where_that_is_allowed(
    words: list[str], asked: list[list[str]], tmp_path: Path, capsys: Capture
) -> None:
    bad = cut_clip(tmp_path / "set" / "b.mkv")
    labels = tmp_path / "set" / "labels.csv"
    labels.write_text(labels.read_text().replace("b.mp4", "b.mkv"))
    assert run(capsys, *words)[0] == 3
    code, out, err = run(capsys, *words, "recipe.damage=mark")
    assert code == 0
    allowed = next(path for path in (tmp_path / "cache" / "labels").iterdir() if (path / "b.safetensors").exists())
    assert out == f"3 videos of labels, 1 marked as damaged: features in {allowed}\n"
    entry = read_sealed(allowed / "b.safetensors")[1]
    assert entry["damage"]["code"] == "E_TRUNCATED"
    assert f"{bad} is marked as damaged, its first {entry['frames']} frames are used: E_TRUNCATED: " in err
    assert 20 < entry["frames"] < 40
    assert str(tmp_path) not in json.dumps(entry)
    assert "damage" not in read_sealed(allowed / "a.safetensors")[1]
    assert run(capsys, *words, "recipe.damage=mark")[:2] == (0, out)  # from the store
    assert asked == [["a", "b", "c"], ["a", "b", "c"]]


def test_what_is_marked_is_counted_beside_what_failed(words: list[str], tmp_path: Path, capsys: Capture) -> None:
    cut_clip(tmp_path / "set" / "b.mkv")
    labels = tmp_path / "set" / "labels.csv"
    labels.write_text(labels.read_text().replace("b.mp4", "b.mkv"))
    (tmp_path / "set" / "c.mp4").write_bytes(b"")
    code, _, err = run(capsys, *words, "recipe.damage=mark")
    assert code == 3
    [message] = errors(err)
    assert message.startswith("1 of 3 videos could not be read: E_EMPTY: ")
    assert "Found: the features of the other 2 are kept, 1 marked as damaged. " in message


def test_an_interrupted_extraction_goes_on(
    words: list[str], asked: list[list[str]], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FeatureStore.write

    def dies(store: FeatureStore, record: VideoRecord, *arguments: Any, **options: Any) -> None:
        if record.id == "b":
            raise RuntimeError("the power is gone")
        real(store, record, *arguments, **options)

    monkeypatch.setattr(FeatureStore, "write", dies)
    with pytest.raises(RuntimeError, match="the power is gone"):
        cli.main(words)
    assert entries(tmp_path).keys() == {"a"}
    monkeypatch.setattr(FeatureStore, "write", real)
    assert run(capsys, *words)[0] == 0
    assert entries(tmp_path).keys() == {"a", "b", "c"}
    assert asked == [["a", "b", "c"], ["b", "c"]]


def test_only_what_has_changed_is_made_again(
    words: list[str], asked: list[list[str]], tmp_path: Path, capsys: Capture
) -> None:
    assert run(capsys, *words)[0] == 0
    clip(tmp_path / "set" / "c.mp4", 5, seed=9)
    [entry] = (tmp_path / "cache").glob("*/*/a.safetensors")
    entry.write_bytes(entry.read_bytes()[:-1] + b"\xff")
    assert run(capsys, *words)[0] == 0
    assert run(capsys, *words, "model.seed=1")[0] == 0
    assert run(capsys, *words, "recipe.stride=2")[0] == 0
    assert asked == [["a", "b", "c"], ["a", "c"], ["a", "b", "c"], ["a", "b", "c"]]
    assert len(list((tmp_path / "cache" / "labels").iterdir())) == 3
    assert entry.with_suffix(".damaged").exists()


def test_both_decoders_give_the_same_features(words: list[str], tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("decord")
    assert run(capsys, *words)[0] == 0
    assert run(capsys, *words, "decoder=decord")[0] == 0
    one, other = (tmp_path / "cache" / "labels").iterdir()
    for name in ("a", "b", "c"):
        (ours, card), (theirs, other_card) = (read_sealed(folder / f"{name}.safetensors") for folder in (one, other))
        assert {card["reader"], other_card["reader"]} == {"pyav", "decord"}
        assert all(np.array_equal(values, theirs[block]) for block, values in ours.items())


def test_videos_that_fail_in_one_job_do_not_stop_the_others(words: list[str], tmp_path: Path, capsys: Capture) -> None:
    damage(tmp_path / "set" / "b.mp4")
    (tmp_path / "set" / "good.csv").write_text("path,mos\na.mp4,3\nc.mp4,4\n")
    both = f"data.labels={tmp_path / 'set' / 'labels.csv'},{tmp_path / 'set' / 'good.csv'}"
    code, out, err = run(capsys, "extract", "-m", "data=csv", both, *words[3:])
    assert code == 3
    assert out.startswith("2 videos of good: features in ")
    first, last = errors(err)
    assert first.startswith("1 of 3 videos could not be read: E_CORRUPT: ")
    assert last.startswith("1 of 2 jobs failed: 0 (1 of 3 videos could not be read: E_CORRUPT: ")
