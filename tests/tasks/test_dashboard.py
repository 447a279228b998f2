"""The dashboard read back from W&B's offline files: what it shows is what the results say, and it can stop nothing."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import importlib.util
import io
import json
import logging
import math
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import TAPS, generated, network, places, run
from wandb_reader import RunFile, read_run, read_runs

from fmcvqa import cli, configs, tracking
from fmcvqa.regression.results import read_result
from fmcvqa.report.writing import write_report
from fmcvqa.tasks.dashboard import track_cell, track_model, track_sweep
from fmcvqa.tracking import NoTracker, WandbTracker

Capture = pytest.CaptureFixture[str]
STAND_IN = "KoNViD-1k (synthetic stand-in)"
FAILURE = "(OSError: no space left on device); its files are whole"


@dataclass
class Tracked:
    """A multirun of two sets of layers and both kernels with its offline runs."""

    words: list[str]
    folder: Path
    cache: Path
    code: int

    def results(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("*/result.json"))]

    def table(self) -> list[dict[str, str]]:
        return list(csv.DictReader((self.folder / "table.csv").open()))


@pytest.fixture(scope="module")
def tracked(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    folder = tmp_path_factory.mktemp("tracked")
    cells = [f"features.layers=[{TAPS[0]}],[{','.join(TAPS)}]", "regressor.kernel=linear,rbf", "protocol.repeats=2"]
    words = ["sweep", "-m", *generated(), *network(), *places(shared_folder, folder), "name=tiny", *cells]
    with contextlib.redirect_stdout(io.StringIO()):
        code = cli.main(words)
    return Tracked(words, folder / "outputs" / "tiny", shared_folder / "cache", code)


@pytest.fixture(scope="module")
def runs(tracked: Tracked) -> dict[str, RunFile]:
    return read_runs(tracked.folder)


def table_id(name: str, keys: list[str]) -> str:
    return f"{name}-table-{hashlib.sha256(json.dumps(sorted(keys)).encode()).hexdigest()[:16]}"


def test_a_run_per_cell_and_one_for_the_table(tracked: Tracked, runs: dict[str, RunFile]) -> None:
    assert tracked.code == 0
    keys = [result["key"] for result in tracked.results()]
    assert set(runs) == {f"tiny-{key[:16]}" for key in keys} | {table_id("tiny", keys)}
    assert all(one.finished and one.group == "tiny" for one in runs.values())
    for result in tracked.results():
        one, cell = runs[f"tiny-{result['key'][:16]}"], result["cell"]
        assert (one.kind, one.name) == ("cell", f"{'+'.join(cell['layers'])} {cell['kernel']}")
        assert one.tags == [STAND_IN, "protocol:paper", "stand-in", cell["kernel"], *cell["layers"]]
        facts = {name: one.config[name] for name in ("cell", "dataset", "target", "protocol", "key")}
        assert facts == {name: result[name] for name in facts}
        assert (one.config["layers"], one.config["kernel"]) == ("+".join(cell["layers"]), cell["kernel"])
        assert one.config["recipe"] == result["config"]["recipe"]
        assert not {"paths", "loader", "trainer", "tracker", "target_features"} & set(one.config)
    table = runs[table_id("tiny", keys)]
    assert (table.kind, table.name) == ("table", "tiny: table")
    assert table.tags == [STAND_IN, "protocol:paper", "stand-in", "table"]


def test_every_number_of_a_result_is_in_its_run(tracked: Tracked, runs: dict[str, RunFile]) -> None:
    for result in tracked.results():
        one = runs[f"tiny-{result['key'][:16]}"]
        told = {name: value for name, value in one.summary.items() if isinstance(value, float) and "/" in name}
        expected: dict[str, float] = {}
        for score, statistics in result["scores"].items():
            low, high = statistics.pop("ci95")
            expected |= {f"{score}/{name}": value for name, value in statistics.items()}
            expected |= {f"{score}/ci95_low": low, f"{score}/ci95_high": high}
        assert {name: one.summary[name] for name in expected} == expected
        assert set(told) <= set(expected)
        assert one.column("split") == [row["split"] for row in result["splits"]]
        for score in result["scores"]:
            assert one.column(f"cv/{score}") == [row[score] for row in result["splits"]]
            assert f"cv/{score}" not in one.summary
        assert one.tables["splits"] == result["splits"]
        assert one.tables["predictions"] == one.tables["scatter_table"] == result["predictions"]


def best_place(table: RunFile) -> list[str]:
    return [table.summary[f"best/{name}"] for name in ("layers", "kernel")]


def test_every_number_of_the_table_is_in_the_runs(tracked: Tracked, runs: dict[str, RunFile]) -> None:
    results = tracked.results()
    table = runs[table_id("tiny", [result["key"] for result in results])]
    rows = tracked.table()
    assert len(rows) == len(table.tables["table"]) == 4
    by_name = {one.name: one.summary for one in runs.values()}
    for row, shown in zip(rows, table.tables["table"], strict=True):
        assert {name: "" if value is None else str(value) for name, value in shown.items()} == {
            **row,
            "data": "stand-in",
        }
        summary = by_name[f"{row['layers']} {row['kernel']}"]
        assert float(row["srocc_std"]) == summary["srocc/std"] and float(row["plcc_std"]) == summary["plcc/std"]
        for score in ("srocc", "plcc", "krocc", "rmse", "plcc_mapped"):
            assert float(row[score]) == summary[f"{score}/median"]
    highest = max((float(row["srocc"]), float(row["plcc"])) for row in rows)
    assert (table.summary["best/srocc"], table.summary["best/plcc"]) == highest
    [best] = [row for row in rows if [row[n] for n in ("layers", "kernel")] == best_place(table)]
    assert (float(best["srocc"]), float(best["plcc"])) == highest
    assert table.summary["note"].startswith("Stand-in: ") and table.summary["cells"] == 4
    for name in ("heatmap", "scatter", "splits"):
        assert table.images[name].read_bytes() == (tracked.folder / f"{name}.png").read_bytes()


def test_features_are_referred_to_and_never_uploaded(tracked: Tracked, runs: dict[str, RunFile]) -> None:
    for one in (one for one in runs.values() if one.kind == "cell"):
        [(name, (kind, places))] = one.references.items()
        assert (kind, len(places)) == ("features", 1)
        recipe = Path(places[0].removeprefix("file://"))
        assert recipe.is_relative_to(tracked.cache) and json.loads(recipe.read_text())["taps"] == list(TAPS)
        assert name.startswith(f"features-{recipe.parent.name}-")
    assert not list(tracked.folder.rglob("*.safetensors"))


def test_the_same_work_has_the_same_ids(tracked: Tracked, runs: dict[str, RunFile], capsys: Capture) -> None:
    files = set(tracked.folder.rglob("run-*.wandb"))
    assert run(capsys, *tracked.words, "force=true", f"features.layers=[{TAPS[0]}]")[0] == 0
    new = {path.stem.removeprefix("run-") for path in set(tracked.folder.rglob("run-*.wandb")) - files}
    assert len(new) == 3  # two cells and the table of all four
    assert new < set(runs)


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A small set of features and labels, and the words for a cell of it."""
    folder = tmp_path_factory.mktemp("matrix")
    values = np.random.default_rng(0).normal(size=(30, 4))
    np.savetxt(folder / "x.csv", values, delimiter=",")
    mos = 3 + values @ [0.5, 0.3, 0.0, 0.1]
    (folder / "mos.csv").write_text("id,mos\n" + "\n".join(f"v{k:02},{m}" for k, m in enumerate(mos)) + "\n")
    words = ["data=csv", f"data.labels={folder / 'mos.csv'}", "data.id_column=id", "features=matrix"]
    return [*words, f"features.path={folder / 'x.csv'}", "protocol.repeats=1"]


