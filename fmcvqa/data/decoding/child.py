"""The child process: decodes one video after the other into memory it shares with its parent."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing.reduction as reduction
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from fmcvqa.data.decoding.base import Frame, Order, out_of_memory
from fmcvqa.errors import VideoError
from fmcvqa.memory import keep_memory

_KEPT = 64 << 20  # some frames: what a decoder frees between two of them it wants again for the next


class SharedSlots:
    """Memory for a few chunks, without a name: it is gone when the last process that has it is.

    A name in /dev/shm would outlive a killed parent and count against the 64 MB a container often has there.

    Args:
        count: Number of slots.
        size: Bytes a slot.
    """

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size
        if hasattr(os, "memfd_create"):
            self._fd = os.memfd_create("fmcvqa")
        else:
            with tempfile.TemporaryFile() as file:
                self._fd = os.dup(file.fileno())
        os.ftruncate(self._fd, count * size)
        self._memory: mmap.mmap | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"count": self.count, "size": self.size, "_fd": reduction.DupFd(self._fd), "_memory": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _fd=state["_fd"].detach())

    def close(self) -> None:
        """Closes the descriptor; the memory goes with the last array on it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._memory = None

    def slot(self, index: int) -> Frame:
        """The bytes of one slot, flat uint8."""
        if self._memory is None:
            self._memory = mmap.mmap(self._fd, self.count * self.size)
        return np.frombuffer(self._memory, np.uint8, self.size, index * self.size)


class _HangupError(Exception):
    """The parent is gone or wants no more."""


class _Child:
    def __init__(self, conn: Connection, slots: SharedSlots, order: Order) -> None:
        self.conn, self.slots, self.order = conn, slots, order
        self.free = list(range(slots.count))
        self.current = -1

    def receive(self) -> tuple[Any, ...]:
        try:
            message: tuple[Any, ...] | None = self.conn.recv()
        except (EOFError, OSError) as error:
            raise _HangupError from error
        if message is None:
            raise _HangupError
        return message

    def acquire(self) -> Frame:
        """A free slot; waits for the parent to give one back."""
        while not self.free:
            self.free.append(self.receive()[1])
        self.current = self.free.pop()
        return self.slots.slot(self.current)

    def serve(self) -> None:
        self.conn.send(("ready",))
        while True:
            message = self.receive()
            if message[0] == "free":
                self.free.append(message[1])
            else:
                failure = self.decode(*message[1:])
                if failure:
                    self.conn.send(failure)

    def _announced(self, frames: Iterator[tuple[int, Frame]]) -> Iterator[tuple[int, Frame]]:
        """The same frames; tells the parent that the file is open when the first is there."""
        first = next(frames, None)
        if first is not None:
            self.conn.send(("opened",))
            yield first
            yield from frames

    def decode(self, path: str | Path, skip: int) -> tuple[Any, ...] | None:
        """Sends the video's chunks but the first ``skip``, which the parent has; returns what went wrong, if anything.

        A video ends with its last chunk: what would be sent after it the parent would hear a chunk's work too late.
        """
        try:
            reader = self.order.decoder.reader_for(path)
            frames = self._announced(self.order.decoder.frames(path, stride=self.order.stride))
            stream = self.order.chunks(frames, self.acquire, self.slots.size)
            for number, (block, *about) in enumerate(stream):
                if number >= skip:
                    self.conn.send(("chunk", self.current, block.shape, (*about, reader)))
                    self.current = -1
                self._keep()
        except VideoError as error:
            return "failed", error.code, error.problem, error.found, error.advice
        except MemoryError:
            refused = out_of_memory(path)
            return "failed", refused.code, refused.problem, refused.found, refused.advice
        except _HangupError:
            raise
        except Exception:
            return "bug", traceback.format_exc()
        finally:
            self._keep()
        return None

    def _keep(self) -> None:
        """Frees the slot that was not sent: of a chunk the parent has, or one in which damage was found."""
        if self.current >= 0:
            self.free.append(self.current)
            self.current = -1


def _limit_memory(more: int) -> None:
    """From here on this process may have so many bytes more; asking for others fails instead of swapping."""
    import resource  # not on Windows, which has no forkserver either

    pages = int(Path("/proc/self/statm").read_text().split()[5])
    limit = pages * resource.getpagesize() + more
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    room = sys.maxsize if most == resource.RLIM_INFINITY else most
    resource.setrlimit(resource.RLIMIT_DATA, (min(limit, room), most))


def main(conn: Connection, slots: SharedSlots, order: Order, memory_bytes: int) -> None:
    """Serves the parent until it hangs up."""
    import resource

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a stuck child dies with its parent
        keep_memory(_KEPT)
        order.decoder.version()  # loads its libraries, which are of the start: torchcodec's take more than a video may
        _limit_memory(memory_bytes + getattr(order.decoder, "memory_bytes", 0))  # decord decodes ahead, up to its limit
    try:
        _Child(conn, slots, order).serve()
    except (_HangupError, BrokenPipeError):
        return
