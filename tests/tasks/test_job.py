"""Names of cells, what jobs share, and how a multirun tells of its failures."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from fmcvqa.errors import DatasetError, FeatureError
from fmcvqa.regression.svr import Cell
from fmcvqa.tasks import multirun
from fmcvqa.tasks.job import cell_name, cores_of, keep_to


def test_a_cell_is_named_by_layers_kernel_and_what_changes_its_result() -> None:
    silent = ["name=x", "force=true", "tracker=none", "tracker.mode=online", "trainer.devices=2"]
    silent += [
        "loader.num_workers=4",
        "paths.outputs=/a/b",
        "hydra.verbose=true",
        "features.layers=[Mixed_5b]",
        "regressor.kernel=linear",
    ]
    assert cell_name(["Mixed_5b", "avgpool"], "rbf", silent) == "Mixed_5b+avgpool_rbf"
    said = ["protocol=nested", "regressor.C=10", "+direction=a_to_b", "data.size=[90,160]", "~protocol.seed"]
    assert cell_name(["avgpool"], "linear", said) == (
        "avgpool_linear_direction=a_to_b_data.size=90-160_protocol=nested_regressor.C=10_protocol.seed="
    )


def test_a_path_in_a_name_is_short_and_tells_paths_apart() -> None:
    names = {cell_name(["B"], "rbf", [f"data.root={path}"]) for path in ("/data/konvid", "/data/KoNViD", "a/" * 40)}
    assert len(names) == 3
    assert {len(name) for name in names} == {len("B_rbf_data.root=") + 8}


@pytest.mark.parametrize(("one", "other"), [("1", "1.0"), ("1e-3", "0.001"), ("-2", "-2.00"), ("100", "1e2")])
def test_a_number_has_one_spelling(one: str, other: str) -> None:
    names = [cell_name(["B"], "rbf", [f"regressor.C={value}"]) for value in (one, other)]
    assert names[0] == names[1]


def test_a_setting_has_one_key_however_it_is_spelt() -> None:
    cells = [Cell(layers=("B",), C=value, epsilon=0, gamma=value) for value in (2, 2.0)]
    assert json.dumps(cells[0].as_dict()) == json.dumps(cells[1].as_dict())
    assert cell_name(["B"], "rbf", ["data.seed=12345678901"]).endswith("=12345678901")


def test_jobs_beside_each_other_share_the_cores() -> None:
    assert cores_of({"_target_": "a.BasicLauncher"}) is None
    assert cores_of({"cpus_per_task": None}) == 1
    assert cores_of({"cpus_per_task": 4}) == 4
    before = torch.get_num_threads()
    with threadpool_limits(None):  # puts BLAS back as it was
        keep_to(None)
        assert torch.get_num_threads() == before
        keep_to(1)
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("data.seed=1", "protocol.seed=1"),
        ("regressor.C=1", "regressor.C=-1"),
        ("regressor.gamma=0.1", "regressor.gamma=0.11"),
        ("data.size=[90,160]", "data.size=[160,90]"),
    ],
)
def test_different_cells_have_different_names(one: str, other: str) -> None:
    assert cell_name(["B"], "rbf", [one]) != cell_name(["B"], "rbf", [other])


def test_a_name_fits_a_file_system() -> None:
    many = [f"data.key_{k}=value_{k}" for k in range(40)]
    long, longer = cell_name(["B"], "rbf", many), cell_name(["B"], "rbf", [*many, "data.last=1"])
    assert len(long) == len(longer) == 209
    assert long != longer
    assert cell_name(["B"], "rbf", many[::-1]) == long


def config(folder: Path) -> Any:
    return SimpleNamespace(hydra=SimpleNamespace(sweep=SimpleNamespace(dir=str(folder))))


def ended(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and message of a multirun whose jobs have left their notes."""
    multirun.begin()
    multirun.TellFailures().on_multirun_end(config(folder))
    code = multirun.end()
    return code, capsys.readouterr().err


def test_failed_jobs_are_named_by_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(tmp_path, capsys) == (0, "")
    multirun.note(tmp_path / "good", None)
    assert ended(tmp_path, capsys) == (0, "")
    for name in ("a", "b", "c", "d", "sub/e"):
        multirun.note(tmp_path / name, DatasetError("no clips", advice="find them"))
    multirun.note(tmp_path / "f", FeatureError("no features"))
    assert ended(tmp_path, capsys) == (
        3,
        "error: 6 of 7 jobs failed: a, b, c and 2 more (no clips. Try: find them); f (no features). "
        "Try: mend what they name and run the same command: what is finished is skipped\n",
    )
    assert json.loads((tmp_path / "a" / "job.json").read_text()) == {
        "exit_code": 4,
        "error": "no clips. Try: find them",
    }


def test_where_all_failed_alike_the_code_is_theirs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        multirun.note(tmp_path / name, DatasetError("no clips"))
    assert ended(tmp_path, capsys)[0] == 4
    multirun.TellFailures().on_multirun_start(config(tmp_path))
    assert list(tmp_path.rglob("job.json")) == []
    assert ended(tmp_path, capsys) == (0, "")


def test_an_error_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    multirun.begin()
    for _ in range(3):
        multirun.tell(DatasetError("no clips"))
    multirun.tell(DatasetError("no labels"))
    assert capsys.readouterr().err == "error: no clips\nerror: no labels\n"
    multirun.begin()
    multirun.tell(DatasetError("no clips"))
    assert capsys.readouterr().err == "error: no clips\n"


def test_a_bug_in_a_callback_is_raised_at_the_end() -> None:
    multirun.begin()
    with multirun.kept():
        raise ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError, match="a bug"):
        multirun.end()
    multirun.begin()
    assert multirun.end() == 0
