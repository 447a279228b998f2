"""Where computed kernels are kept: in memory up to a limit, and on disk for other processes."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fmcvqa.sealed import write_atomic

FloatArray = npt.NDArray[np.floating[Any]]

_DIGEST = 32


class GramCache:
    """Packed kernels by fold and name.

    A sweep asks for the same folds in the same order once per cell. Under such cyclic use, throwing out what was
    used longest ago throws out exactly what is needed next; so a full cache keeps what it has, and only kernels of
    folds that are not ``current`` make room.

    Args:
        limit: Bytes to hold in memory.
        folder: Folder for files, or None.
    """

    def __init__(self, limit: int, folder: Path | None = None) -> None:
        self.limit, self.folder = limit, folder
        self.current: set[str] = set()
        self.bytes = self.hits = self.misses = 0
        self._held: dict[tuple[str, str], FloatArray] = {}
        self._lock = threading.Lock()

    def get(self, fold: str, name: str, length: int) -> FloatArray | None:
        """The kernel of so many numbers, or None; a damaged file counts as none and is written anew."""
        with self._lock:
            held = self._held.get((fold, name))
            if held is None and self.folder is not None:
                held = _read(_file(self.folder, fold, name), length)
                if held is not None:
                    self._hold(fold, name, held)
            self.hits += held is not None
            self.misses += held is None
        return held

    def put(self, fold: str, name: str, packed: FloatArray) -> None:
        """Keep a kernel, in memory as far as there is room."""
        with self._lock:
            self._hold(fold, name, packed)
        if self.folder is not None:
            body = np.ascontiguousarray(packed).tobytes()
            write_atomic(_file(self.folder, fold, name), hashlib.sha256(body).digest() + body)

    def _hold(self, fold: str, name: str, packed: FloatArray) -> None:
        if self.bytes + packed.nbytes > self.limit:
            for key in [key for key in self._held if key[0] not in self.current]:
                self.bytes -= self._held.pop(key).nbytes
        if self.bytes + packed.nbytes <= self.limit:
            self._held[fold, name] = packed
            self.bytes += packed.nbytes


def _file(folder: Path, fold: str, name: str) -> Path:
    return folder / f"{hashlib.sha256(f'{fold}/{name}'.encode()).hexdigest()[:32]}.gram"


def _read(file: Path, length: int) -> FloatArray | None:
    if not file.is_file():
        return None
    content = file.read_bytes()
    body = content[_DIGEST:]
    size = len(body) // max(1, length)
    if hashlib.sha256(body).digest() != content[:_DIGEST] or size not in (4, 8) or size * length != len(body):
        return None
    return np.frombuffer(body, np.float32 if size == 4 else np.float64)
