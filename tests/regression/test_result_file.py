from __future__ import annotations

import json

import pytest
from oracle import made

from fmcvqa.errors import FmcvqaError
from fmcvqa.regression.evaluate import evaluate
from fmcvqa.regression.protocols import Cross, Paper
from fmcvqa.regression.results import build_result, dataset_card, read_result, write_result
from fmcvqa.regression.svr import Cell

SCORES = ["srocc", "krocc", "plcc", "plcc_mapped", "rmse", "rmse_mapped"]


def result(**options):
    features, mos = made()
    evaluation = evaluate(features, mos, Cell(layers=("A",)), options.pop("protocol", Paper(repeats=1)), **options)
    card = dataset_card("made", videos=60, mos_range=(0, 100), stand_in=True)
    return build_result(evaluation, name="trial", dataset=card, config={"a": 1}, key="00", versions={"fmcvqa": "0.1.0"})


def test_a_result_holds_what_the_contract_says(tmp_path):
    written = result()
    path = write_result(tmp_path, written)
    back = json.loads(path.read_text())
    assert back == written == read_result(tmp_path)
    assert list(back) == [
        "name", "cell", "dataset", "target", "protocol", "scores", "splits", "predictions", "config", "key", "versions",
        "command",
    ]  # fmt: skip
    assert list(back["scores"]) == SCORES
    assert all(list(score) == ["median", "mean", "std", "ci95"] for score in back["scores"].values())
    assert list(back["splits"][0]) == ["split", "train", "test", *SCORES]
    assert list(back["predictions"][0]) == ["id", "mos", "predicted"]
    assert back["dataset"] == {"name": "made", "stand_in": True, "videos": 60, "mos_range": [0, 100]}
    assert back["protocol"]["name"] == "paper" and back["protocol"]["mapping_fitted_on"] == "train"
    assert back["target"] is None
    assert {"python", "numpy", "scipy", "scikit-learn", "fmcvqa"} == set(back["versions"])


def test_across_datasets_there_is_one_value_and_its_interval():
    target = made(30, seed=1)
    scores = result(protocol=Cross(), target=target)["scores"]
    assert all(list(score) == ["value", "ci95"] for score in scores.values())


def test_no_result_and_a_damaged_one(tmp_path):
    assert read_result(tmp_path) is None
    (tmp_path / "result.json").write_text('{"scores": ')
    with pytest.raises(FmcvqaError) as error:
        read_result(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'result.json'} is not a result (")
    assert str(error.value).endswith("Try: delete it and run that cell again")
