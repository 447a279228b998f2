"""Memory that one batch frees kept for the next, instead of fetched from the system anew, page by page."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# malloc.h of glibc. By itself it hands back what is free at the end of its memory, a frame or a batch at a time.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 << 20  # what its own adjustment would end at
_KEPT = 1 << 30


@contextmanager
def kept_memory() -> Iterator[None]:
    """Has glibc keep freed memory until the end, when it goes back to the system; nothing happens elsewhere."""
    keep_memory(_KEPT)
    try:
        yield
    finally:
        keep_memory(2 * _LARGEST_MMAP_THRESHOLD)
        libc = _glibc()
        if libc is not None:
            libc.malloc_trim(0)


def keep_memory(most: int) -> None:
    """Has glibc keep up to so many bytes of freed memory from here on."""
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        libc.mallopt(_TRIM_THRESHOLD, most)


def _glibc() -> Any:
    """The C library where it is glibc (or stands in for it), else None."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
