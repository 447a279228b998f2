"""Who computes what: claims on the videos of a store, so that any number of processes compute each one once.

A claim is a file ``<video id>.<generation>`` that only one process can create, with the name of its owner inside. Each
owner touches a file of its own every few seconds. A claim is stale, and the next generation of it may be created, when
its owner is a process of this host that is gone, or has not touched its file for ``lease`` seconds; both times are the
file server's, so clocks need not agree. Only exclusive creation and times of change are needed of the file system, not
locks, which network file systems often lack. An owner that was taken for dead but only slept computes a video twice,
to the same bytes; nothing worse can happen.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from fmcvqa.errors import StoreError

FOLDER = ".claims"


class Claims:
    """The claims of one process on a store's videos; a context in which its heart beats.

    Args:
        folder: The store's folder.
        held: Whether a video's entry is there already.
        lease: Seconds without a sign of life after which an owner is taken for dead.
    """

    def __init__(self, folder: Path, held: Callable[[str], bool], *, lease: float = 60.0) -> None:
        self.folder, self.held, self.lease = folder / FOLDER, held, lease
        self.owner = f"{socket.gethostname()}~{os.getpid()}~{_started(os.getpid())}~{secrets.token_hex(4)}"
        self._stop = threading.Event()
        self._beat: threading.Thread | None = None
        self._mine: set[str] = set()

    def take(self, video_id: str) -> bool:
        """Claim a video; False if its entry is there or another process that lives has claimed it.

        Raises:
            StoreError: If the disk refuses.
        """
        generation = self._highest(video_id)
        if generation >= 0 and self._lives(self.folder / f"{video_id}.{generation}"):
            return False
        try:
            handle = os.open(self.folder / f"{video_id}.{generation + 1}", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            with os.fdopen(handle, "w") as file:
                file.write(self.owner)
        except FileExistsError:
            return False
        except OSError as error:
            raise self._refused(error) from error
        self._mine.add(video_id)
        if self.held(video_id):  # finished between the look at it and the claim
            self.drop(video_id)
            return False
        return True

    def free(self, video_id: str) -> bool:
        """Whether nobody who lives has claimed a video."""
        generation = self._highest(video_id)
        return generation < 0 or not self._lives(self.folder / f"{video_id}.{generation}")

    def drop(self, video_id: str) -> None:
        """Give a claim of this process back, after the entry was written or the video failed; nobody else's."""
        if video_id not in self._mine:
            return
        self._mine.remove(video_id)
        for generation in range(self._highest(video_id), -1, -1):
            (self.folder / f"{video_id}.{generation}").unlink(missing_ok=True)

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._touch()
        except OSError as error:
            raise self._refused(error) from error
        self._beat = threading.Thread(target=self._live, daemon=True)
        self._beat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._beat is not None:
            self._beat.join()
        for video_id in list(self._mine):
            self.drop(video_id)
        with contextlib.suppress(OSError):  # others are at work, or have gone just now
            self._sweep()
            (self.folder / self.owner).unlink()
            self.folder.rmdir()

    def _sweep(self) -> None:
        """Remove what the dead have left: signs of life, and claims on entries that are there.

        A claim on an entry that is not is left to who takes it over: without it two might begin anew.
        """
        for path in list(self.folder.iterdir()):
            video_id, _, generation = path.name.rpartition(".")
            if generation.isdecimal():
                if not self._lives(path) and self.held(video_id):
                    path.unlink(missing_ok=True)
            elif "~" in path.name and not self._alive(path.name):
                path.unlink(missing_ok=True)

    def _refused(self, error: OSError) -> StoreError:
        return StoreError(
            f"nothing can be written to {self.folder}: {error.strerror}",
            advice="free space or choose another folder with paths.cache=; finished videos are kept",
        )

    def _live(self) -> None:
        while not self._stop.wait(self.lease / 6):
            with contextlib.suppress(OSError):  # the next beat may be luckier
                self._touch()

    def _touch(self) -> float:
        """Give a sign of life; gives the file server's time."""
        path = self.folder / self.owner
        with path.open("wb") as file:
            file.write(b".")  # some file systems note no time for a file that stays empty
        return path.stat().st_mtime

    def _highest(self, video_id: str) -> int:
        """The claim's last generation, -1 if there is none."""
        return max((int(path.suffix[1:]) for path in self._generations(video_id)), default=-1)

    def _generations(self, video_id: str) -> list[Path]:
        with contextlib.suppress(FileNotFoundError):
            names = [path.name for path in self.folder.iterdir() if path.name.startswith(f"{video_id}.")]
            return [self.folder / name for name in names if name[len(video_id) + 1 :].isdecimal()]
        return []

    def _lives(self, claim: Path) -> bool:
        try:
            owner = claim.read_text()
            if owner:
                return self._alive(owner)
            return self._touch() - claim.stat().st_mtime < self.lease  # stopped before it could write its name?
        except FileNotFoundError:
            return False  # it was given back

    def _alive(self, owner: str) -> bool:
        if owner == self.owner:
            return True
        host, pid, started = (*owner.split("~"), "", "")[:3]
        if host == socket.gethostname() and pid.isdecimal():
            return _started(int(pid)) == started
        try:
            return self._touch() - (self.folder / owner).stat().st_mtime < self.lease
        except FileNotFoundError:
            return False  # it has gone, and its sign of life with it


def _started(pid: int) -> str:
    """When a process of this host began, so that a number used again is not taken for it; empty if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return "" if Path("/proc/self/stat").exists() else _signalled(pid)
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]  # a dead one that nobody has waited for yet counts as gone


def _signalled(pid: int) -> str:
    """The same where there is no /proc: only whether it is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "there"
    return "there"
