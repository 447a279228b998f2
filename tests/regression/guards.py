"""The guards against leaks: what an honest evaluation passes and a leaky one does not.

Each takes a pipeline, ``(features, mos) -> Evaluation``, so that a deliberately broken one can be held against it.
"""

from __future__ import annotations

import numpy as np

from fmcvqa.features.matrix import FeatureMatrix


class LeakError(AssertionError):
    """A guard has caught something."""


def scrambled(features, mos, rows, seed=5):
    """The same set with other features and another MOS in these rows."""
    rng = np.random.default_rng(seed)
    blocks = {key: block.copy() for key, block in features.blocks.items()}
    for block in blocks.values():
        other, noise = block[rng.permutation(len(block))[: len(rows)]], rng.normal(size=(len(rows), block.shape[1]))
        block[rows] = other + 0.5 * block.std(axis=0) * noise
    changed = mos.copy()
    changed[rows] = rng.uniform(mos.min() - np.ptp(mos), mos.max() + np.ptp(mos), len(rows))
    return FeatureMatrix(features.ids, blocks), changed


def metamorphic_gate(pipeline, features, mos, tested):
    """Scramble each split's tested rows: no bit of what was fitted on that split may change.

    ``tested`` are the rows of the first splits, in their order.
    """
    before = pipeline(features, mos)
    for number, rows in enumerate(tested):
        after = pipeline(*scrambled(features, mos, rows))
        if after.rows[number]["srocc"] == before.rows[number]["srocc"]:
            raise AssertionError("the scrambled rows were not the tested ones")
        if after.fitted[number] != before.fitted[number]:
            raise LeakError(f"split {number} was fitted on its test rows")


def lone_video_gate(pipeline, features, mos, rows):
    """Scramble all tested rows but the first: the prediction of the first may not change."""
    name = features.ids[rows[0]]
    before = {p["id"]: p["predicted"] for p in pipeline(features, mos).predictions}
    after = {p["id"]: p["predicted"] for p in pipeline(*scrambled(features, mos, rows[1:])).predictions}
    if not np.isclose(before[name], after[name], rtol=1e-9, atol=0):
        raise LeakError(f"the prediction of {name} depends on the other tested videos")


def permuted_label_control(pipeline, permutations=20):
    """With permuted labels the mean of each permutation's mean SROCC lies within 3 standard errors of 0.

    The standard error is taken over permutations: the splits of one permutation depend on each other.
    ``pipeline`` takes the permutation's number.
    """
    means = [np.mean([row["srocc"] for row in pipeline(number).rows]) for number in range(permutations)]
    bound = 3 * np.std(means, ddof=1) / np.sqrt(permutations)
    if abs(np.mean(means)) > bound:
        raise LeakError(f"permuted labels score {np.mean(means):.3f}, beyond {bound:.3f}")
