"""One decoding child as its parent sees it: started, listened to, killed."""

from __future__ import annotations

import multiprocessing
import sys
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from fmcvqa.data.decoding.base import Frame, Order
from fmcvqa.data.decoding.child import SharedSlots, main
from fmcvqa.errors import VideoError

_START_SECONDS = 120.0  # importing the libraries from a cold network disk
_LONGEST_WAIT = 3600.0  # at once: the system's own waits have no infinity
_SLOTS = 2  # one is filled while the other is read


@dataclass(frozen=True)
class Limits:
    """What a child may spend.

    Attributes:
        timeout_seconds: For one chunk.
        video_seconds: For one video; time in which nobody takes its frames does not count.
        memory_bytes: More than it has at its start (Linux).
    """

    timeout_seconds: float
    video_seconds: float
    memory_bytes: int


@dataclass
class Job:
    """A video to decode.

    Attributes:
        video_id: Its id.
        path: Its file.
        delivered: How many of its chunks were delivered.
        retried: Whether this is its second try.
        stage: ``open`` until its first frame is there, then ``decode``.
        waited: Seconds in which somebody waited for it.
        started: When it was begun, in seconds of the monotonic clock.
    """

    video_id: str
    path: str | Path
    delivered: int = 0
    retried: bool = False
    stage: str = "open"
    waited: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def watched(self, frames: Iterator[tuple[int, Frame]]) -> Iterator[tuple[int, Frame]]:
        """The same frames, which say that the file is open."""
        for frame in frames:
            self.stage = "decode"
            yield frame

    def failed(self, error: VideoError) -> VideoError:
        """The error with where and when it came."""
        return error.at(self.stage, round(time.monotonic() - self.started, 3))


class Worker:
    """The parent's side of one child.

    Attributes:
        job: The video the child is at, or None.
        ready: Whether the child ever said something.
        closed: Whether it is ended.
        deadline: When its next message is due, in seconds of the monotonic clock.
        slots: The memory shared with it.
    """

    def __init__(self, order: Order, chunk_bytes: int, limits: Limits) -> None:
        self.job: Job | None = None
        self.ready = self.closed = False
        self.limits, self.timeout = limits, limits.timeout_seconds
        self.deadline = time.monotonic() + _START_SECONDS
        self.slots = SharedSlots(_SLOTS, chunk_bytes)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([main.__module__])
        self.conn, theirs = context.Pipe()
        arguments = (theirs, self.slots, order, limits.memory_bytes)
        self.process = context.Process(target=main, args=arguments, name="fmcvqa-decode", daemon=True)
        try:
            with _hidden_main():
                self.process.start()
        except BaseException:
            self.conn.close()
            self.slots.close()
            raise
        finally:
            theirs.close()

    def start(self, job: Job) -> None:
        """Gives the idle child a video."""
        self.job = job
        job.started = job.started if job.retried else time.monotonic()
        self._send(("decode", job.path, job.delivered))
        if self.ready:
            self.deadline = time.monotonic() + self.timeout

    def give_back(self, slot: int) -> None:
        """Lets the child write into this slot again."""
        self._send(("free", slot))
        self.deadline = time.monotonic() + self.timeout

    def due(self, now: float) -> float:
        """When its video has had its time, or its next message is late."""
        if not self.job or not self.ready:
            return self.deadline
        return min(self.deadline, now + max(0.0, self.limits.video_seconds - self.job.waited))

    def message(self) -> tuple[Any, ...]:
        """The child's next message, ("dead", how) or ("silent",); the latter two close it."""
        try:
            if self.conn.poll():
                message: tuple[Any, ...] = self.conn.recv()
                self.ready = True
                self.deadline = time.monotonic() + self.timeout
                return message
        except (EOFError, OSError):
            self.process.join(5)
            code = self.process.exitcode
            self.close()
            return "dead", f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        self.close()
        return ("silent",) if self.ready else ("dead", "no sign of life")

    def spent(self) -> tuple[Any, ...]:
        """Closes the child whose video has had all its time."""
        self.close()
        return ("spent",)

    def _send(self, message: tuple[Any, ...]) -> None:
        try:
            self.conn.send(message)
        except OSError:
            return  # it died; the next look at its pipe says so

    def close(self) -> None:
        """Ends the child at once: it holds nothing that could be lost."""
        if self.closed:
            return
        self.closed = True
        self.job = None
        self.process.kill()
        self.process.join()
        self.process.close()
        self.conn.close()
        self.slots.close()


def heard(busy: list[Worker]) -> list[Worker]:
    """Waits until a child says something or runs out of time; all of which that is true, after an hour of none."""
    began = time.monotonic()
    by_conn: dict[Any, Worker] = {worker.conn: worker for worker in busy}
    patience = min(worker.due(began) for worker in busy) - began
    spoke = [by_conn[conn] for conn in wait(list(by_conn), min(max(0.0, patience), _LONGEST_WAIT))]
    now = time.monotonic()
    late = [worker for worker in busy if worker not in spoke and worker.due(began) <= now]
    for worker in busy:
        if worker.job and worker.ready:
            worker.job.waited += now - began
    return spoke + late


@contextmanager
def _hidden_main() -> Iterator[None]:
    """Keeps multiprocessing from importing the user's script in a child, torch and all its work included."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
