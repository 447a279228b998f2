"""Forty files that want to be more than data, and what reads files of their kind."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch

from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.models.trunk import Trunk
from fmcvqa.prediction import Scale
from fmcvqa.predictor import VideoQualityModel
from fmcvqa.regression.final import fit_final
from fmcvqa.regression.svr import Cell
from fmcvqa.sealed import read_sealed, write_sealed

TAP = "features.3"


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/fmcvqa-was-here",)


def model() -> VideoQualityModel:
    """A whole small model; nothing was extracted for it."""
    trunk = Trunk("squeezenet1_1", [TAP], "none", seed=0)
    recipe = FeatureRecipe(taps=(TAP,), crop=64).bind(
        backbone="squeezenet1_1", weights=trunk.fingerprint(), decoder="pyav", decoder_version="1"
    )
    rng = np.random.default_rng(0)
    blocks = {(TAP, pool): rng.normal(size=(20, 128 * 129 // 2)) for pool in ("mean", "max")}
    features = FeatureMatrix([str(k) for k in range(20)], blocks)
    regressor = fit_final(features, rng.normal(size=20), Cell(layers=(TAP,), pools=("mean", "max")))
    return VideoQualityModel(trunk, recipe, regressor, Scale("set", 1, 5), {})


def _safetensors(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _entry(kind: str, count: int, end: int) -> dict[str, Any]:
    return {"dtype": kind, "shape": [count], "data_offsets": [0, end]}


def _torch(content: Any, *, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def _joblib(content: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(content, buffer, compress=3)
    return buffer.getvalue()


def _npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


EVIL = pickle.dumps(Evil())
OBJECTS = np.array([Evil(), Evil()], dtype=object)

# Not even the form of a model.
FOREIGN: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "pickle": lambda: EVIL,
    "pickle of protocol 0": lambda: b"cos\nsystem\n(S'touch /tmp/fmcvqa-was-here'\ntR.",
    "torch zip": lambda: _torch({"a": Evil()}),
    "torch of old": lambda: _torch({"a": Evil()}, zipped=False),
    "joblib": lambda: _joblib(Evil()),
    "compressed pickle": lambda: zlib.compress(EVIL),
    "script": lambda: b"#!/bin/sh\ntouch /tmp/fmcvqa-was-here\n",
    "library": lambda: b"\x7fELF" + bytes(200),
    "zip that swells": lambda: _zipped(data=bytes(30_000_000)),
    "header beyond the file": lambda: struct.pack("<Q", 2**63) + b"{}",
    "header of another length": lambda: struct.pack("<Q", 10) + b"{}",
    "header that is no JSON": lambda: _safetensors(b"__import__('os').system('x')"),
    "header as deep as the stack": lambda: _safetensors(b"[" * 200_000),
    "header that is a list": lambda: _safetensors([1, 2]),
    "tensor beyond the file": lambda: _safetensors({"a": _entry("F32", 10**12, 4 * 10**12)}),
    "negative tensor": lambda: _safetensors({"a": _entry("F32", -1, 0)}),
    "tensors over each other": lambda: _safetensors(
        {name: _entry("F32", 2, 8) for name in "ab"}, bytes(8)
    ),
    "tensor of an unknown kind": lambda: _safetensors({"a": _entry("O", 1, 8)}, bytes(8)),
    "record of no seal": lambda: _safetensors({"__metadata__": {"fmcvqa": json.dumps({"record": {"format": 1}})}}),
}  # fmt: skip

Change = Callable[[dict[str, Any], dict[str, Any]], None]  # of the arrays and the record


def _set(*path: str, to: Any) -> Change:
    def change(_: dict[str, Any], record: dict[str, Any]) -> None:
        for name in path[:-1]:
            record = record[name]
        record[path[-1]] = to

    return change


def _array(end: str, make: Callable[[Any], Any]) -> Change:
    def change(arrays: dict[str, Any], _: dict[str, Any]) -> None:
        name = next(name for name in arrays if name.startswith(end) and (arrays[name].ndim > 1 or end != "trunk/"))
        arrays[name] = make(arrays[name])

    return change


# Whole, sealed and with the right digests, but of a content that is none.
SEALED: dict[str, Change] = {
    "network named as a call": _set("backbone", to="os.system"),
    "network named as a path": _set("backbone", to="../../etc/passwd"),
    "recipe with a target": _set("recipe", "_target_", to="os.system"),
    "recipe as a target": _set("recipe", to={"_target_": "os.system", "command": "touch /tmp/fmcvqa-was-here"}),
    "taps of another network": _set("recipe", "taps", to=["os.system"]),
    "regressor of an unknown kind": _set("regressor", "kind", to="pickle"),
    "regressor as a target": _set("regressor", to={"_target_": "os.system"}),
    "scale with a target": _set("scale", "_target_", to="os.system"),
    "blocks without end": _set("regressor", "blocks", to=[["a", "b"]] * 10_000),
    "numbers that are not finite": _array("regressor/", lambda array: array * np.nan),
    "network of other weights": _array("trunk/", lambda array: array + 1),
    "network of other shapes": _array("trunk/", lambda array: array.reshape(-1)),
    "network of objects' bytes": _array("trunk/", lambda array: np.frombuffer(EVIL.ljust(64), np.uint8)),
    "record that is a list": lambda arrays, record: record.clear(),
    "format as text": _set("format", to="__import__('os')"),
    "format of the future": _set("format", to=10**9),
}

DECODER = _set("recipe", "decoder", to="os.system")
WEIGHTS = {
    "evil.ckpt": lambda: _torch({"pytorch-lightning_version": "2", "state_dict": {}, "hyper_parameters": Evil()}),
    "evil.pth": lambda: _torch({"conv1.weight": Evil()}),
    "old.pth": lambda: _torch(Evil(), zipped=False),
    "plain.pt": lambda: EVIL,
    "lib.safetensors": lambda: _joblib(Evil()),
}
MATRICES = {
    "objects.npy": lambda: _npy(OBJECTS),
    "objects.npz": lambda: _npz(feats=OBJECTS),
    "pickle.npy": lambda: EVIL,
    "pickle.npz": lambda: _zipped(**{"feats.npy": EVIL}),
    "pickle.mat": lambda: EVIL,
}


def sealed(path: Path, change: Change, whole: Path) -> Path:
    """A model file with a change and digests that fit it."""
    arrays, record = read_sealed(whole)
    arrays = dict(arrays)
    change(arrays, record)
    write_sealed(path, arrays, record)
    return path
