"""What a model file is, without building the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import run

from fmcvqa.sealed import write_sealed

SCORE = {"median": 0.8, "mean": 0.79, "std": 0.03, "ci95": [0.7, 0.9]}
RECORD: dict[str, Any] = {
    "format": 2,
    "backbone": "squeezenet1_1",
    "recipe": {"taps": ["features.4"], "weights": "abc", "stride": 1},
    "scale": {"name": "mine", "minimum": 1.0, "maximum": 5.0, "stand_in": True},
    "card": {
        "made": "2026-01-02T03:04:05+00:00",
        "licence": None,
        "dataset": {"name": "mine", "videos": 20},
        "trunk": {
            "weights": "demo.fmcvqa",
            "from_model": {"dataset": "generated", "trunk": {"weights": "best.ckpt"}},
        },
        "cell": {"layers": ["features.4"], "kernel": "linear", "C": 1.0},
        "protocol": {"name": "paper"},
        "scores": {"srocc": SCORE},
        "versions": {"fmcvqa": "0.1.0"},
    },
    "calibration": {"videos": 20},
    "training_set": {"nearest": 5, "false_alarms": 0.0476},
}
ARRAYS = {
    "trunk/w": np.ones((2, 3), np.float32),
    "calibration/mos": np.arange(20.0),
    "calibration/residuals": np.arange(20.0) / 10,
}
CARD = """# mine: features.4, linear

Predicts the quality people see in a video, as a mean opinion score (MOS): 1 (worst) to 5 (best), as in mine, a synthetic stand-in.

| | |
|---|---|
| trained on | 20 videos of mine |
| network | squeezenet1_1 up to features.4; the network of demo.fmcvqa, a model of generated (weights of best.ckpt) |
| network's fingerprint | abc |
| regressor | support vector regression, linear kernel, C=1.0 |
| licence | not stated |
| made | 2026-01-02T03:04:05+00:00 |
| file | format 2, 46 numbers |

## Scores

Of videos the regressor had not seen, by the protocol paper: median and standard deviation over its splits, and an interval over the choice of videos.

| score | median | std | 95 % interval |
|---|---|---|---|
| SROCC | 0.8000 | 0.0300 | 0.7000 to 0.9000 |

## What a score is worth

90% of videos like the training set have their MOS within 1.8 of their score (conformal, from 20 out-of-fold residuals). A clip farther from the training videos than they are from each other is flagged (mean distance to the nearest 5, calibrated leave-one-out; about 4.8% of videos like the training set are flagged too).

## Limits

- The training set is a generated stand-in that nobody rated: scores mean nothing about people.
- A score is a statement about people like those who rated the training set, on material like it.
- Interval and percentile mean nothing for a clip that is flagged.

## Recipe

| | |
|---|---|
| stride | 1 |
| taps | ["features.4"] |
| weights | abc |

## Versions

| | |
|---|---|
| fmcvqa | 0.1.0 |
"""  # noqa: E501


@pytest.fixture(autouse=True)
def nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a network was built")

    monkeypatch.setattr("fmcvqa.models.trunk.Trunk.from_state", never)


def told(tmp_path: Path, capsys: pytest.CaptureFixture[str], record: dict[str, Any], *more: str) -> str:
    write_sealed(tmp_path / "model.fmcvqa", ARRAYS, record)
    code, out, err = run(capsys, "info", str(tmp_path / "model.fmcvqa"), *more)
    assert (code, err) == (0, "")
    return out


def test_the_card_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(tmp_path, capsys, RECORD) == CARD


def test_the_record_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(told(tmp_path, capsys, RECORD, "--json")) == {**RECORD, "numbers": 46}


def test_older_and_barer_files_say_less(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = {key: value for key, value in RECORD.items() if key not in ("calibration", "training_set")} | {"format": 1}
    out = told(tmp_path, capsys, old)
    assert "\nNo interval and no flag: the file has the format 1; fmcvqa fit writes them.\n" in out
    bare = told(tmp_path, capsys, {**old, "card": {}})
    assert bare.startswith("# mine: a cell that is not described\n")
    assert "| network | squeezenet1_1 up to features.4; origin of the weights not stated |\n" in bare


def test_a_damaged_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "model.fmcvqa"
    write_sealed(file, ARRAYS, RECORD)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert run(capsys, "info", str(file)) == (
        4,
        "",
        f"error: {file} has changed since it was written. "
        "Found: bytes that are not a whole fmcvqa model. Try: a fresh copy\n",
    )
    assert run(capsys, "info", str(tmp_path / "none"))[::2] == (
        4,
        f"error: {tmp_path / 'none'} cannot be opened (No such file or directory). Try: fmcvqa fit writes a model\n",
    )
