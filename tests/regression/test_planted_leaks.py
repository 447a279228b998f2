"""Twelve leaks planted on purpose, each caught by the guard that is named for it (see guards.py).

Features and MOS are pure noise wherever a leak can show at all on noise: what scores there is the leak.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from oracle import made

from fmcvqa.errors import FeatureError
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.regression import evaluate as evaluation
from fmcvqa.regression import fitting, kernels, protocols
from fmcvqa.regression.evaluate import evaluate
from fmcvqa.regression.fitting import SplitTask
from fmcvqa.regression.guards import LeakError, lone_video_gate, metamorphic_gate, permuted_label_control
from fmcvqa.regression.protocols import Cross, Nested, Paper
from fmcvqa.regression.scores import srocc
from fmcvqa.regression.splits import Split
from fmcvqa.regression.svr import Cell

PAPER = Paper(repeats=1)
NESTED = Nested(repeats=1, inner_folds=3, C=(1e-3, 0.1, 10.0), epsilon=(0.1,))
CELL = Cell(layers=("A",), pools=("mean",))
MISSING = -999.0


def noise(count=40, columns=30, layers=("A",)):
    rng = np.random.default_rng(3)
    blocks = {(layer, "mean"): rng.normal(size=(count, columns)) for layer in layers}
    return FeatureMatrix([f"v{i}" for i in range(count)], blocks), rng.normal(size=count)


def run(features, mos, protocol=PAPER, cell=CELL, **options):
    return evaluate(features, mos, cell, protocol, resamples=2, **options)


def gate(pipeline, protocol=PAPER, data=None):
    """The metamorphic gate on every split of a protocol."""
    features, mos = data or noise()
    metamorphic_gate(pipeline, features, mos, [split.test for split in protocol.splits(features.ids)])


def cross(target, tested, **settings):
    """Cross-dataset evaluation as a pipeline over the target: that is what must not matter."""
    source, mos = made(40, (8,), pools=("mean",))
    return run(source, mos, Cross(**settings), target=(target, tested))


def test_the_guards_let_the_honest_pipeline_pass():
    gate(run)
    gate(partial(run, protocol=NESTED), NESTED)
    lone_video_gate(run, *noise(), PAPER.splits(noise()[0].ids)[0].test)
    lone_video_gate(cross, *made(20, (8,), pools=("mean",), seed=1), np.arange(20))
    metamorphic_gate(cross, *made(20, (8,), pools=("mean",), seed=1), [np.arange(20)])
    best = partial(cross, selection="best_of_100")
    metamorphic_gate(best, *made(20, (8,), pools=("mean",), seed=1), [np.arange(20)])


def test_1_scaler_fitted_on_all_rows(monkeypatch):
    honest = kernels.column_scales
    monkeypatch.setattr(
        kernels, "column_scales", lambda X, sets, scaler: honest(X, [np.arange(len(X))] * len(sets), scaler)
    )
    with pytest.raises(LeakError, match="split 0 was fitted on its test rows"):
        gate(run)


def test_2_imputer_on_all_rows():
    def leaky(features, mos):
        X = features.blocks["A", "mean"].copy()
        X[X == MISSING] = X[X != MISSING].mean()
        return run(FeatureMatrix(features.ids, {("A", "mean"): X}), mos)

    features, mos = noise()
    features.blocks["A", "mean"][::3, 4] = MISSING
    with pytest.raises(LeakError, match="split 0 was fitted on its test rows"):
        gate(leaky, data=(features, mos))


def test_3_feature_selection_on_all_rows():
    def leaky(features, mos):
        X = features.blocks["A", "mean"]
        strength = np.abs([np.corrcoef(column, mos)[0, 1] for column in X.T])
        return run(FeatureMatrix(features.ids, {("A", "mean"): X[:, np.argsort(-strength)[:10]]}), mos)

    features, mos = noise(columns=500)
    assert (
        np.mean([row["srocc"] for row in leaky(features, mos).rows]) > 0.3 > run(features, mos).scores["srocc"]["mean"]
    )
    with pytest.raises(LeakError, match="split 0 was fitted on its test rows"):
        gate(leaky, data=(features, mos))


def test_4_penalty_chosen_on_the_test_fold(monkeypatch):
    honest = Nested.search

    def leaky(self, split, index, groups=None):
        return replace(honest(self, split, index, groups), inner=(split,))

    monkeypatch.setattr(Nested, "search", leaky)
    with pytest.raises(LeakError, match=r"split \d was fitted on its test rows"):
        gate(partial(run, protocol=NESTED), NESTED)


def test_5_layer_chosen_on_the_test_fold():
    def leaky(features, mos):
        found = [run(features, mos, cell=Cell(layers=(layer,), pools=("mean",))) for layer in "ABC"]
        best = [int(np.argmax([one.rows[i]["srocc"] for one in found])) for i in range(len(found[0].rows))]
        rows = [found[layer].rows[i] for i, layer in enumerate(best)]
        return replace(found[0], rows=rows, fitted=[found[layer].fitted[i] for i, layer in enumerate(best)])

    with pytest.raises(LeakError, match=r"split \d was fitted on its test rows"):
        gate(leaky, data=noise(layers="ABC"))


def test_6_logistic_fitted_on_the_test_fold_while_labelled_train(monkeypatch):
    honest = fitting.run_task

    def leaky(task: SplitTask, cell, mos, protocol, tested):
        outcome = honest(task, cell, mos, replace(protocol, mapping="test"), tested)
        logistic = fitting.fit_logistic(mos[tested], outcome.predicted[tested])
        return replace(outcome, digest=outcome.digest + repr(logistic))  # what is used as fitted is digested

    monkeypatch.setattr(evaluation, "run_task", leaky)
    features, mos = noise()
    assert run(features, mos).protocol["mapping_fitted_on"] == "train"
    with pytest.raises(LeakError, match="split 0 was fitted on its test rows"):
        gate(run)


def test_7_copies_of_a_video_in_train_and_test(monkeypatch):
    features, mos = noise()
    rows = np.repeat(np.arange(40), 2)
    blocks = {key: block[rows] for key, block in features.blocks.items()}
    twice, mos = FeatureMatrix([f"v{i}" for i in range(80)], blocks), mos[rows]
    with pytest.raises(FeatureError) as error:  # the copies' guard
        run(twice, mos)
    assert str(error.value) == (
        "v2, v3 are one video (equal features and MOS), and split 0 trains on it and tests it. "
        "Try: leave the copies out, or give them one group in protocol.groups_file"
    )
    run(twice, mos, groups=rows)
    honest = protocols.k_folds
    monkeypatch.setattr(protocols, "k_folds", lambda rows, groups, *rest: honest(rows, None, *rest))
    with pytest.raises(FeatureError, match=r"split 0 has group \d+ on both sides"):  # the groups' guard
        run(twice, mos, groups=rows)


def test_8_mos_scaler_fitted_on_all_rows(monkeypatch):
    honest = fitting.fit_svr

    def leaky(kernel, train, mos, settings, *, scale_mos):
        mean, scale = mos.mean(), mos.std()
        fitted = honest(kernel, train, (mos - mean) / scale, settings, scale_mos=False)
        return replace(fitted, mos_mean=mean, mos_scale=scale)

    monkeypatch.setattr(fitting, "fit_svr", leaky)
    with pytest.raises(LeakError, match="split 0 was fitted on its test rows"):
        gate(run)


def test_9_the_targets_statistics_where_scaling_is_source(monkeypatch):
    monkeypatch.setattr(evaluation, "own_rows", lambda plan, rows: rows)
    target = made(20, (8,), pools=("mean",), seed=1)
    metamorphic_gate(cross, *target, [np.arange(20)])  # nothing fitted shows it
    with pytest.raises(LeakError, match="the prediction of v000 depends on the other tested videos"):
        lone_video_gate(cross, *target, np.arange(20))


def test_10_fold_chosen_on_the_target(monkeypatch):
    def leaky(plan, outcomes):
        rows = plan.scored[0]
        return int(np.argmax([srocc(plan.mos[rows], outcome.predicted[rows]) for outcome in outcomes]))

    monkeypatch.setattr(evaluation, "_best_of", leaky)
    with pytest.raises(LeakError, match="split 0 was fitted on its test rows"):
        best = partial(cross, selection="best_of_100")
        metamorphic_gate(best, *made(20, (8,), pools=("mean",), seed=1), [np.arange(20)])


def test_11_train_and_test_overlap_in_an_imported_split(tmp_path, monkeypatch):
    features, mos = noise()
    splits = [{"train": list(range(33)), "test": list(range(30, 40))}]
    file = tmp_path / "splits.json"
    file.write_text(json.dumps({"format": "fmcvqa-splits-1", "videos": features.ids, "splits": splits}))
    with pytest.raises(FeatureError, match=r"split 0 of .* trains on 3 of the videos it tests"):
        run(features, mos, Paper(splits_file=file))
    monkeypatch.setattr(protocols, "k_folds", lambda *_: [Split(np.arange(33), np.arange(30, 40))])
    with pytest.raises(FeatureError, match="split 0 trains on 3 of the videos it tests"):
        run(features, mos)


def control(number):
    features, mos = made(60, (8,), pools=("mean",))
    return run(features, mos, Paper(repeats=1, permute_labels=True, permutation=number))


def test_the_permuted_label_control_lets_honest_labels_pass(figure):
    mean, bound = permuted_label_control(control)
    figure(f"mean SROCC {mean:+.3f} of 20 permutations, within {bound:.3f}")
    assert abs(mean) <= bound < 0.2


def test_12_permutation_that_leaves_the_labels_where_they_are(monkeypatch):
    monkeypatch.setattr(Paper, "training_mos", lambda self, mos: mos)
    with pytest.raises(LeakError, match=r"permuted labels score 0\.\d+, beyond 0\.\d+"):
        permuted_label_control(control)
