"""Medians and cross-dataset values on real features, against published and independently measured numbers."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from fmcvqa import cli
from fmcvqa.errors import FeatureError
from fmcvqa.features.matrix import fused
from fmcvqa.features.matrixfile import read_matrix
from fmcvqa.regression.evaluate import evaluate
from fmcvqa.regression.protocols import UGCVQA, Cross, Paper
from fmcvqa.regression.svr import Cell

pytestmark = pytest.mark.real

KONVID, LIVE = "KONVID_1K", "LIVE_VQC"
TOLERANCE = {KONVID: 0.01, LIVE: 0.02}
PAPER = [  # features, kernel, dataset, SROCC, PLCC
    ("VIDEVAL", "linear", KONVID, 0.7699, 0.7501),
    ("VIDEVAL", "linear", LIVE, 0.7714, 0.7755),
    ("VIDEVAL", "rbf", KONVID, 0.7394, 0.7328),
    ("VIDEVAL", "rbf", LIVE, 0.7124, 0.7120),
    ("BRISQUE", "linear", KONVID, 0.6460, 0.5821),
    ("BRISQUE", "linear", LIVE, 0.6068, 0.6286),
    ("BRISQUE", "rbf", KONVID, 0.6569, 0.6529),
    ("BRISQUE", "rbf", LIVE, 0.5816, 0.6184),
]
CROSS = [  # kernel, source, scaling, SROCC, PLCC; VIDEVAL
    ("linear", KONVID, "source", 0.6931, 0.7111),
    ("linear", KONVID, "target", 0.6602, 0.6730),
    ("linear", LIVE, "source", 0.6435, 0.5271),
    ("linear", LIVE, "target", 0.6541, 0.6329),
    ("rbf", KONVID, "source", 0.5383, 0.5529),
    ("rbf", KONVID, "target", 0.6844, 0.7020),
    ("rbf", LIVE, "source", 0.5819, 0.5594),
    ("rbf", LIVE, "target", 0.6143, 0.6129),
]


def cell(kernel):
    return Cell(layers=("matrix",), pools=("all",), kernel=kernel)


@pytest.fixture(scope="module")
def load(real_data):
    def read(dataset, features):
        matrix = read_matrix(real_data / "features" / f"{dataset}_{features}_feats.mat", nonfinite="zero")
        with (real_data / "features" / f"{dataset}_metadata.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        column = next(name for name in rows[0] if name.lower() == "mos")
        return matrix, np.array([float(row[column]) for row in rows])

    return read


@pytest.mark.parametrize("features, kernel, dataset, srocc, plcc", PAPER)
def test_paper(load, features, kernel, dataset, srocc, plcc):
    found = evaluate(*load(dataset, features), cell(kernel), Paper()).scores
    assert found["srocc"]["median"] == pytest.approx(srocc, abs=TOLERANCE[dataset])
    assert found["plcc"]["median"] == pytest.approx(plcc, abs=TOLERANCE[dataset])
    # Scores of averaged predictions would spread less: this is the spread of single folds.
    assert 0.02 < found["srocc"]["std"] < 0.07


@pytest.mark.parametrize("kernel, source, scaling, srocc, plcc", CROSS)
def test_cross(load, kernel, source, scaling, srocc, plcc):
    target = LIVE if source == KONVID else KONVID
    protocol = Cross(scaling=scaling)
    found = evaluate(*load(source, "VIDEVAL"), cell(kernel), protocol, target=load(target, "VIDEVAL")).scores
    assert found["srocc"]["value"] == pytest.approx(srocc, abs=0.001)
    assert found["plcc"]["value"] == pytest.approx(plcc, abs=0.001)


@pytest.mark.parametrize("kernel, srocc", [("linear", 0.7814), ("rbf", 0.7618)])  # our own, of docs/evaluation.md
def test_fused_features_score_higher_than_each(load, kernel, srocc):
    (videval, mos), (brisque, _) = load(KONVID, "VIDEVAL"), load(KONVID, "BRISQUE")
    both = fused({"videval": videval, "brisque": brisque}, [str(row) for row in range(len(mos))])
    cell = Cell(layers=("videval", "brisque"), pools=("all",), kernel=kernel)
    found = evaluate(both, mos, cell, Paper()).scores["srocc"]["median"]
    assert found == pytest.approx(srocc, abs=0.001)
    assert found > max(row[3] for row in PAPER if row[1:3] == (kernel, KONVID))


def test_ugcvqa_with_the_benchmarks_logistic(load, figure):
    found = evaluate(*load(LIVE, "VIDEVAL"), cell("rbf"), UGCVQA(mapping="test"), threads=2).scores
    figure(f"{found['srocc']['median']:.4f} / {found['plcc_mapped']['median']:.4f} against 0.7522 / 0.7514")
    assert found["srocc"]["median"] == pytest.approx(0.7522, abs=0.02)
    assert found["plcc_mapped"]["median"] == pytest.approx(0.7514, abs=0.02)


@pytest.mark.release  # about a quarter of an hour for KoNViD-1k
@pytest.mark.parametrize(
    "dataset, features, srocc, plcc",
    [
        (KONVID, "VIDEVAL", 0.7832, 0.7803),
        (KONVID, "BRISQUE", 0.6567, 0.6576),
        (LIVE, "BRISQUE", 0.5925, 0.6380),
    ],
)
def test_the_rest_of_ugcvqa(load, dataset, features, srocc, plcc, figure):
    found = evaluate(*load(dataset, features), cell("rbf"), UGCVQA(mapping="test"), threads=2).scores
    figure(f"{found['srocc']['median']:.4f} / {found['plcc_mapped']['median']:.4f} against {srocc} / {plcc}")
    assert found["srocc"]["median"] == pytest.approx(srocc, abs=TOLERANCE[dataset])
    assert found["plcc_mapped"]["median"] == pytest.approx(plcc, abs=TOLERANCE[dataset])


def test_the_command_gives_the_same(real_data, tmp_path, capsys):
    folder = real_data / "features"
    words = [f"features.path={folder}/{KONVID}_VIDEVAL_feats.mat", f"data.labels={folder}/{KONVID}_metadata.csv"]
    words += [f"target_features.path={folder}/{LIVE}_VIDEVAL_feats.mat", f"target.labels={folder}/{LIVE}_metadata.csv"]
    words += [
        "features.nonfinite=zero",
        "target_features.nonfinite=zero",
        "data.mos_column=MOS",
        "target.mos_column=MOS",
    ]
    words += ["features=matrix", "data=csv", "protocol=cross", f"paths.outputs={tmp_path}", f"paths.cache={tmp_path}"]
    assert cli.main(["sweep", *words, "tracker=none"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "matrix linear: SROCC 0.6931"


@pytest.mark.parametrize(
    "dataset, cells", [(KONVID, "row 87 column 20, row 236 column 20"), (LIVE, "row 499 column 20")]
)
def test_cells_that_are_not_finite_are_named(real_data, dataset, cells):
    with pytest.raises(FeatureError) as error:
        read_matrix(real_data / "features" / f"{dataset}_VIDEVAL_feats.mat")
    assert f"not finite numbers: {cells}. Try:" in str(error.value)
