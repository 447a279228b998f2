"""Is a video like those a model was trained on? By its distance to the nearest of them.

Distances are Euclidean between features that are standardised column by column, as the regressor's kernels see them,
and taken to the nearest training videos (Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors", ICML
2022). A model file cannot hold the training features, so each video is kept as a count sketch: every column is added
to one of 256 cells with a sign, both from a hash of its number (Weinberger et al., "Feature Hashing for Large Scale
Multitask Learning", ICML 2009). Squared distances between sketches are unbiased, with a relative standard deviation of
about sqrt(2 / 256), on both sides of the comparison.

The limit is calibrated leave-one-out: each training video's distance to the nearest of the others. The column's
statistics are those of all training videos, itself included.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from fmcvqa.errors import FeatureError, ModelFileError
from fmcvqa.features.matrix import Block, FeatureMatrix, FloatArray
from fmcvqa.features.sketch import hashed
from fmcvqa.regression.scaling import column_scales

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

CELLS = 256
NEAREST = 5
ALIKE = 0.99  # so much of the training set counts as like the rest of it
_COLUMNS_AT_ONCE = 4096
_ROUNDING = 4 * float(np.finfo(np.float32).eps)  # relative; less is no spread but the rounding of float32


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The training videos as sketches, and how far apart those that are alike may be.

    Attributes:
        shift: Mean of each column, float32 ``[columns]`` by block.
        scale: Its standard deviation, 1 where that is 0.
        sketches: Float32 ``[videos, cells]``.
        limit: A larger mean distance to the nearest five videos is unlike the training set.
    """

    shift: dict[Block, Float32]
    scale: dict[Block, Float32]
    sketches: Float32
    limit: float

    @property
    def false_alarms(self) -> float:
        """Share of videos like the training set that are expected beyond the limit."""
        return 1 - _rank(len(self.sketches)) / (len(self.sketches) + 1)

    def distance(self, blocks: Mapping[Block, FloatArray]) -> Float64:
        """How far videos are from the training set, as multiples of the limit, ``[n]``.

        Args:
            blocks: Unscaled features ``[n, columns]`` of at least the blocks this was fitted on.

        Raises:
            ModelFileError: If a block is missing or has other columns.
        """
        for key, shift in self.shift.items():
            if key not in blocks or blocks[key].shape[1] != len(shift):
                advice = "give features of the recipe it was fitted on"
                raise ModelFileError(f"the training set has {len(shift)} columns of {'/'.join(key)}", advice=advice)
        found = _sketch(blocks, self.shift, self.scale, self.sketches.shape[1])
        return _nearest(_distances(found, self.sketches)) / self.limit

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything there is, by name, as the attributes have it; ``limit`` as ``[1]``."""
        named: dict[str, npt.NDArray[Any]] = {"sketches": self.sketches, "limit": np.array([self.limit])}
        for key, shift in self.shift.items():
            named["/".join(["shift", *key])], named["/".join(["scale", *key])] = shift, self.scale[key]
        return named

    def meta(self) -> dict[str, Any]:
        """What :meth:`load` needs beside the arrays, and what the limit means; JSON."""
        return {
            "blocks": [list(key) for key in self.shift],
            "nearest": NEAREST,
            "calibration": "leave-one-out distances of the training videos",
            "false_alarms": self.false_alarms,
        }

    @classmethod
    def load(cls, arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> TrainingSet:
        """The training set that gave these ``arrays()`` and ``meta()``.

        Raises:
            ModelFileError: If something is missing or out of its range.
        """
        try:
            keys = [(str(tap), str(pool)) for tap, pool in meta["blocks"]]
            shift, scale = ({key: arrays["/".join([name, *key])] for key in keys} for name in ("shift", "scale"))
            made = cls(shift, scale, arrays["sketches"], float(arrays["limit"][0]))
            if meta["nearest"] != NEAREST or made.sketches.ndim != 2 or not 0 < made.limit < math.inf:
                raise ValueError("not its numbers")
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise ModelFileError(f"the training set is not whole ({error})", advice="fit the model again") from error
        return made


def fit_training_set(features: FeatureMatrix, blocks: Sequence[Block]) -> TrainingSet:
    """Sketch the training videos and calibrate the limit on them.

    Args:
        features: The training videos.
        blocks: Blocks a model uses.

    Raises:
        FeatureError: If there are fewer than three videos, or all are the same.
    """
    count = len(features)
    if count < 3:
        raise FeatureError(f"{count} videos are too few to say what is like them", advice="give more videos")
    statistics = {key: _statistics(features.blocks[key]) for key in blocks}
    shift, scale = ({key: pair[at] for key, pair in statistics.items()} for at in (0, 1))
    columns = sum(len(values) for values in shift.values())
    sketched = _sketch({key: features.blocks[key] for key in blocks}, shift, scale, min(CELLS, columns))
    sketches: Float32 = sketched.astype(np.float32)
    apart = _distances(sketches, sketches)
    np.fill_diagonal(apart, np.inf)
    limit = float(np.sort(_nearest(apart))[_rank(count) - 1])
    if not limit > 0:
        raise FeatureError("all training videos have the same features", advice="give different videos")
    return TrainingSet(shift, scale, sketches, limit)


def _rank(count: int) -> int:
    """The rank of the leave-one-out distance that is the limit: conformal where there are 99 videos, else the last."""
    return min(math.ceil((count + 1) * ALIKE), count)


def _statistics(block: FloatArray) -> tuple[Float32, Float32]:
    found = column_scales(block, [np.arange(len(block))], "standard")[0]
    constant = found.scale <= _ROUNDING * np.abs(found.shift)
    return found.shift.astype(np.float32), np.where(constant, 1.0, found.scale).astype(np.float32)


def _sketch(
    blocks: Mapping[Block, FloatArray], shift: Mapping[Block, Float32], scale: Mapping[Block, Float32], cells: int
) -> Float64:
    columns = sum(len(values) for values in shift.values())
    sketches = np.zeros((len(next(iter(blocks.values()))), cells))
    start = 0
    for key, centre in shift.items():
        for part in _parts(len(centre)):
            scaled = (np.asarray(blocks[key][:, part], np.float64) - centre[part]) / scale[key][part]
            numbers = start + np.arange(part.start, part.start + scaled.shape[1])
            cell, sign = hashed(numbers, cells) if columns > cells else (numbers, np.ones(len(numbers)))
            adds = csr_array((sign, (np.arange(len(numbers)), cell)), shape=(len(numbers), cells))
            sketches += (adds.T @ scaled.T).T
        start += len(centre)
    return sketches


def _distances(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Float64:
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    squares = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1)[None, :] - 2 * (x @ y.T)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def _nearest(distances: Float64) -> Float64:
    """The mean distance to the nearest five, or to all others if there are fewer."""
    count = min(NEAREST, distances.shape[1] - 1)
    return np.asarray(np.sort(distances, axis=1)[:, :count].mean(axis=1))


def _parts(columns: int) -> Iterator[slice]:
    return (slice(start, start + _COLUMNS_AT_ONCE) for start in range(0, columns, _COLUMNS_AT_ONCE))
