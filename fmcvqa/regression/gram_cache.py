"""Where computed kernels are kept: in memory up to a limit, and on disk for other processes."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fmcvqa.files import write_atomic

FloatArray = npt.NDArray[np.floating[Any]]

_DIGEST = 32


class GramCache:
    """Packed kernels by fold and name.

    A sweep asks for the same folds in the same order once per cell. Under such cyclic use, throwing out what was
    used longest ago throws out exactly what is needed next; so a full cache keeps what it has, and only kernels of
    folds that are not ``current`` make room.

    Args:
        limit: Bytes to hold in memory.
        disk: Where other processes find them, or None.
    """

    def __init__(self, limit: int, disk: GramFolder | None = None) -> None:
        self.limit, self.disk = limit, disk
        self.current: set[str] = set()
        self.bytes = self.hits = self.misses = 0
        self._held: dict[tuple[str, str], FloatArray] = {}
        self._lock = threading.Lock()

    def get(self, fold: str, name: str, length: int, *, on_disk: bool = True) -> FloatArray | None:
        """The kernel of so many numbers, or None; a damaged file counts as none and is written anew."""
        with self._lock:
            held = self._held.get((fold, name))
            if held is None and self.disk is not None and on_disk:
                held = self.disk.read(fold, name, length)
                if held is not None:
                    self._hold(fold, name, held)
            self.hits += held is not None
            self.misses += held is None
        return held

    def put(self, fold: str, name: str, packed: FloatArray, *, on_disk: bool = True) -> None:
        """Keep a kernel, in memory as far as there is room."""
        with self._lock:
            self._hold(fold, name, packed)
        if self.disk is not None and on_disk:
            self.disk.write(fold, name, packed, self.current)

    def _hold(self, fold: str, name: str, packed: FloatArray) -> None:
        if self.bytes + packed.nbytes > self.limit:
            for key in [key for key in self._held if key[0] not in self.current]:
                self.bytes -= self._held.pop(key).nbytes
        if self.bytes + packed.nbytes <= self.limit:
            self._held[fold, name] = packed
            self.bytes += packed.nbytes


class GramFolder:
    """Kernels on disk, ``<root>/<features>/<fold>/<name>.gram``, each behind its SHA-256.

    All features under one root share the limit. Where it is reached, kernels of folds that are not current are
    removed, the oldest first; current ones are then written no more. What another process misses it computes.

    Args:
        root: Folder of all kernels.
        features: Key of the features.
        limit: Bytes of all files under ``root``.
    """

    def __init__(self, root: Path, features: str, limit: int) -> None:
        self.root, self.features, self.limit = root, features, limit
        self._room = -1  # bytes that may be written before the files are counted again

    def read(self, fold: str, name: str, length: int) -> FloatArray | None:
        """The kernel of so many numbers, or None if there is none that is whole."""
        try:
            content = self._file(fold, name).read_bytes()
        except FileNotFoundError:
            return None
        body = content[_DIGEST:]
        size = len(body) // max(1, length)
        if hashlib.sha256(body).digest() != content[:_DIGEST] or size not in (4, 8) or size * length != len(body):
            return None
        return np.frombuffer(body, np.float32 if size == 4 else np.float64)

    def write(self, fold: str, name: str, packed: FloatArray, current: set[str]) -> None:
        """Write a kernel if there is, or can be made, room for it."""
        body = np.ascontiguousarray(packed).tobytes()
        needed = len(body) + _DIGEST
        if self._room < needed:
            self._room = self._make_room(needed, current)
        if self._room >= needed:
            self._room -= needed
            write_atomic(self._file(fold, name), hashlib.sha256(body).digest() + body)

    def _make_room(self, needed: int, current: set[str]) -> int:
        """Bytes that may be written now: a sixteenth of the limit at most, since other processes write too."""
        found = []
        for file in self.root.rglob("*.gram"):
            try:
                found.append((file.stat(), file))
            except FileNotFoundError:  # another process has made room
                continue
        used = sum(status.st_size for status, _ in found)
        kept = {self._folder(fold) for fold in current}
        for status, file in sorted(found, key=lambda pair: pair[0].st_mtime):
            if used + needed <= self.limit:
                break
            if file.parent not in kept:
                file.unlink(missing_ok=True)
                used -= status.st_size
        return min(self.limit - used, max(needed, self.limit // 16))

    def _folder(self, fold: str) -> Path:
        return self.root / self.features / fold[:32]

    def _file(self, fold: str, name: str) -> Path:
        return self._folder(fold) / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.gram"
