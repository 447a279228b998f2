from __future__ import annotations

import numpy as np
import pytest
from oracle import concatenated, made, plain_predictions
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from fmcvqa.errors import ConfigError, FeatureError
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.regression import scores
from fmcvqa.regression.evaluate import evaluate, evaluate_cells
from fmcvqa.regression.kernels import KernelBank
from fmcvqa.regression.protocols import UGCVQA, Cross, Nested, Paper
from fmcvqa.regression.svr import Cell, all_cells

CELL = Cell(layers=("A", "B"))
QUICK = Paper(repeats=2)


def test_every_score_of_every_split_is_the_plain_pipelines():
    features, mos = made()
    for cell in (CELL, Cell(layers=("B",), kernel="rbf", C=2.0)):
        found = evaluate(features, mos, cell, QUICK)
        assert len(found.rows) == 10
        summed, counts = np.zeros(60), np.zeros(60)
        for i, (row, split) in enumerate(zip(found.rows, QUICK.splits(features.ids), strict=True)):
            plain = plain_predictions(features, mos, cell, split.train)
            mapped = scores.fit_logistic(mos[split.train], plain[split.train])(plain)
            y, x, m = mos[split.test], plain[split.test], mapped[split.test]
            assert (row["split"], row["train"], row["test"]) == (i, 48, 12)
            assert row["srocc"] == pytest.approx(scores.srocc(y, x), abs=1e-12)
            assert row["krocc"] == pytest.approx(scores.krocc(y, x), abs=1e-12)
            assert row["plcc"] == pytest.approx(scores.plcc(y, x), abs=1e-8)
            assert row["rmse"] == pytest.approx(scores.rmse(y, x), rel=1e-8)
            assert row["plcc_mapped"] == pytest.approx(scores.plcc(y, m), abs=1e-5)
            assert row["rmse_mapped"] == pytest.approx(scores.rmse(y, m), rel=1e-4)
            summed[split.test] += x
            counts[split.test] += 1
        values = [row["srocc"] for row in found.rows]
        assert found.scores["srocc"]["median"] == np.median(values)
        assert found.scores["srocc"]["mean"] == np.mean(values)
        assert found.scores["srocc"]["std"] == np.std(values)
        low, high = found.scores["srocc"]["ci95"]
        assert low < np.median(values) < high
        assert [p["id"] for p in found.predictions] == features.ids
        np.testing.assert_allclose([p["predicted"] for p in found.predictions], summed / counts, rtol=1e-8)


def test_cells_evaluated_together_or_in_threads_score_as_alone():
    features, mos = made()
    cells = all_cells(["A", "B"])
    steps = []
    together = evaluate_cells(features, mos, cells, QUICK, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(i + 1, 60) for i in range(60)]
    threaded = evaluate_cells(features, mos, cells, QUICK, threads=2)
    bank = KernelBank(features)
    for cell, one, two in zip(cells, together, threaded, strict=True):
        alone = evaluate(features, mos, cell, QUICK, bank)
        assert alone.rows == one.rows == two.rows
        assert alone.scores == one.scores == two.scores


@pytest.mark.parametrize("scaling", ["source", "target"])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_cross_is_the_plain_pipeline_on_two_sets(scaling, kernel):
    (source, mos), (target, tested) = made(50), made(30, seed=0)
    cell = Cell(layers=("A", "B"), kernel=kernel)
    found = evaluate(source, mos, cell, Cross(scaling=scaling), target=(target, tested))
    X, Z = StandardScaler().fit(concatenated(source, cell)), concatenated(target, cell)
    z = X.transform(Z) if scaling == "source" else StandardScaler().fit_transform(Z)
    model = SVR(kernel=kernel).fit(X.transform(concatenated(source, cell)), (mos - mos.mean()) / mos.std())
    plain = model.predict(z) * mos.std() + mos.mean()
    np.testing.assert_allclose([p["predicted"] for p in found.predictions], plain, rtol=1e-6)
    assert found.scores["srocc"]["value"] == pytest.approx(scores.srocc(tested, plain))
    assert [p["id"] for p in found.predictions] == target.ids
    assert found.rows[0]["train"] == 50 and found.rows[0]["test"] == 30
    low, high = found.scores["plcc"]["ci95"]
    assert low < found.scores["plcc"]["value"] < high


def test_cross_predictions_are_put_on_the_targets_range():
    (source, mos), (target, tested) = made(50), made(30, seed=0)
    plain = evaluate(source, mos, CELL, Cross(), target=(target, tested))
    moved = evaluate(source, mos, CELL, Cross(), target=(target, tested / 25 + 1), mos_ranges=((0, 100), (1, 5)))
    assert moved.rows[0]["rmse"] == pytest.approx(plain.rows[0]["rmse"] / 25)
    assert moved.rows[0]["rmse_mapped"] == pytest.approx(plain.rows[0]["rmse_mapped"] / 25)
    assert moved.rows[0]["plcc"] == pytest.approx(plain.rows[0]["plcc"])


def test_best_of_100_reports_the_one_fold_that_did_best_on_its_own_test_fold():
    (source, mos), (target, tested) = made(50), made(30, seed=0)
    found = evaluate(source, mos, CELL, Cross(selection="best_of_100"), target=(target, tested))
    splits = Cross(selection="best_of_100").splits(source.ids)
    within = [
        scores.plcc(mos[split.test], plain_predictions(source, mos, CELL, split.train)[split.test]) for split in splits
    ]
    assert len(found.rows) == 1
    assert found.rows[0]["split"] == int(np.argmax(within))
    assert found.rows[0]["train"] == 40 and found.rows[0]["test"] == 30