@pytest.fixture(scope="module")
def cell(matrix: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One cell's result without a tracker."""
    folder = tmp_path_factory.mktemp("cell")
    with contextlib.redirect_stdout(io.StringIO()):
        assert cli.main(["sweep", *matrix, "tracker=none", "name=m", *places(folder)]) == 0
    result = read_result(folder / "outputs" / "m")
    assert result is not None
    return result


class Failing(NoTracker):
    """Fails at every call."""

    def _fail(self, *_: Any, **__: Any) -> Any:
        raise OSError("no space left on device")

    start = log = summary = table = scatter = image = reference = finish = __enter__ = __exit__ = _fail


@pytest.mark.parametrize("last", [True, False], ids=["from the start", "later"])
def test_a_tracker_that_fails_changes_nothing(
    last: bool,
    matrix: list[str],
    cell: dict[str, Any],
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later = type("Later", (Failing,), {"start": NoTracker.start, "__enter__": NoTracker.__enter__})
    monkeypatch.setattr(tracking, "NoTracker", Failing if last else later)
    code, out, err = run(capsys, "sweep", "-m", *matrix, "tracker=none", "name=m", *places(tmp_path))
    [file] = (tmp_path / "outputs" / "m").glob("*/result.json")
    result = json.loads(file.read_text())
    kept = {name: result[name] for name in result if name not in ("config", "command")}
    assert (code, kept) == (0, {name: cell[name] for name in kept})
    assert (tmp_path / "outputs" / "m" / "table.csv").is_file() and "matrix" in out
    assert f"{file.parent} is not tracked {FAILURE}" in err
    assert f"the table in {tmp_path / 'outputs' / 'm'} is not tracked {FAILURE}" in err


def test_a_folder_that_takes_nothing_changes_nothing(
    matrix: list[str], cell: dict[str, Any], tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "outputs" / "m"
    folder.mkdir(parents=True)
    (folder / "wandb").write_text("in the way")
    code, _, err = run(capsys, "sweep", *matrix, "tracker=wandb", "name=m", *places(tmp_path))
    result = read_result(folder)
    assert result is not None
    assert (code, result["key"], result["scores"]) == (0, cell["key"], cell["scores"])
    assert err.count("W&B tracking failed at start (NotADirectoryError: ") == 1


def test_a_wrong_tracker_is_told_before_the_work(matrix: list[str], tmp_path: Path, capsys: Capture) -> None:
    words = ["tracker=wandb", "tracker.mode=disabled", "name=m", *places(tmp_path)]
    code, _, err = run(capsys, "sweep", *matrix, *words)
    assert code == 2
    assert "error: there is no tracker.mode 'disabled'. Found: offline, online. Try: or tracker=none" in err
    assert not (tmp_path / "outputs" / "m" / "result.json").exists()


KILLED = """
import json, os, pathlib, signal, sys
from fmcvqa.tasks.dashboard import track_cell
from fmcvqa.tracking import WandbTracker

class Killed(WandbTracker):
    rows = 0
    def log(self, values):
        self.rows += 1
        if self.rows > 2:
            os.kill(os.getpid(), signal.SIGKILL)
        super().log(values)

folder = pathlib.Path(sys.argv[1])
track_cell(Killed(), json.loads((folder / "result.json").read_text()), folder)
"""


def test_a_killed_process_leaves_what_can_be_read(cell: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(cell))
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    rows = [row["srocc"] for row in cell["splits"]]
    for one in map(read_run, tmp_path.rglob("run-*.wandb")):
        values = one.column("cv/srocc")
        assert values == rows[: len(values)] and len(values) <= 2
    assert read_result(tmp_path) == cell


def test_a_torn_file_is_read_up_to_the_tear(tracked: Tracked, tmp_path: Path) -> None:
    whole = next(path for path in tracked.folder.rglob("run-*.wandb") if "-table-" not in path.name)
    shutil.copytree(whole.parent, tmp_path / "run", symlinks=True)
    torn, data, counts = tmp_path / "run" / whole.name, whole.read_bytes(), []
    for size in range(7, len(data), len(data) // 12):
        torn.write_bytes(data[:size])
        counts.append(len(read_run(torn).history))
        assert read_run(torn).history == read_run(whole).history[: counts[-1]]
    assert counts[0] == 0 and counts == sorted(counts)


def papers(result: dict[str, Any], folder: Path, *, stand_in: bool) -> Path:
    """The result as if it were the paper's best cell and its rbf, on the set or its stand-in."""
    name = STAND_IN if stand_in else "KoNViD-1k"
    for kernel in ("linear", "rbf"):
        one = json.loads(json.dumps(result))
        one["cell"] |= {"layers": ["Mixed_5b"], "kernel": kernel}
        one["dataset"] |= {"name": name, "stand_in": stand_in}
        one["config"]["model"] = {"name": "inception_v3"}
        one["key"] = hashlib.sha256(kernel.encode()).hexdigest()
        (folder / kernel).mkdir(parents=True)
        (folder / kernel / "result.json").write_text(json.dumps(one))
    return folder


def test_the_papers_numbers_stand_beside_ours(cell: dict[str, Any], tmp_path: Path) -> None:
    folder = papers(cell, tmp_path, stand_in=False)
    track_sweep(WandbTracker(), folder, write_report(folder, folder))
    track_cell(WandbTracker(), read_result(folder / "linear") or {}, folder / "linear")
    one, table = sorted(read_runs(folder).values(), key=lambda one: one.kind)
    assert (one.kind, table.kind) == ("cell", "table")
    assert (one.summary["published/srocc"], one.summary["published/plcc"]) == (0.8179, 0.8118)
    shown = [(row["published_srocc"], row["published_plcc"], row["data"]) for row in table.tables["table"]]
    assert shown == [(0.8179, 0.8118, "real"), (0.7838, 0.7727, "real")]
    assert [row["published_srocc"] for row in table.tables["paper_vs_ours_table"]] == [0.8179, 0.7838]
    assert table.tags == ["KoNViD-1k", "protocol:paper", "table"] and "note" not in table.summary


def test_a_stand_ins_numbers_are_not_passed_off_as_the_papers(cell: dict[str, Any], tmp_path: Path) -> None:
    folder = papers(cell, tmp_path, stand_in=True)
    track_sweep(WandbTracker(), folder, write_report(folder, folder))
    track_cell(WandbTracker(), read_result(folder / "linear") or {}, folder / "linear")
    one, table = sorted(read_runs(folder).values(), key=lambda one: one.kind)
    assert not [name for name in one.summary if name.startswith("published")]
    assert {row["data"] for row in table.tables["table"]} == {"stand-in"} and "stand-in" in table.tags
    assert table.summary["note"] == (
        f"Stand-in: the videos of {STAND_IN} are generated. Published numbers are for the real set."
    )


def test_two_directions_share_a_run(cell: dict[str, Any], tmp_path: Path) -> None:
    for source, target in (("KoNViD-1k", "LIVE-VQC"), ("LIVE-VQC", "KoNViD-1k")):
        one = json.loads(json.dumps(cell))
        one["cell"]["layers"], one["protocol"] = ["Mixed_5b"], {"name": "cross", "scaling": "source"}
        one["dataset"]["name"], one["target"] = source, {**one["dataset"], "name": target}
        one["scores"] = {name: {"value": 0.5, "ci95": [0.4, 0.6]} for name in one["scores"]}
        one["key"] = hashlib.sha256(source.encode()).hexdigest()
        (tmp_path / source).mkdir()
        (tmp_path / source / "result.json").write_text(json.dumps(one))
    track_sweep(WandbTracker(), tmp_path, write_report(tmp_path, tmp_path))
    track_cell(WandbTracker(), read_result(tmp_path / "LIVE-VQC") or {}, tmp_path / "LIVE-VQC")
    one, table = sorted(read_runs(tmp_path).values(), key=lambda one: one.kind)
    assert (one.summary["srocc/value"], one.summary["srocc/ci95_low"], one.summary["srocc/ci95_high"]) == (
        0.5,
        0.4,
        0.6,
    )
    assert one.tags[:3] == ["LIVE-VQC", "KoNViD-1k", "protocol:cross"]
    lines = list(csv.DictReader((tmp_path / "table3.csv").open()))
    shown = [{name: "" if v is None else str(v) for name, v in row.items()} for row in table.tables["table3"]]
    assert shown == lines and len(lines) == 16  # ours and seven published methods, both ways
    assert len([name for name in table.images if name.endswith("/heatmap")]) == 2
    assert len([name for name in table.summary if name.endswith("/best/srocc")]) == 2


def test_numbers_that_are_missing_are_left_out(cell: dict[str, Any], tmp_path: Path) -> None:
    one = json.loads(json.dumps(cell))
    one["splits"][0]["plcc_mapped"] = None
    one["scores"]["plcc_mapped"] |= {"median": None, "std": None}
    one["key"] = "f" * 64
    (tmp_path / "result.json").write_text(json.dumps(one))
    track_cell(WandbTracker(), one, tmp_path)
    [shown] = read_runs(tmp_path).values()
    assert len(shown.column("cv/plcc_mapped")) == len(one["splits"]) - 1
    assert "plcc_mapped/median" not in shown.summary and not math.isnan(shown.summary["plcc/median"])
    assert shown.tables["splits"][0]["plcc_mapped"] is None


def test_a_fitted_model_is_referred_to(tracked: Tracked, shared_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    words = [*generated(), *network(), *places(shared_folder, tmp_path), "name=best", "protocol.repeats=1"]
    assert run(capsys, "fit", *words, f"features.layers=[{TAPS[0]}]")[0] == 0
    folder = tmp_path / "outputs" / "best"
    [one] = read_runs(folder).values()
    assert (one.group, one.kind, one.finished) == ("best", "model", True)
    assert one.name == f"best: {TAPS[0]} linear" and one.id.startswith("best-model-")
    assert one.tags == [STAND_IN, "stand-in", "model", "linear"]
    assert one.references == {"model-best": ("model", [(folder / "model.fmcvqa").as_uri()])}
    assert {"srocc/median", "srocc/std", "plcc/median"} <= set(one.summary)


def test_a_model_is_fitted_whatever_the_tracker_does(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        track_model(NoTracker(), {}, tmp_path / "model.fmcvqa", tmp_path, "fit")
    assert caplog.messages == [f"{tmp_path / 'model.fmcvqa'} is not tracked (KeyError: 'cell'); its files are whole"]


def test_names_that_wandb_does_not_take(tmp_path: Path) -> None:
    with WandbTracker().start(
        "n", run_id=f"a/b:{'c' * 200}-0123456789abcdef", folder=tmp_path, tags=["t" * 70, "", "u"]
    ):
        pass
    [one] = read_runs(tmp_path).values()
    assert one.id == "a-b-" + "c" * 107 + "-0123456789abcdef"
    assert one.tags == ["t" * 64, "u"]


def workspace_script() -> Any:
    spec = importlib.util.spec_from_file_location("script", configs.experiments_dir() / "wandb_workspace.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_workspace_shows_what_the_runs_hold(
    tracked: Tracked, runs: dict[str, RunFile], tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "workspace.json"
    assert workspace_script().main(["--experiment", "tiny", "--dry-run", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: definition of the workspace and the report, nothing was sent\n"
    definition = json.loads(file.read_text())
    section = definition["workspace"]["spec"]["section"]
    sections = section["panelBankConfig"]["sections"]
    assert [one["name"] for one in sections] == ["The table", "The cells", "Their splits", "Their predictions"]
    keys = {name for one in runs.values() for row in one.history for name in row}
    panels = [panel["config"] for one in sections for panel in one["panels"]]
    shown = {name for panel in panels for name in (*panel.get("mediaKeys", []), *panel.get("metrics", []))}
    summarised = {"srocc/median", "plcc/median"}
    assert shown - keys == summarised and all(
        name in one.summary for name in summarised for one in runs.values() if one.kind == "cell"
    )
    [filters] = [one["filters"]["filters"] for one in section["runSets"]]
    assert [(one["key"]["name"], one["value"]) for one in filters] == [("group", "tiny")]
    grids = [block for block in definition["report"]["spec"]["blocks"] if block["type"] == "panel-grid"]
    kinds = [grid["metadata"]["runSets"][0]["filters"]["filters"][0]["value"] for grid in grids]
    assert kinds == ["table", "cell", "cell", "cell"] and set(kinds) == {one.kind for one in runs.values()}


def test_the_workspace_asks_whose_it_is(capsys: Capture) -> None:
    assert workspace_script().main([]) == 2
    assert capsys.readouterr().err == "error: whose workspace? Try: --entity USER or TEAM, or --dry-run FILE\n"
    with pytest.raises(SystemExit):
        workspace_script().main(["--help"])
    assert "--experiment table1_konvid1k --dry-run workspace.json" in capsys.readouterr().out


def test_without_wandbs_library_of_workspaces(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert workspace_script().main(["--dry-run", os.devnull]) == 2
    told = "error: wandb-workspaces is not installed. Try: pip install 'fmcvqa[dashboards]'\n"
    assert capsys.readouterr().err == told
