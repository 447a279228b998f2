"""Cells of a table as a command: what a run leaves, what is skipped, and what the numbers are made of."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from tiny import TAPS, composed, errors, generated, network, places, run

from fmcvqa import cli
from fmcvqa.data.synthetic import SyntheticKoNViD1k
from fmcvqa.sealed import read_sealed

Capture = pytest.CaptureFixture[str]
PAPER_TAPS = ("Mixed_5b", "Mixed_5c", "avgpool")
SCORES = {"srocc", "krocc", "plcc", "plcc_mapped", "rmse", "rmse_mapped"}
QUICK = ["protocol.repeats=2", "tracker=none"]


@dataclass
class Finished:
    """A multirun of two sets of layers and both kernels."""

    words: list[str]
    folder: Path
    cache: Path
    out: str
    code: int

    def results(self) -> dict[tuple[str, ...], dict[str, Any]]:
        found = [json.loads(path.read_text()) for path in self.folder.glob("*/result.json")]
        return {(*result["cell"]["layers"], result["cell"]["kernel"]): result for result in found}


@pytest.fixture(scope="module")
def finished(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("sweep")
    cells = [f"features.layers=[{TAPS[0]}],[{','.join(TAPS)}]", "regressor.kernel=linear,rbf"]
    own = [*places(shared_folder, folder), f"paths.cache={folder / 'cache'}"]
    words = ["sweep", "-m", *generated(), *network(), *own, *QUICK, *cells]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = cli.main(words)
    return Finished(words, folder / "outputs" / "sweep", folder / "cache", out.getvalue(), code)


def test_a_cell_leaves_a_result_of_the_contract(finished: Finished) -> None:
    assert finished.code == 0
    results = finished.results()
    assert set(results) == {(*layers, kernel) for layers in (TAPS[:1], TAPS) for kernel in ("linear", "rbf")}
    for (*layers, kernel), result in results.items():
        assert set(result) == {
            *("name", "cell", "dataset", "target", "protocol", "scores"),
            *("splits", "predictions", "config", "key", "versions", "command"),
        }
        assert result["command"].startswith("fmcvqa sweep ")
        assert f"regressor.kernel={kernel}" in shlex.split(result["command"])
        assert result["name"] == "sweep"
        cell = {"layers": layers, "pools": ["mean", "max"], "kernel": kernel, "C": 1.0, "gamma": "scale"}
        assert {name: result["cell"][name] for name in cell} == cell
        assert result["dataset"] == {
            "name": "KoNViD-1k (synthetic stand-in)",
            "stand_in": True,
            "videos": 12,
            "mos_range": [1, 5],
        }
        assert result["target"] is None
        assert result["protocol"]["name"] == "paper"
        assert result["protocol"]["mapping_fitted_on"] == "train"
        assert set(result["scores"]) == SCORES
        assert [row["split"] for row in result["splits"]] == list(range(10))
        for name, score in result["scores"].items():
            values = [row[name] for row in result["splits"]]
            assert score["median"] == pytest.approx(np.median(values), abs=1e-12)
            assert score["std"] == pytest.approx(np.std(values), abs=1e-12)
        assert len(result["predictions"]) == 12
        assert result["config"]["recipe"]["taps"] == list(TAPS)
        assert len(result["key"]) == 64
    assert len({result["key"] for result in results.values()}) == 4


def test_the_numbers_are_those_of_scikit_learn_on_the_stored_features(finished: Finished) -> None:
    files = sorted(finished.cache.glob("*/*/*.safetensors"))
    stored = {path.stem: read_sealed(path)[0] for path in files}
    for (*layers, kernel), result in finished.results().items():
        ids = [row["id"] for row in result["predictions"]]
        mos = np.array([row["mos"] for row in result["predictions"]])
        names = [f"{layer}/{pool}" for layer in layers for pool in ("mean", "max")]
        rows = np.stack([np.concatenate([stored[i][name] for name in names]) for i in ids]).astype(np.float64)
        protocol = instantiate(result["config"]["protocol"])
        sums = np.zeros(12)
        for split in protocol.splits(ids):
            scaler, scale = StandardScaler().fit(rows[split.train]), mos[split.train]
            svr = SVR(kernel=kernel).fit(scaler.transform(rows[split.train]), (scale - scale.mean()) / scale.std())
            sums[split.test] += svr.predict(scaler.transform(rows[split.test])) * scale.std() + scale.mean()
        predicted = [row["predicted"] for row in result["predictions"]]
        assert predicted == pytest.approx(sums / protocol.repeats, abs=2e-3)  # libsvm stops at 1e-3 of a deviation


def test_the_end_of_a_multirun_is_the_table(finished: Finished) -> None:
    for name in ("table.csv", "table.md", "scatter.png", "heatmap.png", "splits.png"):
        assert (finished.folder / name).stat().st_size > 100
    rows = list(csv.DictReader((finished.folder / "table.csv").open()))
    results = finished.results()
    assert len(rows) == 4
    assert {"layers", "kernel", "srocc", "srocc_std", "plcc", "plcc_std"} <= set(rows[0])
    for row in rows:
        scores = results[*row["layers"].split("+"), row["kernel"]]["scores"]
        assert float(row["srocc"]) == pytest.approx(scores["srocc"]["median"], abs=1e-4)
        assert float(row["srocc_std"]) == pytest.approx(scores["srocc"]["std"], abs=1e-4)
    assert "are generated. Published numbers are for the real set." in finished.out
    assert finished.out.count(f"{TAPS[0]} linear: SROCC ") == 1


def test_finished_cells_are_skipped_until_forced_or_changed(finished: Finished, capsys: Capture) -> None:
    def times() -> dict[str, int]:
        return {path.parent.name: path.stat().st_mtime_ns for path in finished.folder.glob("*/result.json")}

    before, results = times(), finished.results()
    code, out, err = run(capsys, *finished.words)
    assert code == 0
    assert times() == before
    assert err.count("is finished already; force=true runs it again") == 4
    assert "SROCC (std)" in out
    one = [*finished.words, f"features.layers=[{TAPS[0]}]", "regressor.kernel=linear"]
    [name] = [name for name in before if name.startswith(f"{TAPS[0]}_linear")]
    assert run(capsys, *one, "force=true")[0] == 0
    assert {cell for cell, time in times().items() if time != before[cell]} == {name}
    assert {key: result["scores"] for key, result in finished.results().items()} == {
        key: result["scores"] for key, result in results.items()
    }
    changed = finished.folder / name / "result.json"
    changed.write_text(json.dumps({**json.loads(changed.read_text()), "key": "another"}))
    assert run(capsys, *one)[0] == 0
    assert finished.results()[TAPS[0], "linear"]["key"] == results[TAPS[0], "linear"]["key"]


def test_a_finished_cell_whose_result_is_damaged_fails(finished: Finished, capsys: Capture) -> None:
    one = [*finished.words, f"features.layers=[{TAPS[0]}]", "regressor.kernel=linear"]
    [path] = finished.folder.glob(f"{TAPS[0]}_linear*/result.json")
    whole = path.read_text()
    path.write_text(json.dumps({**json.loads(whole), "scores": {}}))
    try:
        code, _, err = run(capsys, *one)
    finally:
        path.write_text(whole)
    assert code == 4
    told = f"{path} has no scores.srocc. Found: nothing there. Try: run this cell again with force=true"
    assert errors(err)[0] == told


def test_a_failed_cell_lets_the_others_go_on(konvid: list[str], tmp_path: Path, capsys: Capture) -> None:
    layers = f"features.layers=[{TAPS[0]}],[Mixed_5b],[{TAPS[1]}]"
    code, out, err = run(capsys, "sweep", "-m", *konvid, *QUICK, layers)
    assert code == 3
    first, last = errors(err)
    why = (
        f"there are no features Mixed_5b/max. Found: {TAPS[0]}/mean, {TAPS[0]}/max, {TAPS[1]}/mean, {TAPS[1]}/max. "
        "Try: choose layers and poolings among these, or extract the missing ones"
    )
    assert first == why
    assert last.startswith("1 of 3 jobs failed: Mixed_5b_linear_")
    assert last.endswith(f" ({why}). Try: mend what they name and run the same command: what is finished is skipped")
    folder = tmp_path / "outputs" / "sweep"
    assert len(list(folder.glob("*/result.json"))) == 2
    assert len(list(csv.DictReader((folder / "table.csv").open()))) == 2
    assert out.count(": SROCC ") == 2
    code, _, err = run(capsys, "sweep", "-m", *konvid, *QUICK, f"features.layers=[{TAPS[0]}],[{TAPS[1]}]")
    assert (code, errors(err)) == (0, [])


def test_settings_that_fail_in_a_cell_fail_that_cell_alone(konvid: list[str], tmp_path: Path, capsys: Capture) -> None:
    cells = ["regressor.C=-1,1,-2", f"features.layers=[{TAPS[1]}]"]
    code, _, err = run(capsys, "sweep", "-m", *konvid, *QUICK, *cells)
    assert code == 3
    assert errors(err)[:2] == [f"regressor.C={c} is not above 0. Try: 1.0 is the paper's" for c in (-1, -2)]
    assert errors(err)[2].startswith("2 of 3 jobs failed: ")
    assert len(list((tmp_path / "outputs" / "sweep").glob("*/result.json"))) == 1


def test_hydras_own_files_stop_no_cell(konvid: list[str], tmp_path: Path, capsys: Capture) -> None:
    words = ["sweep", "-m", *konvid, *QUICK, f"features.layers=[{TAPS[1]}]", "regressor.kernel=linear,rbf"]
    assert run(capsys, *words)[0] == 0
    folders = [path.parent for path in (tmp_path / "outputs" / "sweep").glob("*/result.json")]
    for folder in folders:
        shutil.rmtree(folder / ".hydra")
        (folder / ".hydra").touch()  # nothing can be written into a file, as on a full disk
    code, _, err = run(capsys, *words, "force=true")
    assert code == 0
    for folder in folders:
        assert f"{folder / '.hydra' / 'config.yaml'} cannot be written (File exists); the job goes on" in err


def test_a_damaged_result_is_told(konvid: list[str], tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "outputs" / "sweep").mkdir(parents=True)
    (tmp_path / "outputs" / "sweep" / "result.json").write_text("{}")
    code, _, err = run(capsys, "sweep", *konvid, *QUICK)
    assert code == 4
    assert errors(err) == [
        f"{tmp_path / 'outputs' / 'sweep' / 'result.json'} is not a result (no scores). "
        "Try: delete it and run that cell again"
    ]


@pytest.mark.parametrize("name", ["table1_konvid1k", "table2_livevqc", "authors"])
def test_the_cells_of_a_table_are_the_papers(name: str) -> None:
    cfg = composed(name)
    assert cfg.hydra.mode.name == "MULTIRUN"
    grid = [f"{key}={value}" for key, value in cfg.hydra.sweeper.params.items()]
    axes = [list(axis.sweep_string_iterator()) for axis in OverridesParser.create().parse_overrides(grid)]
    cells = [(frozenset(layers.strip("[]").split(",")), kernel) for layers, kernel in itertools.product(*axes)]
    subsets = [frozenset(taps) for size in (1, 2, 3) for taps in itertools.combinations(PAPER_TAPS, size)]
    assert len(cells) == 14
    assert set(cells) == {(subset, kernel) for subset in subsets for kernel in ("linear", "rbf")}
    splits = instantiate(cfg.protocol).splits([str(k) for k in range(1200)])
    assert len({split.test.tobytes() for split in splits}) == len(splits) == 100
    assert {(len(split.train), len(split.test)) for split in splits} == {(960, 240)}


def matrix(folder: Path, name: str, rows: int, seed: int) -> None:
    """Labels whose MOS a matrix of six columns tells, as .csv and as .npz with ids in another order."""
    values = np.random.default_rng(seed).normal(size=(rows, 6))
    mos = 3 + values @ [0.5, 0.3, 0, 0, 0.2, 0]
    ids = [f"v{k:02}" for k in range(rows)]
    table = [f"{i},{m}" for i, m in zip(ids, mos, strict=True)]
    (folder / f"{name}.csv").write_text("id,mos\n" + "\n".join(table) + "\n")
    np.savetxt(folder / f"{name}_features.csv", values, delimiter=",")
    order = np.random.default_rng(seed + 1).permutation(rows)
    np.savez(folder / f"{name}.npz", ids=np.array(ids)[order], features=values[order])


def test_anybodys_features_by_order_or_by_id(tmp_path: Path, capsys: Capture) -> None:
    matrix(tmp_path, "one", 40, 1)
    words = ["sweep", "data=csv", f"data.labels={tmp_path / 'one.csv'}", "data.id_column=id", "features=matrix"]
    words += [*QUICK, *places(tmp_path)]
    found = []
    for name in ("one_features.csv", "one.npz"):
        assert run(capsys, *words, f"features.path={tmp_path / name}", f"name={name}")[0] == 0
        found.append(json.loads((tmp_path / "outputs" / name / "result.json").read_text()))
    assert found[0]["cell"]["layers"] == ["matrix"]
    assert found[0]["scores"]["srocc"]["median"] > 0.9
    assert found[0]["predictions"] == found[1]["predictions"]
    assert not (tmp_path / "cache").exists()
    code, out, err = run(capsys, *words, f"features.path={tmp_path / 'none.npz'}")
    assert (code, out) == (4, "")
    assert errors(err) == [f"there is no feature matrix {tmp_path / 'none.npz'}. Try: check features.path"]


def test_a_matrix_without_ids_is_refused_where_rows_have_no_order(tmp_path: Path, capsys: Capture) -> None:
    root = tmp_path / "set"
    SyntheticKoNViD1k(root, videos=12, seconds=0.16, size=(90, 160)).labels()
    np.save(tmp_path / "m.npy", np.ones((12, 3)))
    words = ["data=konvid1k", f"data.root={root}", "data.expected=12", "features=matrix"]
    code, _, err = run(capsys, "sweep", *words, f"features.path={tmp_path / 'm.npy'}", *QUICK, *places(tmp_path))
    assert code == 2
    assert errors(err) == [
        f"{tmp_path / 'm.npy'} carries no ids, so its rows cannot be told apart: KoNViD-1k is ordered by id. "
        "Try: data=csv with labels in the matrix's order, or a matrix with ids (.npz, .csv)"
    ]


def test_matrices_of_two_sets_are_a_direction(tmp_path: Path, capsys: Capture) -> None:
    matrix(tmp_path, "one", 40, 1)
    matrix(tmp_path, "two", 30, 2)
    words = ["protocol=cross", "features=matrix", f"features.path={tmp_path / 'one.npz'}"]
    words += [f"target_features.path={tmp_path / 'two.npz'}", "data=csv", f"data.labels={tmp_path / 'one.csv'}"]
    words += ["data.id_column=id", "target.id_column=id", f"target.labels={tmp_path / 'two.csv'}", "tracker=none"]
    assert run(capsys, "sweep", *words, *places(tmp_path))[0] == 0
    result = json.loads((tmp_path / "outputs" / "sweep" / "result.json").read_text())
    assert (result["dataset"]["name"], result["target"]["name"]) == ("one", "two")
    assert (result["dataset"]["videos"], result["target"]["videos"]) == (40, 30)
    assert set(result["scores"]["srocc"]) == {"value", "ci95"}
    assert result["scores"]["srocc"]["value"] > 0.9
    assert len(result["splits"]) == 1
    assert len(result["predictions"]) == 30


def test_a_run_per_cell_offline_or_none(konvid: list[str], tmp_path: Path, capsys: Capture) -> None:
    cell = ["protocol.repeats=1", f"features.layers=[{TAPS[1]}]"]
    assert run(capsys, "sweep", *konvid, *cell, "tracker=wandb", "name=with")[0] == 0
    [run_file] = (tmp_path / "outputs" / "with" / "wandb").glob("offline-run-*/run-*.wandb")
    key = json.loads((tmp_path / "outputs" / "with" / "result.json").read_text())["key"]
    assert run_file.name == f"run-with-{key[:16]}.wandb"
    assert run(capsys, "sweep", *konvid, *cell, "tracker=none", "name=without")[0] == 0
    assert list((tmp_path / "outputs" / "without").rglob("*wandb*")) == []
    assert json.loads((tmp_path / "outputs" / "without" / "result.json").read_text())["key"] == key


def test_each_defect_of_the_authors_is_a_named_setting() -> None:
    paper, authors = composed("table1_konvid1k"), composed("authors")
    assert (paper.recipe.batchnorm, authors.recipe.batchnorm) == ("eval", "per_frame")
    assert (paper.recipe.jpeg_quality, authors.recipe.jpeg_quality) == (None, 95)
    same = set(paper.recipe) - {"batchnorm", "jpeg_quality"}
    assert {key: paper.recipe[key] for key in same} == {key: authors.recipe[key] for key in same}
    assert paper.protocol == authors.protocol
    assert authors.model.weights == "outputs/authors_finetune/best.ckpt"
    assert composed("authors", "data=synthetic_konvid1k").recipe.batchnorm == "per_frame"
    splits = [composed("finetune", f"training={name}").training.split for name in ("paper", "authors")]
    assert splits == ["reference", "image"]
    cross = composed("authors", "direction=konvid1k_to_livevqc", "protocol=authors_cross")
    plain = composed("table3_cross")
    assert (plain.protocol.scaling, cross.protocol.scaling) == ("source", "target")
    assert (plain.protocol.selection, cross.protocol.selection) == ("all", "best_of_100")
    assert (cross.data._target_.rpartition(".")[2], cross.target._target_.rpartition(".")[2]) == ("KoNViD1k", "LIVEVQC")


def test_the_authors_recipe_runs_and_gives_other_features(konvid: list[str], tmp_path: Path, capsys: Capture) -> None:
    own = ["model=resnet50", "model.weights=none", "recipe.taps=[layer1]", "recipe.resize=null"]
    words = [*konvid, *QUICK, *own, "features.layers=[layer1]", "regressor.kernel=linear"]
    assert run(capsys, "sweep", "authors", *words)[0] == 0
    assert run(capsys, "sweep", "-m", *words)[0] == 0
    one, other = (
        json.loads(path.read_text())
        for name in ("authors", "sweep")
        for path in (tmp_path / "outputs" / name).glob("*/result.json")
    )
    assert (one["config"]["recipe"]["batchnorm"], other["config"]["recipe"]["batchnorm"]) == ("per_frame", "eval")
    assert one["predictions"] != other["predictions"]


def test_the_authors_way_across_datasets(shared_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ["direction=synthetic_konvid1k_to_livevqc", *generated()[1:], *generated("target", "livevqc", 10)[1:]]
    words += [*network(), *places(shared_folder, tmp_path), f"features.layers=[{TAPS[1]}]", "tracker=none"]
    assert run(capsys, "sweep", *words, "name=strict")[0] == 0
    assert run(capsys, "sweep", *words, "protocol=authors_cross", "name=authors")[0] == 0
    strict, authors = (
        json.loads((tmp_path / "outputs" / name / "result.json").read_text()) for name in ("strict", "authors")
    )
    for result in (strict, authors):
        assert result["dataset"]["name"] == "KoNViD-1k (synthetic stand-in)"
        assert result["target"] == {
            "name": "LIVE-VQC (synthetic stand-in)",
            "stand_in": True,
            "videos": 10,
            "mos_range": [0, 100],
        }
        assert len(result["predictions"]) == 10
        assert len(result["splits"]) == 1
        assert set(result["scores"]) == SCORES
    assert (strict["splits"][0]["train"], authors["splits"][0]["train"]) in {(12, 9), (12, 10)}
    assert authors["protocol"]["selection"] == "best_of_100"
    assert strict["predictions"] != authors["predictions"]