def test_nested_chooses_what_scikit_learns_grid_search_chooses():
    features, mos = made(40, (6,), spread=0.5)
    protocol = Nested(repeats=1, inner_folds=3, scale_mos=False, C=(0.01, 1.0), epsilon=(0.1, 3.0), gamma=(0.01, 0.1))
    cell = Cell(layers=("A",), kernel="rbf")
    found = evaluate(features, mos, cell, protocol)
    X = concatenated(features, cell)
    grid = {"svr__gamma": [0.01, 0.1], "svr__C": [0.01, 1.0], "svr__epsilon": [0.1, 3.0]}
    for i, (row, split) in enumerate(zip(found.rows, protocol.splits(features.ids), strict=True)):
        inner = [
            (np.searchsorted(split.train, part.train), np.searchsorted(split.train, part.test))
            for part in protocol.search(split, i).inner
        ]
        search = GridSearchCV(make_pipeline(StandardScaler(), SVR()), grid, cv=inner, scoring="neg_mean_squared_error")
        best = search.fit(X[split.train], mos[split.train]).best_params_
        assert (row["gamma"], row["C"], row["epsilon"]) == tuple(best[k] for k in grid)
        plain = search.predict(X[split.test])
        assert row["plcc"] == pytest.approx(scores.plcc(mos[split.test], plain), abs=1e-8)


def test_ugcvqa_searches_and_may_map_on_the_test_fold():
    features, mos = made(50, (6,))
    cell = Cell(layers=("A",), kernel="rbf")
    options = {"rounds": 3, "C": (2.0, 32.0), "gamma": (0.01, 0.1)}
    on_train = evaluate(features, mos, cell, UGCVQA(**options))
    on_test = evaluate(features, mos, cell, UGCVQA(**options, mapping="test"))
    assert on_train.protocol["mapping_fitted_on"] == "train"
    assert on_test.protocol["mapping_fitted_on"] == "test"
    for a, b in zip(on_train.rows, on_test.rows, strict=True):
        assert a["plcc"] == b["plcc"]
        assert b["rmse_mapped"] <= a["rmse_mapped"]
        assert a["C"] in (2.0, 32.0) and a["gamma"] in (0.01, 0.1)


def test_permuted_labels_score_about_0():
    features, mos = made(50, (6,))
    means = [
        evaluate(
            features, mos, Cell(layers=("A",)), Paper(repeats=1, seed=seed, permute_labels=True), resamples=10
        ).scores["srocc"]["mean"]
        for seed in range(20)
    ]
    assert abs(np.mean(means)) < 3 * np.std(means, ddof=1) / np.sqrt(20)
    assert evaluate(features, mos, Cell(layers=("A",)), QUICK).scores["srocc"]["mean"] > 0.5


def test_groups_keep_copies_of_a_video_out_of_its_own_test():
    rng = np.random.default_rng(0)
    noise = np.repeat(rng.normal(size=(30, 20)), 2, axis=0)
    mos = np.repeat(rng.normal(size=30), 2)
    features = FeatureMatrix([str(i) for i in range(60)], {("A", "mean"): noise})
    cell = Cell(layers=("A",), pools=("mean",), kernel="rbf")
    rated_again = mos + 1e-6 * rng.normal(size=60)  # copies with the very same MOS are refused
    leaky = evaluate(features, rated_again, cell, QUICK).scores["srocc"]["median"]
    honest = evaluate(features, mos, cell, QUICK, groups=np.arange(60) // 2).scores["srocc"]["median"]
    assert leaky > 0.5
    assert abs(honest) < 0.3


def test_errors_are_named():
    features, mos = made()
    target = made(30)
    wrong = mos.copy()
    wrong[[3, 5]] = np.nan
    dead = FeatureMatrix(features.ids, {key: np.ones_like(block) for key, block in features.blocks.items()})
    cases = [
        (
            lambda: evaluate(features, mos[:-1], CELL, QUICK),
            FeatureError,
            "there are 59 MOS for 60 videos. Try: give one per video",
        ),
        (
            lambda: evaluate(features, wrong, CELL, QUICK),
            FeatureError,
            "2 of 60 MOS are not finite numbers: v003, v005",
        ),
        (
            lambda: evaluate(features, np.where(np.arange(60) == 7, -1e200, mos), CELL, QUICK),
            FeatureError,
            "the MOS of v007 is -1e+200. Try: give numbers between -1e+09 and 1e+09",
        ),
        (
            lambda: evaluate(features, mos, CELL, Cross()),
            ConfigError,
            "protocol cross was given no target set. "
            "Try: protocol=cross tests on a second set; every other protocol on the set itself",
        ),
        (
            lambda: evaluate(features, mos, CELL, QUICK, target=target),
            ConfigError,
            "protocol paper was given a target set. "
            "Try: protocol=cross tests on a second set; every other protocol on the set itself",
        ),
        (
            lambda: evaluate(features, mos, CELL, QUICK, KernelBank(made()[0])),
            ConfigError,
            "the kernel bank belongs to other features. Try: make one for these features",
        ),
        (
            lambda: evaluate(dead, mos, CELL, QUICK),
            FeatureError,
            "the logistic of split 0 cannot be fitted: all 48 predictions are 49.3187: no correlation exists. "
            "Try: the features say nothing, or C is too small",
        ),
    ]
    for call, kind, message in cases:
        with pytest.raises(kind) as error:
            call()
        assert str(error.value) == message
