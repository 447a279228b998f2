"""The convolutional networks: which there are, where they are tapped, and the part of one up to its deepest tap."""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import Inception3, get_model
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from fmcvqa.errors import ConfigError, WeightsError
from fmcvqa.models.weights import Weights, file_weights, imagenet_weights

log = logging.getLogger(__name__)

BatchNormMode = Literal["eval", "per_frame"]


@dataclass(frozen=True)
class BackboneSpec:
    """What one backbone is tapped at.

    Attributes:
        name: torchvision's name of the network.
        gram_taps: Layers whose feature maps are correlated by default.
        vector_tap: Layer whose map is pooled to 1x1, a plain feature vector.
        width: Length of that vector, the input of a head.
        input_size: Height and width the ImageNet weights were trained for, in pixels.
        head: Name of the classifier that our heads take the place of.
    """

    name: str
    gram_taps: tuple[str, ...]
    vector_tap: str
    width: int
    input_size: int
    head: str

    @property
    def taps(self) -> tuple[str, ...]:
        """Every default tap, the vector last."""
        return (*self.gram_taps, self.vector_tap)


BACKBONES = {
    spec.name: spec
    for spec in (
        # Paper, section III.B: 256 and 288 channels on a 35x35 grid, and the 2048-vector.
        BackboneSpec("inception_v3", ("Mixed_5b", "Mixed_5c"), "avgpool", 2048, 299, "fc"),
        BackboneSpec("efficientnet_b4", ("features.3", "features.4"), "avgpool", 1792, 380, "classifier"),
        BackboneSpec("resnet50", ("layer1", "layer2"), "avgpool", 2048, 224, "fc"),
        # Its own pooling comes after the classifier; ours comes before, see _without_head.
        BackboneSpec("squeezenet1_1", ("features.6", "features.7"), "classifier.avgpool", 512, 224, "classifier"),
    )
}


def backbone_spec(name: str) -> BackboneSpec:
    """The entry of a backbone.

    Raises:
        ConfigError: If there is no backbone of that name.
    """
    if name not in BACKBONES:
        raise ConfigError(f"there is no backbone {name!r}", found=", ".join(BACKBONES), advice="model=NAME")
    return BACKBONES[name]


@functools.cache
def known_taps(name: str) -> tuple[str, ...]:
    """Every layer of a backbone that can be tapped, in the order in which a frame meets them.

    A name may be a block (``Mixed_5b``, its output) or a layer in it (``Mixed_5b.branch1x1.relu``).

    Args:
        name: A backbone.

    Raises:
        ConfigError: If there is no backbone of that name.
    """
    spec = backbone_spec(name)
    with torch.device("meta"):
        network = _without_head(_empty_network(spec), spec)
    nodes = get_graph_node_names(network.eval(), suppress_diff_warning=True)[1]
    nodes = nodes[1 : nodes.index("flatten")]  # from the input to the last map
    names: dict[str, None] = {}
    for node in nodes:
        parts = node.split(".")
        names.update(dict.fromkeys(".".join(parts[:depth]) for depth in range(1, len(parts) + 1)))
    return tuple(tap for tap in names if tap not in ("features", "classifier"))


def check_taps(name: str, taps: Sequence[str]) -> tuple[str, ...]:
    """The taps, if the backbone has all of them.

    Raises:
        ConfigError: If one is unknown or named twice, or none is named.
    """
    known = known_taps(name)
    for tap in taps:
        if tap not in known:
            near = difflib.get_close_matches(tap, known, n=1, cutoff=0.0)[0]
            blocks = [k for k in known if k.count(".") == k.startswith(("features.", "classifier."))]
            raise ConfigError(
                f"{name} has no tap {tap!r}",
                found=f"{', '.join(blocks)}, and the layers within them",
                advice=f"{near}",
            )
    if not taps or len(set(taps)) < len(taps):
        raise ConfigError(f"the taps {list(taps)} of {name} are none or not distinct", advice="each tap once")
    return tuple(taps)


