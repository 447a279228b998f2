from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fmcvqa.regression import intervals
from fmcvqa.regression.intervals import ScoredSplit, bootstrap_ci95


@pytest.mark.parametrize("ties", [False, True])
def test_weighted_correlations_are_those_of_the_repeated_videos(ties):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 8, 20).astype(float) if ties else rng.normal(size=20)
    y = np.round(x + rng.normal(size=20)) if ties else x + rng.normal(size=20)
    weights = rng.multinomial(20, np.full(20, 1 / 20), size=10).astype(float)
    found = [f(x, y, weights) for f in (intervals.weighted_srocc, intervals.weighted_krocc, intervals.weighted_plcc)]
    for draw in range(10):
        rows = np.repeat(np.arange(20), weights[draw].astype(int))
        slow = [f(x[rows], y[rows])[0] for f in (stats.spearmanr, stats.kendalltau, stats.pearsonr)]
        np.testing.assert_allclose([score[draw] for score in found], slow, rtol=1e-12)
        rmse = np.sqrt(np.mean((x[rows] - y[rows]) ** 2))
        assert intervals.weighted_rmse(x, y, weights)[draw] == pytest.approx(rmse)


def test_a_draw_of_one_value_has_no_correlation():
    weights = np.array([[3.0, 0.0, 0.0]])
    x, y = np.array([0.1, 0.7, 0.3]), np.array([1.0, 2.0, 3.0])
    for score in (intervals.weighted_srocc, intervals.weighted_krocc, intervals.weighted_plcc):
        assert np.isnan(score(x, y, weights)).all()


def test_the_interval_covers_the_truth_about_19_times_in_20():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        x = rng.normal(size=80)
        y = 0.6 * x + 0.8 * rng.normal(size=80)
        part = ScoredSplit(np.arange(80), y, x, x)
        low, high = bootstrap_ci95([part], 80, 200, trial)["plcc"]
        covered += low <= 0.6 <= high
    assert 175 <= covered <= 199


def test_the_interval_is_seeded():
    rng = np.random.default_rng(0)
    part = ScoredSplit(np.arange(30), rng.normal(size=30), rng.normal(size=30), rng.normal(size=30))
    assert bootstrap_ci95([part], 30, 50, 1) == bootstrap_ci95([part], 30, 50, 1)
    assert bootstrap_ci95([part], 30, 50, 1) != bootstrap_ci95([part], 30, 50, 2)


@pytest.mark.filterwarnings("error")
def test_draws_that_say_nothing_are_left_out_without_a_word():
    values = np.arange(3.0)
    low, high = bootstrap_ci95([ScoredSplit(np.arange(3), values, values, values)], 3, 200, 0)["srocc"]
    assert (low, high) == (1.0, 1.0)
