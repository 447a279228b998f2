"""Anybody's features: every protocol by import and by command, splits and groups from files, jobs in processes."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat
from tiny import errors, places, run

from fmcvqa.features.matrixfile import read_matrix
from fmcvqa.regression.evaluate import evaluate
from fmcvqa.regression.protocols import UGCVQA, Cross, Nested, Paper
from fmcvqa.regression.svr import Cell

Capture = pytest.CaptureFixture[str]
CELL = {"layers": ("matrix",), "pools": ("all",)}
WEIGHTS = np.random.default_rng(9).normal(size=8)
PROTOCOLS = {
    "paper": ({"repeats": 1}, Paper),
    "ugcvqa": ({"rounds": 3, "C": [2.0, 32.0], "gamma": [0.01, 0.1]}, UGCVQA),
    "nested": ({"repeats": 1, "inner_folds": 2, "C": [0.1, 1.0], "epsilon": [0.1], "gamma": ["scale"]}, Nested),
}


def made(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, 8))
    return X, X @ WEIGHTS + rng.normal(size=count)


def written(folder: Path, count: int = 40, seed: int = 0, ending: str = ".npy", name: str = "set") -> tuple[Path, Path]:
    """A matrix in one of the formats and its labels, MOS only; those that carry ids come in another order."""
    X, mos = made(count, seed)
    path, labels = folder / f"{name}{ending}", folder / f"{name}.labels.csv"
    turn = np.random.default_rng(1).permutation(count)
    ids = [f"v{i}" for i in range(count)]
    if ending == ".npy":
        np.save(path, X)
    elif ending == ".mat":
        savemat(path, {"feats": X, "words": np.array(["a", "b"])})
    elif ending == ".npz":
        np.savez(path, feats=X[turn], ids=np.array(ids)[turn])
    else:
        rows = [["name", *(f"f{i}" for i in range(8))], *([ids[i], *map(repr, map(float, X[i]))] for i in turn)]
        path.write_text("\n".join(",".join(row) for row in rows) + "\n")
    named = ending in (".npz", ".csv")
    header, cells = ("who,score" if named else "score"), [f"{i}," if named else "" for i in ids]
    labels.write_text("\n".join([header, *(f"{cell}{float(y)!r}" for cell, y in zip(cells, mos, strict=True))]) + "\n")
    return path, labels


def words(path: Path, labels: Path, folder: Path, *more: str) -> list[str]:
    named = ["data.id_column=who"] if path.suffix in (".npz", ".csv") else []
    named += ["features.id_column=name"] if path.suffix == ".csv" else []
    data = ["data=csv", f"data.labels={labels}", "data.mos_column=score", *named]
    flags, overrides = [w for w in more if w[0] == "-"], [w for w in more if w[0] != "-"]
    features = ["features=matrix", f"features.path={path}"]
    return ["sweep", *flags, *features, *data, *places(folder), "tracker=none", *overrides]


def settings(protocol: str) -> list[str]:
    values, _ = PROTOCOLS[protocol]
    return [f"protocol={protocol}", *(f"protocol.{key}={json.dumps(value)}" for key, value in values.items())]


def result(folder: Path, name: str = "sweep") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "outputs" / name / "result.json").read_text())
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_every_protocol_by_command_is_the_one_by_import(
    protocol: str, kernel: str, tmp_path: Path, capsys: Capture
) -> None:
    path, labels = written(tmp_path)
    code, out, err = run(capsys, *words(path, labels, tmp_path, *settings(protocol), f"regressor.kernel={kernel}"))
    assert (code, errors(err)) == (0, [])
    X, mos = read_matrix(path), made(40, 0)[1]
    values, kind = PROTOCOLS[protocol]
    found = evaluate(X, mos, Cell(**CELL, kernel=kernel), kind(**values))
    assert result(tmp_path)["scores"] == json.loads(json.dumps(found.scores))
    assert result(tmp_path)["splits"] == found.rows
    assert out.startswith(f"matrix {kernel}: SROCC {found.scores['srocc']['median']:.4f} (std ")


@pytest.mark.parametrize("ending", [".mat", ".npz", ".csv"])
def test_every_format_gives_the_same_numbers(ending: str, tmp_path: Path, capsys: Capture) -> None:
    expected = evaluate(read_matrix(written(tmp_path)[0]), made(40, 0)[1], Cell(**CELL), Paper(repeats=1))
    assert run(capsys, *words(*written(tmp_path, ending=ending), tmp_path, *settings("paper")))[0] == 0
    found = [row["plcc"] for row in result(tmp_path)["splits"]]
    assert found == pytest.approx([row["plcc"] for row in expected.rows], rel=1e-9)


@pytest.mark.parametrize("scaling", ["source", "target"])
def test_a_second_matrix_is_the_target(scaling: str, tmp_path: Path, capsys: Capture) -> None:
    path, labels = written(tmp_path)
    other, tested = written(tmp_path, count=20, seed=1, ending=".mat", name="other")
    target = [f"target_features.path={other}", f"target.labels={tested}", "target.mos_column=score"]
    more = [
        "protocol=cross",
        f"protocol.scaling={scaling}",
        *target,
        "data.mos_range=[-20,20]",
        "target.mos_range=[-20,20]",
    ]
    code, out, err = run(capsys, *words(path, labels, tmp_path, *more))
    assert (code, errors(err)) == (0, [])
    found = evaluate(
        read_matrix(path),
        made(40, 0)[1],
        Cell(**CELL),
        Cross(scaling=scaling),
        target=(read_matrix(other), made(20, 1)[1]),
        mos_ranges=((-20, 20), (-20, 20)),
    )
    assert result(tmp_path)["scores"] == json.loads(json.dumps(found.scores))
    assert result(tmp_path)["target"]["videos"] == 20
    assert out.startswith(f"matrix linear: SROCC {found.scores['srocc']['value']:.4f}")
    assert not list(tmp_path.rglob("splits.json"))  # the whole source has none


def test_a_target_with_other_columns_is_refused(tmp_path: Path, capsys: Capture) -> None:
    path, labels = written(tmp_path)
    np.save(tmp_path / "other.npy", np.ones((20, 7)))
    _, tested = written(tmp_path, count=20, seed=1, name="tested")
    target = [f"target_features.path={tmp_path / 'other.npy'}", f"target.labels={tested}", "target.mos_column=score"]
    code, _, err = run(capsys, *words(path, labels, tmp_path, "protocol=cross", *target))
    assert code == 4
    assert errors(err) == [
        "the target's block matrix/all has 7 columns, the source's 8. Try: extract both sets with the same recipe"
    ]


def test_splits_are_left_behind_and_taken_up_again(tmp_path: Path, capsys: Capture) -> None:
    path, labels = written(tmp_path)
    first = words(path, labels, tmp_path, *settings("paper"), "protocol.seed=3")
    assert run(capsys, *first)[0] == 0
    splits = tmp_path / "outputs" / "sweep" / "splits.json"
    content = json.loads(splits.read_text())
    assert (content["format"], len(content["videos"]), len(content["splits"])) == ("fmcvqa-splits-1", 40, 5)
    again = words(path, labels, tmp_path, *settings("paper"), f"protocol.splits_file={splits}", "name=again")
    assert run(capsys, *again)[0] == 0
    one, two = result(tmp_path), result(tmp_path, "again")
    assert one["splits"] == two["splits"]
    assert one["protocol"]["splits_sha256"] == two["protocol"]["splits_sha256"]
    copy = tmp_path / "mine.json"
    copy.write_text(json.dumps({**content, "splits": content["splits"][:3]}))
    third = words(path, labels, tmp_path, *settings("paper"), f"protocol.splits_file={copy}", "name=third")
    assert run(capsys, *third)[0] == 0
    assert len(result(tmp_path, "third")["splits"]) == 3
    copy.write_text(json.dumps({**content, "splits": content["splits"][:4]}))
    assert run(capsys, *third)[0] == 0
    assert len(result(tmp_path, "third")["splits"]) == 4  # the same path, but another file


def test_videos_of_one_group_stay_together(tmp_path: Path, capsys: Capture) -> None:
    path, labels = written(tmp_path)
    groups = tmp_path / "groups.csv"
    groups.write_text("id,group\n" + "".join(f"{i},g{i // 4}\n" for i in range(40)))
    assert run(capsys, *words(path, labels, tmp_path, *settings("paper"), f"protocol.groups_file={groups}"))[0] == 0
    assert result(tmp_path)["protocol"]["groups_file"] == "groups.csv"
    for split in json.loads((tmp_path / "outputs" / "sweep" / "splits.json").read_text())["splits"]:
        assert {i // 4 for i in split["train"]}.isdisjoint({i // 4 for i in split["test"]})


def test_infinity_is_no_limit(tmp_path: Path, capsys: Capture) -> None:
    path, labels = written(tmp_path)
    same = words(path, labels, tmp_path, *settings("paper"))
    limits = [f"kernels.{name}_gib=inf" for name in ("memory", "disk", "max")]
    for name, more in (("limited", []), ("unlimited", limits)):
        assert run(capsys, *same, f"name={name}", *more)[0] == 0
    assert result(tmp_path, "unlimited")["splits"] == result(tmp_path, "limited")["splits"]
    assert result(tmp_path, "unlimited")["config"]["kernels"]["max_gib"] == "inf"  # which JSON has no number for


def test_past_the_limit_linear_is_primal_and_rbf_says_what_to_do(tmp_path: Path, capsys: Capture) -> None:
    path, labels = written(tmp_path)
    cells = ["-m", "regressor.kernel=linear,rbf", "kernels.max_gib=1e-5"]
    code, _, err = run(capsys, *words(path, labels, tmp_path, *settings("paper"), *cells))
    assert code == 3
    assert errors(err)[0] == (
        "the kernels of 40 videos need 0.0 GiB of working memory. Found: a limit of 0.0 GiB. "
        "Try: regressor.kernel=linear with regressor.solver=primal, which needs none; fewer videos; "
        "or a larger kernels.max_gib"
    )
    (done,) = [json.loads(file.read_text()) for file in (tmp_path / "outputs").rglob("result.json")]
    assert (done["cell"]["kernel"], done["cell"]["solver"]) == ("linear", "primal")


def test_cells_that_are_not_numbers_are_named_or_zeroed(tmp_path: Path, capsys: Capture) -> None:
    path, labels = written(tmp_path)
    X = np.load(path)
    X[3, 2] = np.nan
    np.save(path, X)
    code, _, err = run(capsys, *words(path, labels, tmp_path, *settings("paper")))
    assert code == 4
    assert errors(err)[0].startswith(
        "block matrix/all holds 1 values that are not finite numbers: row 3 column 2. Try:"
    )
    assert run(capsys, *words(path, labels, tmp_path, *settings("paper"), "features.nonfinite=zero"))[0] == 0


@pytest.mark.release  # each job imports everything anew
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_jobs_in_processes_give_the_same_table(launcher: str, tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.split('_')[0]}_launcher")
    path, labels = written(tmp_path)
    cells = [*settings("paper"), "-m", "regressor.kernel=linear,rbf"]
    jobs = {"joblib": ["hydra.launcher.n_jobs=2"], "submitit_local": ["hydra.launcher.timeout_min=5"]}[launcher]
    code, out, err = run(capsys, *words(path, labels, tmp_path, *cells, f"hydra/launcher={launcher}", *jobs))
    assert (code, errors(err)) == (0, [])
    rows = list(csv.DictReader((tmp_path / "outputs" / "sweep" / "table.csv").open()))
    assert {row["kernel"] for row in rows} == {"linear", "rbf"}
    for row in rows:
        found = evaluate(read_matrix(path), made(40, 0)[1], Cell(**CELL, kernel=row["kernel"]), Paper(repeats=1))
        assert float(row["srocc"]) == pytest.approx(found.scores["srocc"]["median"], abs=1e-4)
    assert "SROCC" in out
