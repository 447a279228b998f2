"""What a model file is, without building the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import run

from fmcvqa.sealed import write_sealed

RECORD = {"format": 1, "backbone": "squeezenet1_1", "recipe": {"taps": ["features.4"]}, "card": {"videos": 12}}
ARRAYS = {"trunk/w": np.ones((2, 3), np.float32), "regressor/bias": np.zeros(1)}


def test_the_record_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a network was built")

    monkeypatch.setattr("fmcvqa.models.trunk.Trunk.from_state", never)
    write_sealed(tmp_path / "model.fmcvqa", ARRAYS, RECORD)
    code, out, err = run(capsys, "info", str(tmp_path / "model.fmcvqa"))
    assert (code, err) == (0, "")
    assert json.loads(out) == {**RECORD, "numbers": 7}


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
