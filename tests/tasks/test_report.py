import json
import subprocess
import sys
from pathlib import Path

import pytest

from fmcvqa.errors import ConfigError
from fmcvqa.tasks.report import main

SCORES = ("srocc", "krocc", "plcc", "plcc_mapped", "rmse", "rmse_mapped")


def cell(folder: Path, kernel: str, score: float) -> None:
    settings = {"layers": ["Mixed_5b"], "pools": ["mean", "max"], "kernel": kernel}
    data = {
        "name": "table1",
        "cell": {**settings, "C": 1.0, "epsilon": 0.1, "gamma": "scale"},
        "dataset": {"name": "KoNViD-1k", "stand_in": False, "videos": 3, "mos_range": [1, 5]},
        "target": None,
        "protocol": {"name": "paper", "seed": 0, "mapping_fitted_on": "train"},
        "scores": {name: {"median": score, "mean": score, "std": 0.02} for name in SCORES},
        "splits": [{"split": i, "train": 8, "test": 2, **dict.fromkeys(SCORES, score)} for i in range(5)],
        "predictions": [{"id": f"v{i}", "mos": 2.0 + i, "predicted": 2.1 + i} for i in range(3)],
        "config": {},
        "key": kernel,
        "versions": {},
    }
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(data))


def test_prints_the_table_and_where_it_lies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell(tmp_path / "in" / "linear", "linear", 0.81)
    cell(tmp_path / "in" / "rbf", "rbf", 0.79)
    assert main([str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "Mixed_5b  linear  0.8100 (0.0200)  0.8100 (0.0200)  0.8179 / 0.8118" in printed.out
    assert (
        printed.out.splitlines()[-1]
        == f"2 cells; 7 files in {tmp_path / 'out'}; open {tmp_path / 'out' / 'report.html'}"
    )
    assert printed.err == ""
    assert (tmp_path / "out" / "table.csv").read_text().count("\n") == 3


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: fmcvqa report [-h] --out DIR2 [--no-frames] DIR\n")
    assert "  fmcvqa report outputs/table1_konvid1k --out reports/table1\n" in shown


def test_usage_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path)])
    assert caught.value.code == 2
    assert "fmcvqa report: error: the following arguments are required: --out" in capsys.readouterr().err
    with pytest.raises(ConfigError):
        main([str(tmp_path), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_needs_no_torch_and_help_no_matplotlib() -> None:
    code = (
        "import sys, fmcvqa.tasks.report; assert 'matplotlib' not in sys.modules; import fmcvqa.report.writing; "
        "assert not {'torch', 'lightning', 'wandb', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
