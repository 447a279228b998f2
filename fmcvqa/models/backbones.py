"""The convolutional networks: which there are, where they can be tapped, and how their weights get in."""

from __future__ import annotations

import difflib
import functools
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import Inception3, get_model
from torchvision.models.feature_extraction import get_graph_node_names

from fmcvqa.errors import ConfigError, WeightsError, unknown_name
from fmcvqa.models.weights import Weights, file_weights, imagenet_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BackboneSpec:
    """What one backbone is tapped at.

    Attributes:
        name: torchvision's name of the network.
        gram_taps: Layers whose feature maps are correlated by default.
        vector_tap: Layer whose map is pooled to 1x1, a plain feature vector.
        width: Length of that vector, the input of a head.
        head: Name of the classifier that our heads take the place of.
    """

    name: str
    gram_taps: tuple[str, ...]
    vector_tap: str
    width: int
    head: str

    @property
    def taps(self) -> tuple[str, ...]:
        """Every default tap, the vector last."""
        return (*self.gram_taps, self.vector_tap)


BACKBONES = {
    spec.name: spec
    for spec in (
        # Paper, section III.B: 256 and 288 channels on a 35x35 grid, and the 2048-vector.
        BackboneSpec("inception_v3", ("Mixed_5b", "Mixed_5c"), "avgpool", 2048, "fc"),
        BackboneSpec("efficientnet_b4", ("features.3", "features.4"), "avgpool", 1792, "classifier"),
        BackboneSpec("resnet50", ("layer1", "layer2"), "avgpool", 2048, "fc"),
        # Its own pooling comes after the classifier; ours comes before, see _without_head.
        BackboneSpec("squeezenet1_1", ("features.6", "features.7"), "classifier.avgpool", 512, "classifier"),
    )
}


def backbone_spec(name: str) -> BackboneSpec:
    """The entry of a backbone.

    Raises:
        ConfigError: If there is no backbone of that name.
    """
    if name not in BACKBONES:
        raise unknown_name("backbone", str(name), list(BACKBONES), "model=NAME")
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
        network = bare_network(spec)
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


def bare_network(spec: BackboneSpec, transform_input: bool = False) -> nn.Module:
    """A backbone without its classifier, whose numbers are still to come."""
    options = {"init_weights": False, "transform_input": transform_input} if spec.name == "inception_v3" else {}
    return _without_head(get_model(spec.name, weights=None, **options), spec)


def _random_network(spec: BackboneSpec) -> nn.Module:
    """The random start of torchvision, but He's for InceptionV3.

    Its own has one spread for all layers whatever their width: an untrained network in eval mode answers with 1e9.
    """
    network = bare_network(spec)
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
        network = bare_network(spec, weights.transform_input)
    unused = [key for key in weights.state if key.startswith((f"{spec.head}.", "AuxLogits."))]
    if unused:
        log.info("the classifiers in %s are not used: %s", weights.source, ", ".join(unused))
    load_state(network, {k: v for k, v in weights.state.items() if k not in unused}, f"{weights.source} as {spec.name}")
    return network


def load_state(network: nn.Module, state: dict[str, Tensor], what: str) -> None:
    """Fill a network with exactly the tensors it has.

    Args:
        network: The network.
        state: Its tensors by name.
        what: What they are, for an error.

    Raises:
        WeightsError: If tensors are missing, left over or of another shape.
    """
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
