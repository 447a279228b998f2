from __future__ import annotations

import numpy as np
import pytest
from oracle import made
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from fmcvqa.regression.scaling import column_scales

ROWS = [np.arange(0, 45), np.arange(15, 60), np.arange(0, 60, 2), np.arange(1, 60, 2)]


@pytest.mark.parametrize("scaler", ["standard", "minmax"])
def test_each_fold_is_scaled_as_scikit_learn_scales_it(scaler):
    block = made(widths=(3000,))[0].blocks["A", "mean"]
    for rows, found in zip(ROWS, column_scales(block, ROWS, scaler), strict=True):
        oracle = {"standard": StandardScaler, "minmax": MinMaxScaler}[scaler]().fit(block[rows].astype(np.float64))
        scaled = oracle.transform(block.astype(np.float64))
        np.testing.assert_allclose((block - found.shift) / found.scale, scaled, rtol=1e-11, atol=1e-11)
        assert found.total == pytest.approx(scaled[rows].sum(), abs=1e-6)
        assert found.squares == pytest.approx(np.square(scaled[rows]).sum(), rel=1e-12)


def test_columns_constant_in_a_fold_keep_the_scale_1():
    block = np.full((60, 3), 0.1)
    block[59, 1] = 7.0
    block[:, 2] = 1e9 + np.arange(60) * 1e-9  # rounds to a constant
    found = column_scales(block, [np.arange(50)], "standard")[0]
    assert found.scale.tolist() == [1.0, 1.0, 1.0]


def test_a_tiny_spread_on_a_large_mean_keeps_its_digits():
    block = 1e6 + np.random.default_rng(0).normal(size=(60, 4)) * 1e-3
    found = column_scales(block, ROWS, "standard")
    for rows, scale in zip(ROWS, found, strict=True):
        centred = block[rows] - block[rows[0]]
        np.testing.assert_allclose(scale.scale, centred.std(axis=0), rtol=1e-12)


@pytest.mark.parametrize("scaler", ["standard", "minmax"])
def test_no_bit_of_a_fold_depends_on_a_row_outside_it(scaler):
    block = made()[0].blocks["A", "mean"]
    before = column_scales(block, ROWS, scaler)
    for number, rows in enumerate(ROWS):
        changed = block.copy()
        outside = np.setdiff1d(np.arange(60), rows)
        changed[outside] = np.random.default_rng(1).normal(size=(len(outside), block.shape[1])) * 1e6
        after = column_scales(changed, ROWS, scaler)[number]
        assert after.shift.tobytes() == before[number].shift.tobytes()
        assert after.scale.tobytes() == before[number].scale.tobytes()
