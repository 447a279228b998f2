"""The guards against leaks: what an honest evaluation passes and a leaky one does not.

Each takes a pipeline, ``(features, mos) -> Evaluation``, so that anybody's can be held against it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from fmcvqa.errors import EXIT_SOME_FAILED, FeatureError
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.regression.evaluate import Evaluation

Float64 = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
Pipeline = Callable[[FeatureMatrix, Float64], Evaluation]


class LeakError(FeatureError):
    """A guard has caught something: a score would say too much."""

    exit_code = EXIT_SOME_FAILED


def scrambled(features: FeatureMatrix, mos: Float64, rows: Rows, seed: int = 5) -> tuple[FeatureMatrix, Float64]:
    """The same set with other features and another MOS in these rows.

    Args:
        features: The videos.
        mos: Their MOS, ``[videos]``.
        rows: The rows to change.
        seed: Of the change.
    """
    rng = np.random.default_rng(seed)
    # In the same order of memory: BLAS rounds the sums of another order another way, and that is no leak.
    blocks = {key: block.copy(order="K") for key, block in features.blocks.items()}
    for block in blocks.values():
        other, noise = block[rng.permutation(len(block))[: len(rows)]], rng.normal(size=(len(rows), block.shape[1]))
        block[rows] = other + 0.5 * block.std(axis=0) * noise
    changed = mos.copy()
    changed[rows] = rng.uniform(mos.min() - np.ptp(mos), mos.max() + np.ptp(mos), len(rows))
    return FeatureMatrix(features.ids, blocks, features.carries_ids), changed


def metamorphic_gate(pipeline: Pipeline, features: FeatureMatrix, mos: Float64, tested: Sequence[Rows]) -> None:
    """Scramble each split's tested rows: no bit of what was fitted on that split may change.

    Args:
        pipeline: What is held against the guard.
        features: The videos.
        mos: Their MOS, ``[videos]``.
        tested: The tested rows of the first splits, in their order.

    Raises:
        LeakError: If a split was fitted on its tested rows.
        ValueError: If the rows are not those that the pipeline tests.
    """
    before = pipeline(features, mos)
    for number, rows in enumerate(tested):
        after = pipeline(*scrambled(features, mos, rows))
        if after.rows[number]["srocc"] == before.rows[number]["srocc"]:
            raise ValueError("the scrambled rows were not the tested ones")
        if after.fitted[number] != before.fitted[number]:
            raise LeakError(f"split {number} was fitted on its test rows")


def lone_video_gate(pipeline: Pipeline, features: FeatureMatrix, mos: Float64, rows: Rows) -> None:
    """Scramble all tested rows but the first: the prediction of the first may not change.

    Raises:
        LeakError: If it does.
    """
    name = features.ids[rows[0]]
    before = {p["id"]: p["predicted"] for p in pipeline(features, mos).predictions}
    after = {p["id"]: p["predicted"] for p in pipeline(*scrambled(features, mos, rows[1:])).predictions}
    if not np.isclose(before[name], after[name], rtol=1e-9, atol=0):
        raise LeakError(f"the prediction of {name} depends on the other tested videos")


def permuted_label_control(pipeline: Callable[[int], Evaluation], permutations: int = 20) -> tuple[float, float]:
    """With permuted labels the mean of each permutation's mean SROCC lies within 3 standard errors of 0.

    The standard error is taken over permutations: the splits of one permutation depend on each other.

    Args:
        pipeline: Takes the permutation's number.
        permutations: How many.

    Returns:
        The mean, and the 3 standard errors it lies within.

    Raises:
        LeakError: If it does not.
    """
    means = [np.mean([row["srocc"] for row in pipeline(number).rows]) for number in range(permutations)]
    bound = float(3 * np.std(means, ddof=1) / np.sqrt(permutations))
    if abs(np.mean(means)) > bound:
        raise LeakError(f"permuted labels score {np.mean(means):.3f}, beyond {bound:.3f}")
    return float(np.mean(means)), bound
