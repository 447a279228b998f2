"""Count sketches: few numbers that keep scalar products, and need neither data nor memory to be made.

Every number is added to one of k cells with a sign, both from a hash of its place (Weinberger et al., "Feature Hashing
for Large Scale Multitask Learning", ICML 2009). Scalar products of sketches are unbiased, with a standard deviation of
at most about sqrt(2 / k) of the product of the lengths.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

SEEDS = 1 << 24  # each has 2^40 numbers of the hash's sequence to itself


def hashed(places: npt.NDArray[np.intp], cells: int, seed: int = 0) -> tuple[npt.NDArray[np.intp], Float64]:
    """Cell and sign of places by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), the same on every machine.

    Args:
        places: Whole numbers from 0, ``[d]``.
        cells: Number of cells.
        seed: Below ``SEEDS``.

    Returns:
        Cells ``[d]`` from 0 to ``cells - 1``, and signs ``[d]``, 1 or -1.
    """
    z = (places.astype(np.uint64) + np.uint64((seed << 40) + 1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z % np.uint64(cells)).astype(np.intp), np.where(z >> np.uint64(63), 1.0, -1.0)


def count_sketch(vector: npt.NDArray[np.floating], cells: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """A vector as so many numbers; as it is if it has no more.

    Args:
        vector: ``[d]``.
        cells: Number of cells.
        seed: Below ``SEEDS``; vectors can be compared if it is the same.

    Returns:
        Float32 ``[min(d, cells)]``, added up in float64.
    """
    if len(vector) <= cells:
        return np.asarray(vector, np.float32)
    cell, sign = _hashed_to(len(vector), cells, seed)
    return np.bincount(cell, sign * vector, minlength=cells).astype(np.float32)


@lru_cache(maxsize=8)
def _hashed_to(width: int, cells: int, seed: int) -> tuple[npt.NDArray[np.intp], Float64]:
    return hashed(np.arange(width), cells, seed)
