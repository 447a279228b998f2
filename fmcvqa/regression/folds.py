"""One training fold: what its scaling is fitted on, and the kernels of all videos under that scaling."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fmcvqa.errors import ConfigError, FeatureError
from fmcvqa.features.matrix import Block, FloatArray
from fmcvqa.regression.scaling import PER_FOLD, SCALERS, Rows

Float64 = npt.NDArray[np.float64]
UNIT_LENGTH = ("l2", "signed_sqrt_l2")


@dataclass(frozen=True, eq=False)
class Fold:
    """The rows a scaling is fitted on.

    Attributes:
        train: Rows of the training fold.
        scaler: One of ``SCALERS``; those per sample do not look at ``train``.
        own: Rows scaled by their own statistics instead (``scaling=target`` across datasets), or None.

    Raises:
        ConfigError: If there is no such scaler, or a per-sample scaler is given ``own`` rows.
    """

    train: Rows
    scaler: str = "standard"
    own: Rows | None = None

    def __post_init__(self) -> None:
        if self.scaler not in SCALERS:
            raise ConfigError(f"the scaling {self.scaler} is unknown", found=", ".join(SCALERS))
        if self.own is not None and self.scaler not in PER_FOLD:
            advice = f"use scaling=source, or one of {', '.join(PER_FOLD)}"
            raise ConfigError(f"a target has no {self.scaler} statistics of its own", advice=advice)

    @cached_property
    def key(self) -> str:
        """SHA-256 of everything that changes a kernel; the same for all folds if the scaling is per sample."""
        digest = hashlib.sha256(self.scaler.encode())
        for rows in self.row_sets if self.scaler in PER_FOLD else ():
            digest.update(f"{len(rows)}:".encode() + np.ascontiguousarray(rows, dtype=np.int64).tobytes())
        return digest.hexdigest()

    @property
    def row_sets(self) -> list[Rows]:
        """The rows of each scaling: the training fold, then those with their own."""
        return [self.train] if self.own is None else [self.train, self.own]


@dataclass(frozen=True)
class Moments:
    """Number of columns of a block, and sum and sum of squares of its scaled values.

    Over the training rows (numbers) if the scaling is per fold, for each row (arrays ``[N]``) if it is per sample.
    """

    columns: int
    total: float | Float64
    squares: float | Float64


@dataclass(frozen=True, eq=False)
class FoldKernels:
    """The kernels of some blocks under one fold; kernels of any concatenation of them are sums.

    Attributes:
        fold: The fold.
        count: Number of videos N, tested ones included.
        packed: The lower triangle of each block's kernel row by row, ``[N (N + 1) / 2]``.
        moments: The sums that ``gamma="scale"`` needs, by block.
    """

    fold: Fold
    count: int
    packed: Mapping[Block, FloatArray]
    moments: Mapping[Block, Moments]
    _last: dict[tuple[Block, ...], Float64] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def gram(self, blocks: Sequence[Block]) -> Float64:
        """The linear kernel ``[N, N]`` of the concatenated blocks, read only.

        The last one is kept: in a table each cell's other kernel comes next.

        Raises:
            FeatureError: If it is not finite.
        """
        with self._lock:  # a thread with the other kernel of the same layers waits instead of adding up again
            held = self._last.get(tuple(blocks))
            if held is None:
                held = self._sum(blocks)
                held.setflags(write=False)
                self._last.clear()
                self._last[tuple(blocks)] = held
            return held

    def _sum(self, blocks: Sequence[Block]) -> Float64:
        packed = np.zeros(self.count * (self.count + 1) // 2)
        for block in blocks:
            packed += self.packed[block]
        if not np.isfinite(packed).all():
            raise FeatureError(
                f"the kernel of {', '.join('/'.join(block) for block in blocks)} is not finite",
                advice="the features are too large or too nearly constant: use precision=float64 or another scaling",
            )
        full = unpack(packed, self.count)
        if self.fold.scaler in UNIT_LENGTH:
            norm = length(np.diagonal(full))
            full /= norm[:, None] * norm[None, :]
        return full

    def variance(self, blocks: Sequence[Block]) -> tuple[int, float]:
        """Number of columns, and variance over all scaled training values of the concatenation."""
        parts = [self.moments[block] for block in blocks]
        columns = sum(part.columns for part in parts)
        total, squares = sum(part.total for part in parts), sum(part.squares for part in parts)
        if self.fold.scaler not in PER_FOLD:
            norm = length(np.asarray(squares)) if self.fold.scaler in UNIT_LENGTH else np.ones(self.count)
            total = np.sum((np.asarray(total) / norm)[self.fold.train])
            squares = np.sum((np.asarray(squares) / norm**2)[self.fold.train])
        values = columns * len(self.fold.train)
        return columns, float(squares / values - (total / values) ** 2)


def length(squares: Float64) -> Float64:
    """Square roots, with 1 for 0 as scikit-learn's Normalizer has it."""
    return np.where(squares == 0, 1.0, np.sqrt(squares))


def pack(lower: FloatArray) -> FloatArray:
    """The lower triangle of a square matrix, row by row."""
    return np.concatenate([lower[row, : row + 1] for row in range(len(lower))])


def unpack(packed: FloatArray, count: int) -> Float64:
    """The symmetric float64 matrix ``[count, count]`` of a packed lower triangle."""
    full = np.zeros((count, count))
    start = 0
    for row in range(count):
        full[row, : row + 1] = packed[start : start + row + 1]
        start += row + 1
    diagonal = np.diagonal(full).copy()
    full += full.T
    np.fill_diagonal(full, diagonal)
    return full
