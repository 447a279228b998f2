from __future__ import annotations

import logging

import numpy as np
import pytest
from oracle import made
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from fmcvqa.errors import FeatureError
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.regression import primal
from fmcvqa.regression.evaluate import evaluate, evaluate_cells
from fmcvqa.regression.folds import Fold
from fmcvqa.regression.kernels import KernelBank
from fmcvqa.regression.primal import LandmarkKernels, fit_landmarks
from fmcvqa.regression.protocols import Cross, Nested, Paper
from fmcvqa.regression.svr import Cell, all_cells

LINEAR = Cell(layers=("A", "B"), solver="primal")
QUICK = Paper(repeats=1)
NARROW = 1 << 16  # bytes: no room for the kernels of 60 videos


def difference(first, second, mos):
    """Largest difference of two evaluations' predictions in standard deviations of the MOS."""
    pairs = zip(first.predictions, second.predictions, strict=True)
    return max(abs(a["predicted"] - b["predicted"]) for a, b in pairs) / mos.std()


@pytest.mark.parametrize("scaling", ["standard", "minmax", "none", "l2", "signed_sqrt_l2"])
def test_with_all_rows_as_landmarks_it_is_the_dual_regressor(scaling):
    features, mos = made(spread=0.1)
    protocol = Paper(repeats=1, scaling=scaling)
    found, expected = (
        evaluate(features, mos, Cell(layers=("A", "B"), solver=solver), protocol) for solver in ("primal", "dual")
    )
    assert difference(found, expected, mos) < 0.005
    assert found.scores["srocc"]["median"] == pytest.approx(expected.scores["srocc"]["median"], abs=0.01)


def test_few_landmarks_are_enough_for_few_columns():
    """30 landmarks span 20 columns: nothing is lost, though the training fold has 240 videos."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 20)) + rng.normal(size=20)
    mos = X @ rng.normal(size=20) + 3 * rng.normal(size=300)
    features = FeatureMatrix([str(i) for i in range(300)], {("A", "mean"): X})
    train = np.arange(240)
    kernels = LandmarkKernels(KernelBank(features), Fold(train), count=30)
    gram = kernels.gram([("A", "mean")])
    assert gram.shape == (300, 30)
    fitted = fit_landmarks(gram, kernels.rows, train, mos, Cell(layers=("A",), C=0.1))
    X = StandardScaler().fit(X[train]).transform(X)
    plain = SVR(kernel="linear", C=0.1, tol=1e-6).fit(X[train], (mos[train] - mos[train].mean()) / mos[train].std())
    expected = plain.predict(X) * mos[train].std() + mos[train].mean()
    np.testing.assert_allclose(fitted.in_mos(gram @ fitted.dual), expected, rtol=0, atol=0.005 * mos.std())


def test_auto_is_primal_where_kernels_have_no_room_and_says_so():
    features, mos = made()
    bank = KernelBank(features, max_bytes=NARROW)
    auto = evaluate(features, mos, Cell(layers=("A", "B")), QUICK, bank)
    assert auto.cell.as_dict()["solver"] == "primal"
    assert auto.rows == evaluate(features, mos, LINEAR, QUICK).rows
    assert evaluate(features, mos, Cell(layers=("A", "B")), QUICK).cell.solver == "dual"


@pytest.mark.parametrize("settings", [{"kernel": "rbf"}, {"solver": "dual"}], ids=str)
def test_what_cannot_do_without_the_kernel_is_refused_before_any_work(settings):
    features, mos = made()
    steps = []
    with pytest.raises(FeatureError) as error:
        evaluate_cells(
            features,
            mos,
            [LINEAR, Cell(layers=("A",), **settings)],
            QUICK,
            KernelBank(features, max_bytes=NARROW),
            progress=lambda *step: steps.append(step),
        )
    assert str(error.value).startswith("the kernels of 60 videos need 0.0 GiB of working memory. Found: a limit of")
    assert steps == []


def test_both_solvers_in_one_table():
    features, mos = made()
    cells = [*all_cells(["A"]), LINEAR]
    together = evaluate_cells(features, mos, cells, QUICK)
    assert [one.cell.solver for one in together] == ["dual", "dual", "primal"]
    for cell, one in zip(cells, together, strict=True):
        assert evaluate(features, mos, cell, QUICK).rows == one.rows


def test_a_search_and_another_set():
    features, mos = made(40, (6,), spread=0.5)
    grid = Nested(repeats=1, inner_folds=2, C=(1e-3, 0.1), epsilon=(0.1,))
    found, expected = (
        evaluate(features, mos, Cell(layers=("A",), solver=solver), grid) for solver in ("primal", "dual")
    )
    assert [row["C"] for row in found.rows] == [row["C"] for row in expected.rows]
    target = made(30, (6,), spread=0.5, seed=1)
    for scaling in ("source", "target"):
        found, expected = (
            evaluate(features, mos, Cell(layers=("A",), solver=solver), Cross(scaling=scaling), target=target)
            for solver in ("primal", "dual")
        )
        assert difference(found, expected, mos) < 0.005


def test_a_fit_that_does_not_converge_is_said(monkeypatch, caplog):
    monkeypatch.setattr(primal, "_STEPS", 2)
    features, mos = made()
    with caplog.at_level(logging.WARNING):
        evaluate(features, mos, LINEAR, QUICK)
    assert "LinearSVR stopped after 2 passes, not quite at its optimum; a smaller C converges" in caplog.messages
