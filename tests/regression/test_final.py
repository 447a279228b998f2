from __future__ import annotations

import json

import numpy as np
import pytest
from oracle import made, plain_predictions

from fmcvqa.errors import ConfigError, ModelFileError
from fmcvqa.regression.evaluate import evaluate
from fmcvqa.regression.final import fit_final, load_regressor, searched
from fmcvqa.regression.protocols import Nested, Paper
from fmcvqa.regression.svr import SOLVERS, Cell


@pytest.mark.parametrize("scaler", ["standard", "minmax", "none"])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_a_fitted_model_predicts_as_the_plain_pipeline(kernel, scaler):
    features, mos = made(40, (5000, 8), spread=0.5)
    cell = Cell(layers=("A", "B"), kernel=kernel)
    model = fit_final(features, mos, cell, scaler=scaler)
    plain = plain_predictions(features, mos, cell, np.arange(40), scaler)
    np.testing.assert_allclose(model.predict(features.blocks), plain, atol=1e-8 * mos.std())
    again = load_regressor(model.arrays(), json.loads(json.dumps(model.meta())))
    assert again.predict(features.blocks).tobytes() == model.predict(features.blocks).tobytes()
    one = {key: block[3:4] for key, block in features.blocks.items()}
    np.testing.assert_allclose(again.predict(one), plain[3:4], atol=1e-8 * mos.std())


def test_a_linear_model_is_one_weight_per_feature():
    features, mos = made(40, (30, 8))
    model = fit_final(features, mos, Cell(layers=("A",)))
    assert {name: array.shape for name, array in model.arrays().items()} == {
        "weights/A/mean": (30,),
        "weights/A/max": (30,),
        "bias": (1,),
    }
    by_hand = sum(features.blocks["A", pool] @ model.weights["A", pool] for pool in ("mean", "max")) + model.bias
    np.testing.assert_allclose(model.predict(features.blocks), by_hand)


def test_errors_say_what_is_missing():
    features, mos = made(40, (30, 8))
    with pytest.raises(ConfigError) as error:
        fit_final(features, mos, Cell(layers=("A",)), scaler="l2")
    assert str(error.value) == (
        "a model cannot be fitted with scaling=l2. Found: standard, minmax, none. "
        "Try: the others cannot be folded into a model over raw features"
    )
    model = fit_final(features, mos, Cell(layers=("A",)))
    for blocks, have in (({}, 0), ({("A", "mean"): np.ones((1, 7))}, 7)):
        with pytest.raises(ModelFileError) as error:
            model.predict(blocks)
        assert str(error.value) == (
            f"the regressor wants 30 columns of A/mean, there are {have}. "
            "Try: give features of the recipe it was fitted on"
        )
    with pytest.raises(ModelFileError) as error:
        load_regressor({}, model.meta())
    assert str(error.value) == "the regressor is not whole ('weights/A/mean'). Try: fit the model again"
    with pytest.raises(ModelFileError) as error:
        load_regressor({}, {"kind": "tree", "blocks": []})
    assert str(error.value) == "the regressor is of the unknown kind tree. Found: linear, rbf"


@pytest.mark.parametrize("scaler", ["standard", "minmax", "none"])
def test_a_model_fitted_in_the_primal_is_one_weight_per_feature_too(scaler):
    features, mos = made(40, (30, 8), spread=0.5)
    primal, dual = (fit_final(features, mos, Cell(layers=("A", "B"), solver=s), scaler=scaler) for s in SOLVERS[:0:-1])
    assert primal.meta() == dual.meta()
    np.testing.assert_allclose(
        primal.predict(features.blocks), dual.predict(features.blocks), rtol=0, atol=0.005 * mos.std()
    )


def test_a_search_is_done_again_on_all_videos():
    features, mos = made(40, (30, 8))
    cell = Cell(layers=("A",))
    assert searched(features, mos, cell, Paper()) == cell
    protocol = Nested(repeats=1, C=(0.001, 1000.0), epsilon=(0.1,))
    chosen = searched(features, mos, cell, protocol)
    assert chosen.C in (0.001, 1000.0)
    rows = [row["C"] for row in evaluate(features, mos, cell, protocol, resamples=1).rows]
    assert max(set(rows), key=rows.count) == chosen.C  # as the folds choose on four fifths of these videos
