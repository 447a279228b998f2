"""The interval holds what it promises, on data where everything is exchangeable."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import made

from fmcvqa.errors import ConfigError, ModelFileError
from fmcvqa.regression.conformal import Calibration, out_of_fold
from fmcvqa.regression.evaluate import evaluate
from fmcvqa.regression.final import fit_final
from fmcvqa.regression.intervals import ScoredSplit
from fmcvqa.regression.protocols import Paper
from fmcvqa.regression.svr import Cell


def calibration(residuals: list[float]) -> Calibration:
    return Calibration(np.arange(1.0, 5.0), np.sort(np.array(residuals)))


def test_the_half_width_is_the_finite_sample_quantile():
    assert calibration([0.3, 0.1, 0.2, 0.5, 0.4, 0.6, 0.9, 0.8, 0.7]).half_width() == 0.9  # rank 9 of 9
    assert calibration(list(np.arange(1, 20) / 10)).half_width() == 1.8  # rank ceil(20 * .9) = 18
    assert calibration(list(np.arange(1, 20) / 10)).half_width(0.5) == 1.0
    assert calibration([0.1] * 8).half_width() is None  # 9 * .9 = 8.1: eight residuals cannot promise 90 %
    with pytest.raises(ConfigError) as error:
        calibration([0.1]).half_width(90)
    assert str(error.value) == "the level of an interval is 90. Try: a number between 0 and 1, such as 0.9"


def test_a_score_has_its_place_among_the_mos():
    assert [calibration([1.0]).percentile(score) for score in (0.5, 1.0, 2.5, 9.0)] == [0.0, 0.0, 50.0, 100.0]


def part(rows: list[int], predicted: list[float]) -> ScoredSplit:
    return ScoredSplit(np.array(rows), np.zeros(len(rows)), np.array(predicted), np.array(predicted))


def test_each_video_has_the_prediction_of_the_first_split_that_tested_it():
    tested = [part([0, 2], [1.0, 2.0]), part([1], [3.0]), part([2, 0, 1], [9.0, 9.0, 9.0])]
    np.testing.assert_array_equal(out_of_fold(tested, 4), [1.0, 3.0, 2.0, np.nan])
    found = Calibration.of([1.0, 5.0, 2.5, 4.0], tested)
    np.testing.assert_array_equal(found.residuals, [0.0, 0.5, 2.0])
    np.testing.assert_array_equal(found.mos, [1.0, 2.5, 4.0, 5.0])


def test_nine_tenths_of_exchangeable_draws_are_inside():
    """With n residuals the coverage is ceil(.9 (n + 1)) / (n + 1) for any distribution without ties."""
    rng = np.random.default_rng(0)
    for count, expected in ((9, 0.9), (25, 24 / 26), (99, 0.9)):
        draws = rng.standard_cauchy((20_000, count + 1))  # no mean, no variance
        inside = [calibration(list(np.abs(row[:-1]))).half_width() >= abs(row[-1]) for row in draws[:4000]]
        assert np.mean(inside) == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 4000))


def test_intervals_of_a_fitted_model_cover_videos_it_has_not_seen():
    """The whole path: residuals of an evaluation, the model on all videos, fresh videos of the same kind."""
    cell, covered, naive = Cell(layers=("A",)), [], []
    for seed in range(8):
        features, mos = made(160, (40,), seed=seed)
        known, fresh = np.arange(60), np.arange(60, 160)
        train = features.select(known)
        evaluation = evaluate(train, mos[known], cell, Paper(repeats=2, seed=seed), resamples=1)
        model = fit_final(train, mos[known], cell)
        half = Calibration.of(mos[known], evaluation.tested).half_width()
        assert half is not None
        predicted = model.predict(features.blocks)
        covered.append(np.mean(np.abs(predicted[fresh] - mos[fresh]) <= half))
        fitted = np.sort(np.abs(predicted[known] - mos[known]))
        naive.append(np.mean(np.abs(predicted[fresh] - mos[fresh]) <= fitted[int(0.9 * 61)]))
    error = np.std(covered, ddof=1) / np.sqrt(len(covered))
    assert np.mean(covered) > 0.9 - 3 * error
    assert np.mean(covered) < 0.99
    assert np.mean(naive) < np.mean(covered) - 0.05  # residuals of videos that were trained on promise too much


def test_what_is_not_whole_is_refused():
    whole = calibration([0.2, 0.1])
    again = Calibration.load(whole.arrays())
    assert again.half_width(0.5) == whole.half_width(0.5)
    for arrays in (
        {},
        whole.arrays() | {"mos": np.array([2.0, 1.0])},
        whole.arrays() | {"residuals": np.array([np.nan])},
    ):
        with pytest.raises(ModelFileError) as error:
            Calibration.load(arrays)
        assert str(error.value) == "the calibration is not whole. Try: fit the model again"