def load_backbone(name: str, weights: str | Path, *, seed: int = 0) -> nn.Module:
    """A backbone without its classifier: float [n, 3, h, w] to [n, width].

    Args:
        name: inception_v3, efficientnet_b4, resnet50 or squeezenet1_1.
        weights: ``"imagenet"``, ``"none"`` (random) or a file: see ``fmcvqa.models.weights.file_weights``.
        seed: Of the random weights; torch's global generator is left as it was.

    Raises:
        ConfigError: If there is no backbone of that name.
        WeightsError: If the weights cannot be had or do not fit.
    """
    spec = backbone_spec(name)
    if weights == "none":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return _random_network(spec)
    read = imagenet_weights(name) if weights == "imagenet" else file_weights(name, Path(weights))
    return _fill(spec, read)


def _empty_network(spec: BackboneSpec, transform_input: bool = False) -> nn.Module:
    options = {"init_weights": False, "transform_input": transform_input} if spec.name == "inception_v3" else {}
    network: nn.Module = get_model(spec.name, weights=None, **options)
    return network


def _random_network(spec: BackboneSpec) -> nn.Module:
    """The random start of torchvision, but He's for InceptionV3.

    Its own has one spread for all layers whatever their width: an untrained network in eval mode answers with 1e9.
    """
    network = _without_head(_empty_network(spec), spec)
    if isinstance(network, Inception3):
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return network


def _without_head(network: nn.Module, spec: BackboneSpec) -> nn.Module:
    """Put a head of nothing in the classifier's place; SqueezeNet's pooling moves in front of it.

    InceptionV3's auxiliary classifier goes too: the method ignores its loss, so it changes no weight and no score, but
    it takes time in train mode and cannot normalise a last batch of one image.
    """
    head: nn.Module = nn.Identity()
    if spec.vector_tap.startswith(f"{spec.head}."):
        head = nn.Sequential(OrderedDict(avgpool=nn.AdaptiveAvgPool2d(1)))
    setattr(network, spec.head, head)
    if isinstance(network, Inception3):
        network.AuxLogits, network.aux_logits = None, False
    return network


def _fill(spec: BackboneSpec, weights: Weights) -> nn.Module:
    """Build a backbone around tensors; only those of a classifier may be left over."""
    with torch.device("meta"):  # no time for random numbers that are overwritten at once
        network = _without_head(_empty_network(spec, weights.transform_input), spec)
    unused = [key for key in weights.state if key.startswith((f"{spec.head}.", "AuxLogits."))]
    if unused:
        log.info("the classifiers in %s are not used: %s", weights.source, ", ".join(unused))
    _load(network, {k: v for k, v in weights.state.items() if k not in unused}, f"{weights.source} as {spec.name}")
    return network


def _load(network: nn.Module, state: dict[str, Tensor], what: str) -> None:
    wanted = network.state_dict()
    missing = [key for key in wanted if key not in state]
    extra = [key for key in state if key not in wanted]
    misshaped = [key for key in wanted if key in state and wanted[key].shape != state[key].shape]
    problems = [
        f"{len(keys)} tensors {kind} (first {keys[0]})"
        for kind, keys in (("missing", missing), ("too many", extra), ("of another shape", misshaped))
        if keys
    ]
    if problems:
        raise WeightsError(
            f"the weights {what} do not fit", found=", ".join(problems), advice="the backbone the weights were made for"
        )
    # Copies: a tensor of a memory-mapped file would change with the file.
    own = {k: v.to(torch.float32 if v.is_floating_point() else v.dtype, copy=True) for k, v in state.items()}
    network.load_state_dict(own, assign=True)


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
        weights: See ``load_backbone``.
        seed: Of random weights.
        batchnorm: ``"eval"`` uses the running statistics, ``"per_frame"`` each frame's own (the authors' code).

    Raises:
        ConfigError: If a tap, the backbone or the mode is unknown.
        WeightsError: If the weights cannot be had or do not fit.
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
        self._build(name, taps, load_backbone(name, weights, seed=seed), batchnorm)

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
            network = _without_head(_empty_network(spec, transform_input), spec)
            trunk._build(name, taps, network, batchnorm)
        _load(trunk, state, f"of a {name} trunk with the taps {', '.join(taps)}")
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
