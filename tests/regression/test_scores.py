from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fmcvqa.errors import FeatureError
from fmcvqa.regression import scores
from fmcvqa.regression.scores import Logistic, fit_logistic


@pytest.mark.parametrize("seed", range(5))
def test_correlations_are_scipys_ties_included(seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 12, 50).astype(float)
    x = y + rng.integers(0, 9, 50)
    assert scores.srocc(y, x) == pytest.approx(stats.spearmanr(y, x)[0], abs=1e-15)
    assert scores.krocc(y, x) == pytest.approx(stats.kendalltau(y, x)[0], abs=1e-15)
    assert scores.plcc(y, x) == pytest.approx(stats.pearsonr(y, x)[0], abs=1e-15)
    assert scores.rmse(y, x) == pytest.approx(np.sqrt(np.mean((x - y) ** 2)))


def test_hand_computed_values():
    y, x = [1.0, 2.0, 3.0, 4.0], [10.0, 30.0, 20.0, 40.0]
    assert scores.srocc(y, x) == pytest.approx(0.8)
    assert scores.krocc(y, x) == pytest.approx(2 / 3)
    assert scores.rmse([1.0, 2.0], [2.0, 4.0]) == pytest.approx(np.sqrt(2.5))


@pytest.mark.parametrize("score", [scores.srocc, scores.krocc, scores.plcc])
def test_what_has_no_correlation_is_a_named_failure(score):
    for mos, predicted, message in [
        (
            [1, 2, 3],
            [4, 4, 4],
            "all 3 predictions are 4: no correlation exists. Try: the features say nothing, or C is too small",
        ),
        ([2, 2, 2], [1, 2, 3], "all 3 MOS are 2: no correlation exists. Try: the labels say nothing here"),
        ([1, 2, 3], [1, np.nan, np.inf], "2 of 3 predictions are not finite numbers"),
        ([1], [1], "cannot score 1 predictions against 1 MOS. Try: give at least 2 of each"),
        ([1, 2, 3], [1, 2], "cannot score 2 predictions against 3 MOS. Try: give at least 2 of each"),
    ]:
        with pytest.raises(FeatureError) as error:
            score(mos, predicted)
        assert str(error.value) == message


def test_the_logistic_is_the_formula():
    curve = Logistic(90.0, 10.0, 3.0, -0.5)
    x = np.array([1.0, 3.0, 4.5])
    np.testing.assert_allclose(curve(x), 10 + 80 / (1 + np.exp(-(x - 3) / 0.5)), rtol=1e-15)
    assert np.isfinite(curve([-1e9, 1e9])).all()


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_a_logistic_is_found_again_whatever_the_units(scale):
    x = np.linspace(0, 6, 60) * scale
    true = Logistic(90.0, 10.0, 3.0 * scale, 0.5 * scale)
    found = fit_logistic(true(x), x)
    np.testing.assert_allclose([found.b1, found.b2], [90, 10], rtol=1e-5)
    np.testing.assert_allclose([found.b3, found.b4], [3 * scale, 0.5 * scale], rtol=1e-5)


def test_a_logistic_does_not_run_away_on_a_straight_line():
    x = np.linspace(20, 80, 100)
    y = 2 * x + np.random.default_rng(0).normal(size=100)
    found = fit_logistic(y, x)
    line = np.poly1d(np.polyfit(x, y, 1))(x)
    assert scores.rmse(y, found(x)) < 1.02 * scores.rmse(y, line)
    assert max(abs(found.b1), abs(found.b2), abs(found.b3), abs(found.b4)) < 1000


def test_a_falling_logistic_is_found_too():
    x = np.linspace(0, 6, 60)
    y = Logistic(10.0, 90.0, 3.0, 0.5)(x)
    assert scores.rmse(y, fit_logistic(y, x)(x)) < 1e-3


def test_a_logistic_needs_5_videos():
    with pytest.raises(FeatureError) as error:
        fit_logistic([1, 2, 3, 4], [1, 2, 3, 4])
    assert str(error.value) == "a logistic has 4 parameters; 4 videos cannot fit one. Try: test more videos"
