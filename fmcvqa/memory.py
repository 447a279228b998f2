"""Memory of the process: kept from one batch to the next, handed back, and pages of their own for features."""

from __future__ import annotations

import ctypes
import gc
import mmap
import sys
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Key = TypeVar("Key", bound=Hashable)
Vector = npt.NDArray[np.float32]

# malloc.h of glibc. By itself it hands back what is free at the end of its memory, a frame or a batch at a time.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_AHEAD = 128 << 10  # its own TOP_PAD
_HEAP = 64 << 20  # the pieces in which a thread's memory comes
_LARGEST_MMAP_THRESHOLD = 32 << 20  # what its own adjustment would end at
_KEPT = 1 << 30


@contextmanager
def kept_memory() -> Iterator[None]:
    """Has glibc keep freed memory until the end; nothing happens elsewhere.

    Then it goes back to the system, but for the last 64 MiB of each thread other than the first.
    """
    hand_back()
    keep_memory(_KEPT, ahead=_HEAP)
    try:
        yield
    finally:
        keep_memory(2 * _LARGEST_MMAP_THRESHOLD)
        hand_back()


def keep_memory(most: int, *, ahead: int = _AHEAD) -> None:
    """Has glibc keep freed memory from here on.

    Args:
        most: Bytes it keeps.
        ahead: Bytes of address space it takes beyond those asked for. Threads other than the first give back each piece
            of their memory in which nothing is used, whatever ``most`` says, unless this is as large as a piece.
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        libc.mallopt(_TRIM_THRESHOLD, most)
        libc.mallopt(_TOP_PAD, ahead)


def release() -> None:
    """Has what nothing but itself refers to freed, and handed back: networks that were traced do so. Takes 0.3 s."""
    gc.collect()
    hand_back()


def hand_back() -> None:
    """Has glibc hand freed memory back to the system now."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def has_room(size: int) -> bool:
    """Whether this process may still take so many bytes at once, of which it keeps none; True where it is not Linux."""
    if sys.platform != "linux":
        return True
    for _ in range(2):
        try:
            mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
        except OSError:
            hand_back()  # what is free, which counts as taken
        else:
            return True
    return False


def apart(vectors: Mapping[Key, Vector]) -> dict[Key, Vector]:
    """Copies of vectors ``[d]`` in pages of their own (Linux), for what stays when the batches around it are gone.

    In room that a batch has left, each could cost a batch's memory: the next one of that size does not fit there again.
    """
    if sys.platform != "linux":
        return dict(vectors)
    # Private, since the kernel counts neighbours of that kind as one mapping, and a process has 65,530.
    pages = mmap.mmap(-1, sum(v.nbytes for v in vectors.values()), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    kept, start = dict[Key, Vector](), 0
    for name, values in vectors.items():
        kept[name] = np.frombuffer(pages, np.float32, len(values), start)
        kept[name][:] = values
        start += values.nbytes
    return kept


def _glibc() -> Any:
    """The C library where it is glibc (or stands in for it), else None."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
