"""Many processes on one store: each video is computed once, whoever is killed."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from fmcvqa.errors import StoreError
from fmcvqa.features.claims import FOLDER, Claims

SCRIPT = Path(__file__).with_name("claiming.py")


def crowd(folder: Path, processes: int, videos: int, kills: int, seconds: float) -> Counter[str]:
    """How often each video was begun: again only if whoever had begun it was killed."""
    folder.mkdir()
    words = [sys.executable, str(SCRIPT), str(folder), str(videos), str(seconds)]
    alive = [subprocess.Popen(words) for _ in range(processes)]
    rng, killed = random.Random(0), set()
    limit = time.monotonic() + 300
    while any(process.poll() is None for process in alive):
        assert time.monotonic() < limit, "they wait for each other"
        time.sleep(rng.uniform(0.01, 0.05))
        if len(killed) < kills and len(list(folder.glob("*.entry"))) > videos * len(killed) // (kills + 1):
            victim = rng.randrange(processes)
            if alive[victim].poll() is None:
                alive[victim].kill()
                alive[victim].wait()
                killed.add(str(alive[victim].pid))
                alive[victim] = subprocess.Popen(words)
    assert [process.returncode for process in alive] == [0] * processes
    assert len(killed) == kills
    begun = [line.split() for line in (folder / "log").read_text().splitlines()]
    for name in (f"v.{k}" for k in range(videos)):
        *earlier, _ = [pid for begun_name, pid in begun if begun_name == name]
        assert set(earlier) <= killed, f"{name} was begun twice by processes that lived"
        assert (folder / f"{name}.entry").read_bytes() == name.encode() * 100
    assert not list((folder / FOLDER).glob("v.*"))
    return Counter(name for name, _ in begun)


def test_each_video_is_computed_once(tmp_path: Path) -> None:
    assert len(crowd(tmp_path / "store", 4, 40, kills=3, seconds=0.02)) == 40


@pytest.mark.faults
def test_each_video_is_computed_once_by_eight_with_fifty_kills(tmp_path: Path, figure: Callable[[str], None]) -> None:
    begun = crowd(tmp_path / "store", 8, 500, kills=50, seconds=0.05)
    assert len(begun) == 500
    figure(f"500 of 500; {sum(begun.values()) - 500} were begun again after 50 kills")


def claims(folder: Path, lease: float = 60.0) -> Claims:
    return Claims(folder, lambda name: (folder / name).exists(), lease=lease)


def test_a_claim_is_one_processs_until_it_is_given_back(tmp_path: Path) -> None:
    with claims(tmp_path) as mine, claims(tmp_path) as other:
        assert mine.take("a.b") and not mine.take("a.b")
        assert not other.take("a.b") and not other.free("a.b")
        assert other.take("a")  # no part of another name
        other.drop("a.b")
        assert not other.free("a.b")  # it was not its own
        mine.drop("a.b")
        assert other.free("a.b")
        (tmp_path / "a.b").touch()
        assert not other.take("a.b")  # its entry is there
    assert list(tmp_path.iterdir()) == [tmp_path / "a.b"]


def test_an_owner_on_another_host_is_taken_for_dead_by_its_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with claims(tmp_path, lease=60) as here:
        monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
        far = claims(tmp_path)
        far._touch()
        assert far.take("a")
        monkeypatch.undo()
        assert not here.take("a")
        sign = tmp_path / FOLDER / far.owner
        os.utime(sign, (time.time() - 59, time.time() - 59))
        assert not here.take("a")
        os.utime(sign, (time.time() - 61, time.time() - 61))
        assert here.free("a") and here.take("a")
        assert (tmp_path / FOLDER / "a.1").read_text() == here.owner
        assert not far.take("a")


def test_an_owner_killed_before_it_wrote_its_name(tmp_path: Path) -> None:
    with claims(tmp_path) as here:
        nameless = tmp_path / FOLDER / "a.0"
        nameless.touch()
        assert not here.take("a")
        os.utime(nameless, (1, 1))
        assert here.take("a")


def test_a_dead_process_of_this_host_is_known_at_once(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        with claims(tmp_path) as theirs:
            theirs.take("a")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # dead, and nobody has waited for it
    with claims(tmp_path) as here:
        assert here.take("a")
    os.waitpid(child, 0)


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("in the way")
    with pytest.raises(StoreError) as caught, claims(tmp_path):
        pass
    assert str(caught.value) == (
        f"nothing can be written to {tmp_path / FOLDER}: File exists. "
        "Try: free space or choose another folder with paths.cache=; finished videos are kept"
    )


def test_what_the_dead_leave_is_swept_and_their_open_work_is_not(tmp_path: Path) -> None:
    with claims(tmp_path) as here:
        (tmp_path / "done").touch()
        for name in ("done.0", "open.0"):
            (tmp_path / FOLDER / name).write_text("elsewhere~1~1~ab")
        (tmp_path / FOLDER / "elsewhere~2~2~cd").write_text(".")  # lives
        sign = tmp_path / FOLDER / "elsewhere~3~3~ef"
        sign.write_text(".")
        os.utime(sign, (1, 1))
        assert here.free("open")
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == ["elsewhere~2~2~cd", "open.0"]
