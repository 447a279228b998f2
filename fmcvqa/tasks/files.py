"""What ``fmcvqa info`` says of files that are no model: store entries, checkpoints, weights, results.

Nothing is built of them, and nothing in them can run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fmcvqa.errors import FmcvqaError, ModelFileError
from fmcvqa.sealed import DamagedError, read_sealed


def _entry(file: Path) -> dict[str, Any]:
    """An entry of the store, or weights that others have written as safetensors."""
    if not file.is_file():
        raise ModelFileError(f"{file} is no file", advice="fmcvqa info FILE")
    try:
        arrays, record = read_sealed(file)
    except DamagedError as error:
        return _weights(file, error)
    return {"kind": "features", **record, "blocks": {name: list(array.shape) for name, array in arrays.items()}}


def _weights(file: Path, why: DamagedError) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open  # here: only these files need it

    try:
        with safe_open(str(file), framework="numpy") as content:
            metadata = content.metadata() or {}
            shapes = {name: list(content.get_slice(name).get_shape()) for name in content.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ModelFileError(f"{file} is no safetensors file ({error})", advice="a fresh copy") from error
    if "fmcvqa" in metadata:
        raise ModelFileError(str(why), found="bytes that have changed", advice="fmcvqa extract makes it again") from why
    return {"kind": "weights", "verified": False, "metadata": metadata, **_tensors(shapes)}


def _checkpoint(file: Path) -> dict[str, Any]:
    """A checkpoint of a fine-tuning, or a state dict; read without unpickling anything but tensors and plain values."""
    from fmcvqa.models.weights import read_torch

    content = read_torch(file)
    state = content.get("state_dict", content)
    shapes = {str(name): list(value.shape) for name, value in state.items() if hasattr(value, "shape")}
    if "pytorch-lightning_version" not in content:
        return {"kind": "weights", "verified": False, **_tensors(shapes)}
    plain = ("epoch", "global_step", "hyper_parameters", "transform_input", "start_weights")
    told = {name: content[name] for name in (*plain, "pytorch-lightning_version") if name in content}
    return {"kind": "checkpoint", "verified": False, **json.loads(json.dumps(told, default=str)), **_tensors(shapes)}


def _tensors(shapes: dict[str, list[int]]) -> dict[str, Any]:
    names = list(shapes)
    return {"tensors": len(shapes), "first": {name: shapes[name] for name in names[:3]}}


def _result(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or not {"scores", "config"} <= set(content):
            raise ValueError("no scores and config")
    except (OSError, ValueError, RecursionError) as error:
        raise FmcvqaError(f"{file} is no result of ours ({error})", advice="fmcvqa info FILE") from error
    keep = ("name", "kind", "dataset", "target", "cell", "scores", "key", "versions", "checkpoint", "best_epoch")
    splits = {"splits": len(content["splits"])} if isinstance(content.get("splits"), list) else {}
    return {**{name: content[name] for name in keep if name in content}, **splits, "kind": "result"}


READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".safetensors": _entry,
    ".ckpt": _checkpoint,
    ".pth": _checkpoint,
    ".pt": _checkpoint,
    ".json": _result,
}
