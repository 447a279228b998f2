"""Clips unlike the training set are told, and clips like it rarely are."""

from __future__ import annotations

import json

import numpy as np
import pytest
from oracle import made
from sklearn.preprocessing import StandardScaler

from fmcvqa.errors import FeatureError, ModelFileError
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.regression.novelty import TrainingSet, fit_training_set


def plain_distances(features: FeatureMatrix, keys, others: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean distance of rows to their nearest five among others, on the standardised columns themselves."""
    whole = np.concatenate([features.blocks[key] for key in keys], axis=1).astype(np.float64)
    scaled = StandardScaler().fit(whole[others]).transform(whole)
    found = []
    for row in rows:
        far = [np.linalg.norm(scaled[row] - scaled[other]) for other in others if other != row]
        found.append(np.mean(sorted(far)[:5]))
    return np.array(found)


def test_few_columns_are_compared_exactly():
    features, _ = made(40, (30, 8))
    keys = [("A", "mean"), ("B", "max")]
    known, fresh = np.arange(30), np.arange(30, 40)
    fitted = fit_training_set(features.select(known), keys)
    plain = plain_distances(features, keys, known, known)
    assert fitted.sketches.shape == (30, 38)
    assert fitted.limit == pytest.approx(plain.max(), rel=1e-5)  # 30 videos: the limit is the farthest of them
    assert fitted.false_alarms == pytest.approx(1 / 31)
    expected = plain_distances(features, keys, known, fresh) / plain.max()
    np.testing.assert_allclose(fitted.distance(features.select(fresh).blocks), expected, rtol=1e-5)


def test_many_columns_are_compared_by_sketches_that_are_unbiased():
    rng = np.random.default_rng(0)
    features = FeatureMatrix([str(i) for i in range(60)], {("A", "mean"): rng.normal(size=(60, 20_000))})
    known = np.arange(50)
    fitted = fit_training_set(features.select(known), [("A", "mean")])
    assert fitted.sketches.shape == (50, 256)
    squares = np.square(fitted.sketches[:, None, :] - fitted.sketches[None, :, :]).sum(axis=2)
    exact = 2 * 20_000 * 50 / 49  # the mean squared distance of standardised rows
    pairs = squares[np.triu_indices(50, 1)]
    assert pairs.mean() == pytest.approx(exact, rel=0.02)
    assert pairs.std() / pairs.mean() == pytest.approx(np.sqrt(2 / 256), rel=0.15)


def test_videos_of_the_same_kind_are_rarely_flagged_and_others_always():
    alarms, missed = [], []
    for seed in range(6):
        features, _ = made(500, (300,), seed=seed)
        fitted = fit_training_set(features.select(np.arange(200)), [("A", "mean")])
        assert fitted.false_alarms == pytest.approx(1 - 199 / 201)
        fresh = features.select(np.arange(200, 500)).blocks["A", "mean"]
        alarms.append(np.mean(fitted.distance({("A", "mean"): fresh}) > 1))
        other = np.random.default_rng(seed).permuted(fresh, axis=1)  # the same numbers, without their correlations
        missed.append(np.mean(fitted.distance({("A", "mean"): other}) <= 1))
    assert np.mean(alarms) < 0.04  # 1 % promised; 6 x 200 training videos estimate it
    assert np.mean(alarms) > 0
    assert np.mean(missed) == 0


def test_it_is_the_same_after_a_file():
    features, _ = made(40, (300, 8))
    keys = [("A", "mean"), ("B", "mean")]
    fitted = fit_training_set(features, keys)
    again = TrainingSet.load(fitted.arrays(), json.loads(json.dumps(fitted.meta())))
    assert again.distance(features.blocks).tobytes() == fitted.distance(features.blocks).tobytes()
    assert fitted.meta() == {
        "blocks": [["A", "mean"], ["B", "mean"]],
        "nearest": 5,
        "calibration": "leave-one-out distances of the training videos",
        "false_alarms": fitted.false_alarms,
    }
    for arrays in ({}, fitted.arrays() | {"limit": np.array([0.0])}):
        with pytest.raises(ModelFileError, match="the training set is not whole"):
            TrainingSet.load(arrays, fitted.meta())


def test_columns_that_float32_rounds_are_constant():
    rng = np.random.default_rng(0)
    block = rng.normal(size=(30, 4)).astype(np.float32)
    block[:, 0] = 1 + 1e-7 * (np.arange(30) % 2)
    fitted = fit_training_set(FeatureMatrix([str(i) for i in range(30)], {("A", "mean"): block}), [("A", "mean")])
    assert fitted.scale["A", "mean"][0] == 1


def test_what_cannot_be_calibrated_is_told():
    features, _ = made(40, (30,))
    with pytest.raises(FeatureError) as error:
        fit_training_set(features.select(np.arange(2)), [("A", "mean")])
    assert str(error.value) == "2 videos are too few to say what is like them. Try: give more videos"
    with pytest.raises(ModelFileError) as missing:
        fit_training_set(features, [("A", "mean")]).distance({("A", "mean"): np.ones((1, 7))})
    assert str(missing.value) == (
        "the training set has 30 columns of A/mean. Try: give features of the recipe it was fitted on"
    )
