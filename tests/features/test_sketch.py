"""Few numbers that keep scalar products, the same on every machine."""

from __future__ import annotations

import numpy as np
import pytest

from fmcvqa.features.sketch import SEEDS, count_sketch, hashed


def splitmix(k: int, seed: int) -> int:
    """The k-th number of SplitMix64 as its authors write it, one Python integer at a time."""
    whole = (1 << 64) - 1
    z = ((k + 1 + (seed << 40)) * 0x9E3779B97F4A7C15) & whole
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & whole
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & whole
    return z ^ (z >> 31)


@pytest.mark.parametrize("seed", [0, 1, SEEDS - 1])
def test_a_sketch_equals_the_loop_over_numbers(seed: int) -> None:
    vector = np.random.default_rng(0).normal(size=500).astype(np.float32)
    slow = np.zeros(32)
    for k, value in enumerate(vector):
        z = splitmix(k, seed)
        slow[z % 32] += float(value) if z >> 63 else -float(value)
    found = count_sketch(vector, 32, seed)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow, rtol=1e-6, atol=1e-6)


def test_the_first_number_of_the_hash_is_the_published_one() -> None:
    assert splitmix(0, 0) == 0xE220A8397B1DCDAF  # of SplitMix64 started at 0
    cell, sign = hashed(np.arange(1), 1 << 20)
    assert (cell[0], sign[0]) == (0xE220A8397B1DCDAF % (1 << 20), 1.0)


def test_no_more_numbers_than_asked_for_stay_as_they_are() -> None:
    vector = np.arange(5, dtype=np.float32)
    assert count_sketch(vector, 5).tolist() == vector.tolist()
    assert len(count_sketch(vector, 4)) == 4


def test_scalar_products_are_kept_without_bias_and_as_closely_as_stated() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 2000))
    b += 0.5 * a
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    errors = [(count_sketch(a, 256, s).astype(float) @ count_sketch(b, 256, s) - a @ b) / lengths for s in range(200)]
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(200)
    assert 0.03 < np.std(errors) < np.sqrt(2 / 256)
