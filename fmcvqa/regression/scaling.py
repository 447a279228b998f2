"""Column statistics of a block over many training folds at once, and the scalings made of them.

A scaling is leak-proof to the last bit: a fold's numbers are computed from that fold's training rows alone, so
that no change of a test row can change them, not even by rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.intp]

PER_FOLD = ("standard", "minmax")
PER_SAMPLE = ("none", "l2", "signed_sqrt", "signed_sqrt_l2")
SCALERS = PER_FOLD + PER_SAMPLE

_COLUMNS_AT_ONCE = 2048
_ROWS_AT_ONCE = 64  # with 4096 columns of float32 1 MB: scaling stays in the processor's cache
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class ColumnScale:
    """How one block's columns are scaled: ``(x - shift) / scale``.

    Attributes:
        shift: Float64 ``[columns]``.
        scale: Float64 ``[columns]``, never 0.
        total: Sum of all scaled values of the fitting rows.
        squares: Sum of their squares; with ``total`` it gives the variance that ``gamma="scale"`` needs.
    """

    shift: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    total: float
    squares: float

    def part(self, start: int, stop: int) -> ColumnScale:
        """The scaling of some columns."""
        return ColumnScale(self.shift[start:stop], self.scale[start:stop], self.total, self.squares)


def column_scales(block: FloatArray, row_sets: Sequence[Rows], scaler: str) -> list[ColumnScale]:
    """One scaling per set of fitting rows, as scikit-learn's StandardScaler or MinMaxScaler computes it.

    Args:
        block: ``[videos, columns]``.
        row_sets: Row numbers of each training fold.
        scaler: ``"standard"`` (mean, standard deviation with ddof 0) or ``"minmax"`` (minimum, range). A column
            that is constant in the fold keeps the scale 1.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # a kernel that is not finite is an error where it is used
        means, variances = _moments(block, row_sets)
        if scaler == "standard":
            return [_standard(m, v, len(rows)) for m, v, rows in zip(means, variances, row_sets, strict=True)]
        return [_minmax(block, rows, m, v) for m, v, rows in zip(means, variances, row_sets, strict=True)]


def _standard(mean: npt.NDArray[np.float64], variance: npt.NDArray[np.float64], count: int) -> ColumnScale:
    constant = variance <= count * _EPS * variance + (count * mean * _EPS) ** 2  # scikit-learn's own bound
    scale = np.where(constant, 1.0, np.sqrt(variance))
    return ColumnScale(mean, scale, 0.0, count * float(np.sum(variance / scale**2)))


def _minmax(
    block: FloatArray, rows: Rows, mean: npt.NDArray[np.float64], variance: npt.NDArray[np.float64]
) -> ColumnScale:
    low, high = np.empty(block.shape[1]), np.empty(block.shape[1])
    for start in range(0, block.shape[1], _COLUMNS_AT_ONCE):
        part = block[:, start : start + _COLUMNS_AT_ONCE][rows]
        low[start : start + part.shape[1]], high[start : start + part.shape[1]] = part.min(axis=0), part.max(axis=0)
    spread = high - low
    scale = np.where(spread < 10 * _EPS, 1.0, spread)  # scikit-learn's own bound
    centre = (mean - low) / scale
    squares = float(np.sum(variance / scale**2 + centre**2))
    return ColumnScale(low, scale, len(rows) * float(np.sum(centre)), len(rows) * squares)


def _moments(block: FloatArray, row_sets: Sequence[Rows]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and variance ``[folds, columns]`` of each set of rows, in float64.

    All folds that share a row are done by two matrix products on the differences from that row: a row of the fold
    lies within sqrt(n - 1) standard deviations of its mean, so the one-pass variance keeps 13 digits, and a column
    that is constant in the fold gives exactly 0.
    """
    means = np.empty((len(row_sets), block.shape[1]))
    variances = np.empty_like(means)
    for anchor, members in _anchors(row_sets, block.shape[0]):
        weights = np.zeros((len(members), block.shape[0]))
        for i, fold in enumerate(members):
            weights[i, row_sets[fold]] = 1.0 / len(row_sets[fold])
        for start in range(0, block.shape[1], _COLUMNS_AT_ONCE):
            part = block[:, start : start + _COLUMNS_AT_ONCE].astype(np.float64)
            origin = part[anchor].copy()
            part -= origin
            offset = weights @ part
            np.square(part, out=part)
            stop = start + part.shape[1]
            means[members, start:stop] = origin + offset
            variances[members, start:stop] = np.maximum(weights @ part - offset**2, 0.0)
    return means, variances


def _anchors(row_sets: Sequence[Rows], count: int) -> list[tuple[int, list[int]]]:
    """Few rows such that every set holds one of them, each with the sets it stands for."""
    member = np.zeros((len(row_sets), count), dtype=bool)
    for fold, rows in enumerate(row_sets):
        member[fold, rows] = True
    left = np.ones(len(row_sets), dtype=bool)
    chosen: list[tuple[int, list[int]]] = []
    while left.any():
        row = int(member[left].sum(axis=0).argmax())
        served = left & member[:, row]
        chosen.append((row, np.flatnonzero(served).tolist()))
        left &= ~served
    return chosen


def scale_rows(raw: FloatArray, scale: ColumnScale, out: FloatArray) -> None:
    """Write ``(raw - shift) / scale`` for ``raw`` ``[videos, columns]`` into ``out``, in its precision."""
    # Rounding the shift to float32 moves all rows alike, and neither kernel sees a translation.
    shift = scale.shift.astype(raw.dtype if raw.dtype == np.float64 else out.dtype)
    with np.errstate(over="ignore"):  # a kernel that is not finite is an error where it is used
        factor = (1.0 / scale.scale).astype(out.dtype)
    for row in range(0, len(raw), _ROWS_AT_ONCE):
        here = slice(row, row + _ROWS_AT_ONCE)
        np.subtract(raw[here], shift, out=out[here], casting="same_kind")
        out[here] *= factor


def scale_samples(raw: FloatArray, scaler: str, out: FloatArray) -> None:
    """Write a per-sample scaling of ``raw`` into ``out``; unit length is given to the whole concatenation later."""
    out[:] = raw
    if scaler.startswith("signed_sqrt"):
        np.copyto(out, np.sign(out) * np.sqrt(np.abs(out)))
