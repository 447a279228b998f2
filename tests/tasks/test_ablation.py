"""Rows of the ablation end to end: one extraction serves those of one recipe, each with its own recipe's numbers."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from tiny import errors, generated, network, places, run

from fmcvqa import cli

Capture = pytest.CaptureFixture[str]
SHALLOW, DEEP = "features.4", "features.7"
SET = [*generated(), *network(), "protocol.repeats=1", "tracker=none", "regressor.kernel=linear"]

# Rows of one store, and what each would be with a recipe of its own.
OWN = {
    "paper": [],
    "pools_std_delta": ["recipe.pools=[mean,max,std,delta]"],
    "sketch_1024": ["recipe.sketch=1024"],
    "scaling_minmax": ["protocol.scaling=minmax"],
}


@pytest.fixture(scope="module")
def finished(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of three recipes: the shared one, one of its own, and the one of deeper layers."""
    folder = tmp_path_factory.mktemp("ablation")
    words = [*SET, *places(shared_folder, folder), f"paths.cache={folder / 'cache'}"]
    shared = [
        f"ablation={','.join([*OWN, 'gram_l2'])}",
        f"recipe.taps=[{SHALLOW},{DEEP}]",
        f"features.layers=[{SHALLOW}]",
    ]
    deeper = [
        "ablation=taps_mixed_6a",
        f"recipe.taps=[{SHALLOW},{DEEP},classifier.avgpool]",
        f"features.layers=[{DEEP}]",
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        assert cli.main(["sweep", "ablation", *words, *shared, "~hydra.callbacks.table"]) == 0
        assert cli.main(["sweep", "ablation", *words, *deeper]) == 0
    return folder


def results(folder: Path) -> dict[str, dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in (folder / "outputs" / "ablation").glob("*/result.json")]
    return {result["config"]["row"]: result for result in found}


def numbers(result: dict[str, Any]) -> list[Any]:
    return [result[part] for part in ("scores", "splits", "predictions")]


def test_rows_of_one_recipe_share_one_extraction(finished: Path) -> None:
    stores = list((finished / "cache").glob("*konvid*/*/recipe.json"))
    recipes = [json.loads(path.read_text()) for path in stores]
    assert len(results(finished)) == 6
    assert sorted(recipe.get("normalisation", "none") for recipe in recipes) == ["l2", "none", "none"]
    assert all(len(list(path.parent.glob("*.safetensors"))) == 12 for path in stores)


@pytest.mark.parametrize("row", OWN)
def test_a_row_gives_what_its_own_recipe_gives(row: str, finished: Path, tmp_path: Path, capsys: Capture) -> None:
    data = [f"paths.data={results(finished)[row]['config']['paths']['data']}", f"paths.cache={tmp_path / 'cache'}"]
    words = [*SET, *data, f"paths.outputs={tmp_path}", f"recipe.taps=[{SHALLOW}]", *OWN[row], "name=own"]
    assert run(capsys, "sweep", *words)[0] == 0
    own, found = json.loads((tmp_path / "own" / "result.json").read_text()), results(finished)[row]
    assert numbers(own) == numbers(found)
    assert own["cell"] == found["cell"]
    assert [row for row in OWN if numbers(results(finished)[row]) == numbers(found)] == [row]


def test_a_deeper_row_gives_what_its_own_recipe_gives(finished: Path, tmp_path: Path, capsys: Capture) -> None:
    found = results(finished)["taps_mixed_6a"]
    assert found["config"]["features"]["shared"] is False
    data = [f"paths.data={found['config']['paths']['data']}", f"paths.cache={tmp_path / 'cache'}"]
    words = [*SET, *data, f"paths.outputs={tmp_path}", f"recipe.taps=[{DEEP}]", "name=own"]
    assert run(capsys, "sweep", *words)[0] == 0
    assert numbers(json.loads((tmp_path / "own" / "result.json").read_text())) == numbers(found)


def test_all_rows_are_tested_on_the_same_splits_in_one_table(finished: Path) -> None:
    folder = finished / "outputs" / "ablation"
    assert len({path.read_bytes() for path in folder.glob("*/splits.json")}) == 1
    assert len({result["protocol"]["splits_sha256"] for result in results(finished).values()}) == 1
    rows = list(csv.DictReader((folder / "table.csv").open()))
    assert rows[0]["row"] == "paper"
    assert {row["row"] for row in rows} == set(results(finished))
    for row in rows[1:]:
        pairs = zip(results(finished)[row["row"]]["splits"], results(finished)["paper"]["splits"], strict=True)
        differences = [one["srocc"] - other["srocc"] for one, other in pairs]
        assert float(row["difference"]) == pytest.approx(sum(differences) / 5, abs=1e-12)


def test_a_sketch_is_had_from_no_other_sketch(konvid: list[str], capsys: Capture) -> None:
    words = ["recipe.sketch=100", "features.sketch=50", f"features.layers=[{SHALLOW}]"]
    code, _, err = run(capsys, "sweep", *konvid, *words, "tracker=none")
    assert code == 2
    assert errors(err) == [
        "features.sketch=50 features.sketch_seed=0 cannot be had from a sketch. Found: recipe.sketch=100 "
        "recipe.sketch_seed=0. Try: recipe.sketch=null, which keeps all numbers, or the same for both"
    ]
