"""What ``fmcvqa info`` says of files that are no model, and of those that are nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny import run

from fmcvqa.sealed import write_sealed


def told(capsys: pytest.CaptureFixture[str], path: Path) -> dict[str, Any]:
    code, out, err = run(capsys, "info", str(path))
    assert (code, err) == (0, "")
    return dict(json.loads(out))


def test_an_entry_of_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.safetensors"
    write_sealed(file, {"features.4/mean": np.ones(3, np.float32)}, {"video": "a", "frames": 7})
    assert told(capsys, file) == {"kind": "features", "video": "a", "frames": 7, "blocks": {"features.4/mean": [3]}}
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert run(capsys, "info", str(file)) == (
        4,
        "",
        f"error: {file} has changed since it was written. "
        "Found: bytes that have changed. Try: fmcvqa extract makes it again\n",
    )


def test_weights_and_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(3)}
    shapes = {"tensors": 2, "first": {"a.weight": [2, 3], "a.bias": [3]}}
    save_file(state, tmp_path / "w.safetensors", metadata={"transform_input": "true"})
    weights = {"kind": "weights", "verified": False, **shapes}
    assert told(capsys, tmp_path / "w.safetensors") == {**weights, "metadata": {"transform_input": "true"}}
    torch.save(state, tmp_path / "w.pth")
    assert told(capsys, tmp_path / "w.pth") == weights
    content = {
        "pytorch-lightning_version": "2.6.6",
        "epoch": 3,
        "global_step": 12,
        "state_dict": state,
        "callbacks": {},
    }
    torch.save({**content, "hyper_parameters": {"backbone": "resnet50"}}, tmp_path / "last.ckpt")
    assert told(capsys, tmp_path / "last.ckpt") == {
        "kind": "checkpoint",
        "verified": False,
        "pytorch-lightning_version": "2.6.6",
        "epoch": 3,
        "global_step": 12,
        "hyper_parameters": {"backbone": "resnet50"},
        **shapes,
    }


def test_a_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = {"name": "x", "scores": {"srocc": {"median": 0.5}}, "config": {"a": 1}, "splits": [{}, {}], "key": "k"}
    (tmp_path / "result.json").write_text(json.dumps(content))
    assert told(capsys, tmp_path / "result.json") == {
        "kind": "result",
        "name": "x",
        "scores": {"srocc": {"median": 0.5}},
        "splits": 2,
        "key": "k",
    }


@pytest.mark.parametrize("name", ["a.safetensors", "a.ckpt", "a.pth", "a.json"])
def test_a_file_of_no_kind_and_none_at_all(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for content in (None, b"", b"cos\nsystem\n(S'touch x'\ntR.", b"[" * 100_000):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        code, out, err = run(capsys, "info", str(tmp_path / name))
        assert (code, out, err.count("\n")) == (4, "", 1), err
        assert err.startswith(
            f"error: {'the weight file ' if name.endswith(('.ckpt', '.pth')) else ''}{tmp_path / name} "
        )
