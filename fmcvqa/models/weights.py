"""Network weights from torchvision's weights enum or from a file; nothing here unpickles code."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torchvision.models import get_model_weights

from fmcvqa.errors import WeightsError
from fmcvqa.models.reuse import is_model_file

log = logging.getLogger(__name__)

_SECONDS_TO_ANSWER = 20  # a proxy that drops packets would otherwise hold the download for minutes
_NETWORK = "net."  # where IQARegressor keeps its backbone


@dataclass(frozen=True)
class Weights:
    """Tensors of a backbone as read, and whether its input is re-scaled inside the network.

    Attributes:
        state: Tensors by torchvision's names.
        transform_input: Whether the network turns ImageNet-normalised input into [-1, 1] itself, as InceptionV3 with
            its ImageNet weights does; a plain state dict loses this.
        source: Where they came from, in words.
    """

    state: dict[str, Tensor]
    transform_input: bool
    source: str


def imagenet_weights(backbone: str) -> Weights:
    """The ImageNet weights of a backbone: from torch's download folder, or from the network.

    Args:
        backbone: Name of a torchvision model.

    Raises:
        WeightsError: If they are neither there nor to be downloaded, or the file there is damaged.
    """
    entry = get_model_weights(backbone).IMAGENET1K_V1
    cached = Path(torch.hub.get_dir()) / "checkpoints" / entry.url.rsplit("/", 1)[-1]
    try:
        if cached.exists():
            _check_digest(cached)
        else:
            urllib.request.urlopen(entry.url, timeout=_SECONDS_TO_ANSWER).close()  # noqa: S310 - a fixed https address
        with contextlib.redirect_stdout(sys.stderr):  # torch announces a download on stdout, which is for results
            state = entry.get_state_dict(progress=sys.stderr.isatty(), check_hash=True, weights_only=True)
    except OSError as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise WeightsError(
            f"the ImageNet weights of {backbone} are neither in {cached} nor to be downloaded ({reason})",
            advice=f"fetch {entry.url} elsewhere and give it as model.weights=FILE, or put it in {cached.parent};"
            " model.weights=none starts from random weights",
        ) from error
    return Weights(dict(state), _rescales_input(backbone), f"torchvision {entry}")


def file_weights(backbone: str, path: Path) -> Weights:
    """The weights of a backbone from a file.

    Args:
        backbone: Name of a torchvision model.
        path: A training checkpoint of ``IQARegressor`` (``.ckpt``), a state dict with torchvision's names
            (``.pth``, ``.pt``) or the same as ``.safetensors``, whose metadata may state ``transform_input``. A file
            that does not state it is taken for ImageNet weights, whose InceptionV3 re-scales its input.

    Raises:
        WeightsError: If there is no such file, it is of another kind, or it belongs to another backbone.
    """
    if not path.is_file():
        raise WeightsError(
            f"the weight file {path} does not exist",
            advice="model.weights=FILE with a .ckpt, .pth or .safetensors file, or model.weights=imagenet or none",
        )
    if is_model_file(path):
        raise WeightsError(
            f"{path} holds a network only as deep as its model needs it, not a whole {backbone}",
            advice="fmcvqa fit, extract and sweep can use it; to fine-tune, give a .ckpt, .pth or .safetensors file",
        )
    if path.suffix == ".safetensors":
        return _read_safetensors(backbone, path)
    content = read_torch(path)
    if "pytorch-lightning_version" in content:
        return _from_checkpoint(backbone, path, content)
    if not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(
            f"the weight file {path} is no state dict: its values are not all tensors",
            found=f"the keys {', '.join(map(str, list(content)[:5]))}",
            advice="a .pth file that maps torchvision's parameter names to tensors",
        )
    return Weights(content, _rescales_input(backbone), str(path))


def _rescales_input(backbone: str) -> bool:
    return backbone == "inception_v3"  # the only one of our backbones whose ImageNet weights want [-1, 1]


def _check_digest(path: Path) -> None:
    """Compare a cached download with the digest in its name; torch itself checks only while downloading."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest.startswith(path.stem.rsplit("-", 1)[-1]):
        raise WeightsError(
            f"the downloaded weight file {path} is damaged: its SHA-256 begins with {digest[:8]}",
            advice="delete the file and run again, or give another as model.weights=FILE",
        )


def read_torch(path: Path) -> dict[str, Any]:
    """The dict in a file that torch wrote: tensors and plain values, nothing else is unpickled.

    Raises:
        WeightsError: If there is more than that in it, or no dict.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a foreign or damaged file may raise anything here
        raise WeightsError(
            f"the weight file {path} cannot be read as plain tensors",
            advice="a .ckpt of fmcvqa finetune, a torchvision .pth or a .safetensors file; others are never unpickled",
        ) from error
    if not isinstance(content, dict):
        raise WeightsError(f"the weight file {path} holds a {type(content).__name__}, not a state dict")
    return content


def _read_safetensors(backbone: str, path: Path) -> Weights:
    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except SafetensorError as error:
        raise WeightsError(f"the weight file {path} is no safetensors file ({error})") from error
    stated = metadata.get("transform_input")
    return Weights(state, _rescales_input(backbone) if stated is None else stated == "true", str(path))


def _from_checkpoint(backbone: str, path: Path, content: dict[str, Any]) -> Weights:
    saved = content.get("hyper_parameters", {}).get("backbone")
    if saved != backbone:
        raise WeightsError(
            f"the checkpoint {path} was not trained on {backbone}",
            found=f"backbone {saved}" if saved else "a checkpoint of another module",
            advice=f"model={saved} or another model.weights=FILE" if saved else "a checkpoint of fmcvqa finetune",
        )
    state = {k.removeprefix(_NETWORK): v for k, v in content["state_dict"].items() if k.startswith(_NETWORK)}
    return Weights(state, bool(content["transform_input"]), str(path))
