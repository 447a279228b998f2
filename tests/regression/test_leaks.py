"""Metamorphic gates: whatever is done to the tested rows, no bit of what was fitted changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from oracle import made

from fmcvqa.regression.evaluate import evaluate
from fmcvqa.regression.guards import lone_video_gate, metamorphic_gate, scrambled
from fmcvqa.regression.protocols import UGCVQA, Cross, Nested, Paper
from fmcvqa.regression.svr import Cell

WITHIN = {
    "paper": Paper(repeats=1),
    "paper-minmax": Paper(repeats=1, scaling="minmax"),
    "paper-l2": Paper(repeats=1, scaling="l2"),
    "ugcvqa": UGCVQA(rounds=3, C=(2.0, 32.0), gamma=(1e-4, 1e-3)),
    "nested": Nested(repeats=1, inner_folds=3, C=(0.1, 1.0), epsilon=(0.1,), gamma=("scale", "4*scale")),
}
CELLS = [Cell(layers=("A", "B"), kernel=kernel) for kernel in ("linear", "rbf")]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.kernel)
@pytest.mark.parametrize("protocol", WITHIN.values(), ids=WITHIN)
def test_scrambled_test_rows_change_no_fitted_bit(protocol, cell):
    features, mos = made(40, (5000, 8))
    tested = [split.test for split in protocol.splits(features.ids)[:2]]
    metamorphic_gate(lambda X, y: evaluate(X, y, cell, protocol, resamples=5), features, mos, tested)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.kernel)
@pytest.mark.parametrize("protocol", WITHIN.values(), ids=WITHIN)
def test_no_prediction_depends_on_the_other_tested_videos(protocol, cell):
    features, mos = made(40, (50, 8))
    protocol = replace(protocol, **({"rounds": 1} if protocol.name == "ugcvqa" else {}))
    rows = protocol.splits(features.ids)[0].test
    lone_video_gate(lambda X, y: evaluate(X, y, cell, protocol, resamples=5), features, mos, rows)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.kernel)
@pytest.mark.parametrize("protocol", WITHIN.values(), ids=WITHIN)
def test_the_gate_itself_notices_a_training_row(protocol, cell):
    features, mos = made(40, (50, 8))
    before = evaluate(features, mos, cell, protocol, resamples=5)
    split = protocol.splits(features.ids)[0]
    changed = evaluate(*scrambled(features, mos, split.train[:3]), cell, protocol, resamples=5)
    assert changed.fitted[0] != before.fitted[0]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.kernel)
@pytest.mark.parametrize("protocol", [Cross(), Cross(scaling="target")], ids=lambda p: p.scaling)
def test_a_scrambled_target_changes_no_fitted_bit(protocol, cell):
    (source, mos), (target, tested) = made(40, (5000, 8)), made(30, (5000, 8), seed=1)
    before = evaluate(source, mos, cell, protocol, target=(target, tested), resamples=5)
    after = evaluate(source, mos, cell, protocol, target=scrambled(target, tested, np.arange(30)), resamples=5)
    assert after.fitted == before.fitted
    assert after.scores["srocc"]["value"] != before.scores["srocc"]["value"]


def test_a_mapping_on_the_test_fold_is_no_part_of_what_was_fitted():
    features, mos = made(40, (20, 8))
    on_train = evaluate(features, mos, CELLS[0], Paper(repeats=1), resamples=5)
    on_test = evaluate(features, mos, CELLS[0], Paper(repeats=1, mapping="test"), resamples=5)
    assert [row["plcc"] for row in on_train.rows] == [row["plcc"] for row in on_test.rows]
    assert all(a["rmse_mapped"] > b["rmse_mapped"] for a, b in zip(on_train.rows, on_test.rows, strict=True))
