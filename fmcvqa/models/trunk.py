"""The frozen part of a backbone up to its deepest tap."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from fmcvqa.errors import ConfigError
from fmcvqa.models.backbones import backbone_spec, bare_network, check_taps, load_backbone, load_state
from fmcvqa.models.reuse import SavedTrunk, is_model_file

BatchNormMode = Literal["eval", "per_frame"]


class PerFrameNorm(nn.BatchNorm2d):
    """Batch normalisation by each frame's own mean and variance, whatever the batch.

    It gives what a network left in train mode gives when frames come one at a time: the authors' code never calls
    ``eval()``.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise float [n, c, h, w] over h and w, with the biased variance, then scale and shift."""
        return F.instance_norm(input, weight=self.weight, bias=self.bias, eps=self.eps)


class Trunk(nn.Module):
    """A frozen backbone up to its deepest tap; the rest is neither kept nor run.

    Args:
        name: The backbone.
        taps: Layers whose output is wanted, of ``known_taps(name)``.
        weights: See ``load_backbone``; or a model file (``.fmcvqa``), whose network is used as far as it goes.
        seed: Of random weights.
        batchnorm: ``"eval"`` uses the running statistics, ``"per_frame"`` each frame's own (the authors' code).

    Raises:
        ConfigError: If a tap, the backbone or the mode is unknown.
        WeightsError: If the weights cannot be had or do not fit, or a model file's network ends before a tap.
        ModelFileError: If a model file is damaged.
    """

    def __init__(
        self,
        name: str,
        taps: Sequence[str],
        weights: str | Path = "imagenet",
        *,
        seed: int = 0,
        batchnorm: BatchNormMode = "eval",
    ) -> None:
        super().__init__()
        check_taps(name, taps)  # before a download
        if is_model_file(weights):
            self._take_over(name, taps, SavedTrunk.read(Path(weights), name), batchnorm)
        else:
            self._build(name, taps, load_backbone(name, weights, seed=seed), batchnorm)

    def _take_over(self, name: str, taps: Sequence[str], saved: SavedTrunk, batchnorm: BatchNormMode) -> None:
        """Build around the tensors of a model file; what lies deeper than the taps is left out."""
        with torch.device("meta"):
            self._build(name, taps, bare_network(backbone_spec(name), saved.transform_input), batchnorm)
        load_state(self, saved.part(list(self.state_dict()), taps), f"in {saved.path}")
        self.requires_grad_(False)

    @classmethod
    def from_state(
        cls,
        name: str,
        taps: Sequence[str],
        state: dict[str, Tensor],
        *,
        transform_input: bool,
        batchnorm: BatchNormMode = "eval",
    ) -> Trunk:
        """The trunk whose ``state_dict()`` was kept, with its ``transform_input``.

        Args:
            name: The backbone.
            taps: The trunk's taps.
            state: Its tensors.
            transform_input: Its attribute of that name: no tensor carries it.
            batchnorm: Its mode.

        Raises:
            ConfigError: If a tap, the backbone or the mode is unknown.
            WeightsError: If the tensors do not fit.
        """
        spec = backbone_spec(name)
        trunk = cls.__new__(cls)
        nn.Module.__init__(trunk)
        with torch.device("meta"):
            network = bare_network(spec, transform_input)
            trunk._build(name, taps, network, batchnorm)
        load_state(trunk, state, f"of a {name} trunk with the taps {', '.join(taps)}")
        return trunk.requires_grad_(False)

    def _build(self, name: str, taps: Sequence[str], network: nn.Module, batchnorm: BatchNormMode) -> None:
        if batchnorm not in ("eval", "per_frame"):
            raise ConfigError(f"there is no batchnorm mode {batchnorm!r}", found="eval, per_frame")
        self.name, self.batchnorm = name, batchnorm
        self.taps = check_taps(name, taps)
        self.vector_taps = tuple(tap for tap in self.taps if tap == backbone_spec(name).vector_tap)
        self.transform_input = bool(getattr(network, "transform_input", False))
        self.body = create_feature_extractor(network.eval(), list(self.taps), suppress_diff_warning=True)
        if batchnorm == "per_frame":
            _use_per_frame_norm(self.body)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Trunk:
        """Stay in eval mode: a frozen trunk gives the same maps within any training loop."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Feature maps of normalised frames.

        Args:
            x: float [n, 3, h, w], ImageNet mean and standard deviation.

        Returns:
            float [n, c, h', w'] by tap, in the order of ``taps``; h' = w' = 1 for ``vector_taps``.
        """
        maps = self.body(x)
        return {tap: maps[tap] for tap in self.taps}

    def fingerprint(self) -> str:
        """SHA-256 of the backbone's name, ``transform_input`` and every tensor; not of taps and batchnorm mode."""
        digest = hashlib.sha256(json.dumps([self.name, self.transform_input]).encode())
        for key, value in sorted(self.state_dict().items()):
            digest.update(json.dumps([key, str(value.dtype), list(value.shape)]).encode())
            digest.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def _use_per_frame_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            norm = PerFrameNorm(child.num_features, eps=child.eps)
            norm.load_state_dict(child.state_dict(), assign=True)
            setattr(module, name, norm)
        else:
            _use_per_frame_norm(child)
