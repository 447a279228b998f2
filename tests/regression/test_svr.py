from __future__ import annotations

import numpy as np
import pytest

from fmcvqa.errors import ConfigError, FeatureError
from fmcvqa.regression.svr import Cell, SVRSettings, all_cells, fit_svr, resolve_gamma


def test_a_table_has_7_subsets_and_2_kernels():
    cells = all_cells(["avgpool", "Mixed_5b", "Mixed_5c"])
    assert len(cells) == 14
    assert len({cell.layers for cell in cells}) == 7
    assert cells[0].as_dict() == {
        "layers": ["avgpool"],
        "pools": ["mean", "max"],
        "kernel": "linear",
        "C": 1.0,
        "epsilon": 0.1,
        "gamma": "scale",
        "solver": "auto",
    }
    assert cells[-1].blocks == [(tap, pool) for tap in ("avgpool", "Mixed_5b", "Mixed_5c") for pool in ("mean", "max")]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"kernel": "poly"}, "regressor.kernel=poly is unknown. Found: linear, rbf"),
        ({"C": 0.0}, "regressor.C=0.0 is not above 0. Try: 1.0 is the paper's"),
        ({"C": float("nan")}, "regressor.C=nan is not above 0. Try: 1.0 is the paper's"),
        ({"epsilon": -0.1}, "regressor.epsilon=-0.1 is below 0. Try: 0.1 is the paper's"),
        (
            {"gamma": "big"},
            "regressor.gamma=big is unknown. Found: scale, auto, a number above 0, or a multiple such as 4*scale",
        ),
        ({"solver": "sgd"}, "regressor.solver=sgd is unknown. Found: auto, dual, primal"),
        (
            {"solver": "primal", "kernel": "rbf"},
            "regressor.solver=primal cannot fit kernel=rbf. Try: regressor.kernel=linear",
        ),
        (
            {"gamma": -1.0},
            "regressor.gamma=-1.0 is unknown. Found: scale, auto, a number above 0, or a multiple such as 4*scale",
        ),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ConfigError) as error:
        SVRSettings(**settings)
    assert str(error.value) == message


def test_a_cell_names_each_layer_once():
    for layers, message in [
        ((), "features.layers=[] must name at least one, each once"),
        (("A", "A"), "features.layers=[A,A] must name at least one, each once"),
        ("A", "features.layers=A is one word. Try: give a list: [A]"),
    ]:
        with pytest.raises(ConfigError) as error:
            Cell(layers=layers)
        assert str(error.value) == message


@pytest.mark.parametrize(
    "gamma, value", [("scale", 0.05), ("auto", 0.1), ("4*scale", 0.2), (0.3, 0.3), ("0.5*auto", 0.05), (2, 2.0)]
)
def test_gamma(gamma, value):
    assert resolve_gamma(gamma, columns=10, variance=2.0) == pytest.approx(value)


def test_gamma_of_constant_features_is_scikit_learns():
    assert resolve_gamma("scale", columns=10, variance=0.0) == 1.0


def test_constant_labels_are_an_error():
    with pytest.raises(FeatureError) as error:
        fit_svr(np.eye(12), np.arange(10), np.full(12, 3.5), SVRSettings())
    assert str(error.value) == "the MOS of all 10 training videos are 3.5. Try: check the labels"
