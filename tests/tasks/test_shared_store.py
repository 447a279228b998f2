"""Processes that extract one dataset into one store: each video once, others waited for, the dead taken over from."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny import labelled, network, places, run

from fmcvqa.features.claims import FOLDER
from fmcvqa.tasks import extract

Capture = pytest.CaptureFixture[str]


def words(tmp_path: Path, count: int = 3) -> list[str]:
    labels = labelled(tmp_path / "set", [f"c{k}" for k in range(count)], count=2)
    return ["extract", "data=csv", f"data.labels={labels}", *network(), *places(tmp_path)]


def test_a_claimed_video_is_waited_for_and_taken_over_from_the_dead(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = words(tmp_path)
    assert run(capsys, *asked)[0] == 0
    [folder] = (tmp_path / "cache" / "labels").iterdir()
    assert not (folder / FOLDER).exists()  # nothing is left of the claims
    entries = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    kept = (folder / "c0.safetensors").read_bytes()
    for name in ("c0", "c1"):
        (folder / f"{name}.safetensors").unlink()
    (folder / FOLDER).mkdir()
    (folder / FOLDER / "c0.0").write_text("elsewhere~1~1~ab")  # at work on another host
    (folder / FOLDER / "elsewhere~1~1~ab").write_text(".")
    (folder / FOLDER / "c1.0").write_text("elsewhere~2~2~cd")  # gone, and its sign of life with it

    def patience(_: float) -> None:
        """The other one finishes while this one waits, with nothing else left to do."""
        assert (folder / "c1.safetensors").exists()
        (folder / "c0.safetensors").write_bytes(kept)

    monkeypatch.setattr(extract, "time", SimpleNamespace(sleep=patience))
    code, out, err = run(capsys, *asked)
    assert (code, out) == (0, f"3 videos of labels: features in {folder}\n")
    assert "waiting for 1 videos that other processes are at" in err
    now = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    assert now["c2.safetensors"] == entries["c2.safetensors"]
    assert now["c1.safetensors"] > entries["c1.safetensors"]
    assert sorted(path.name for path in (folder / FOLDER).iterdir()) == ["c0.0", "elsewhere~1~1~ab"]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_video_that_fails_is_nobodys_afterwards(workers: int, tmp_path: Path, capsys: Capture) -> None:
    asked = [*words(tmp_path), f"loader.num_workers={workers}"]
    (tmp_path / "set" / "c1.mp4").write_bytes(b"no video")
    assert run(capsys, *asked)[0] == 3
    [folder] = (tmp_path / "cache" / "labels").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["c0.safetensors", "c2.safetensors", "recipe.json"]


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_stopped_extraction_loses_what_was_in_the_making(
    number: signal.Signals, tmp_path: Path, capsys: Capture
) -> None:
    asked = words(tmp_path, 60)
    process = subprocess.Popen([sys.executable, "-m", "fmcvqa", *asked], stderr=subprocess.PIPE, text=True)
    while len(entries := list((tmp_path / "cache").glob("labels/*/*.safetensors"))) < 5:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == (143 if number == signal.SIGTERM else -9)
    assert ("stopped by SIGTERM: what is finished is kept" in err) == (number == signal.SIGTERM)
    folder = entries[0].parent
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    assert 5 <= len(kept) < 60
    assert (folder / FOLDER).exists() == (number == signal.SIGKILL)
    assert len(list((folder / FOLDER).glob("c*"))) <= 2  # the one in the network, and the one that is read ahead
    assert run(capsys, *asked)[0] == 0
    now = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    assert len(now) == 60 and all(now[name] == kept[name] for name in kept)
    assert not (folder / FOLDER).exists()
