"""Every choice that changes a feature, and the key that names the features made with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, get_args

from fmcvqa.data.decoding import OnDamage, check_on_damage
from fmcvqa.data.imagenet import MEAN, STD
from fmcvqa.errors import ConfigError
from fmcvqa.features.gram import NORMALISATIONS, Normalisation
from fmcvqa.features.pooling import PAPER_POOLS, POOLS, TapPools
from fmcvqa.features.sketch import SEEDS
from fmcvqa.models.inference import PRECISIONS
from fmcvqa.models.trunk import BatchNormMode

# By precision; raise when the same recipe starts to give other numbers.
FORMATS = {"32-true": 2, "bf16-mixed": 4, "16-mixed": 4}

# Values that came later, with what was done before. There they are left out of keys and files, which so stay valid.
_LATER: dict[str, Any] = {
    "pools": PAPER_POOLS,
    "normalisation": "none",
    "sketch": None,
    "sketch_seed": 0,
    "damage": "reject",
}


@dataclass(frozen=True)
class FeatureRecipe:
    """How features are made; the defaults are the paper's text with its authors' values where it is silent.

    Attributes:
        taps: Layers whose output is taken, by torchvision's names.
        resize: Short side in pixels after resizing, None for native resolution.
        crop: Side in pixels of the centre crop, None for the whole frame.
        mean: Per-channel mean subtracted after scaling to 0-1.
        std: Per-channel divisor.
        stride: Every how-manieth frame is used.
        batchnorm: ``eval``, or ``per_frame`` for the authors' network that was never put in evaluation mode.
        jpeg_quality: Quality of a JPEG round trip of each frame (the authors' code: 95), None for none.
        precision: Lightning's name of the network's arithmetic; Gram and pooling are float32 or wider always.
        normalisation: Of each frame's Gram matrices, before pooling; see ``fmcvqa.features.gram``.
        pools: Poolings over time, in the order of ``fmcvqa.features.pooling.POOLS``; ``delta`` is the change between
            frames that follow on each other among those used.
        sketch: Keep so many numbers of each tap and pool, by a count sketch of what is pooled; None keeps all.
        sketch_seed: Which sketch.
        damage: ``reject`` makes a damaged video fail; ``mark`` makes features of its frames before the damage, if
            there is one, and marks them.
        backbone: Network name, filled in by :meth:`bind`.
        weights: Fingerprint of the network's weights, filled in by :meth:`bind`.
        decoder: Decoder name, filled in by :meth:`bind`.
        decoder_version: Version of it and of its FFmpeg, filled in by :meth:`bind`.

    Raises:
        ConfigError: If a value is out of range.
    """

    taps: tuple[str, ...] = ("Mixed_5b", "Mixed_5c", "avgpool")
    resize: int | None = 299
    crop: int | None = 299
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    stride: int = 1
    batchnorm: BatchNormMode = "eval"
    jpeg_quality: int | None = None
    precision: str = "32-true"
    normalisation: Normalisation = "none"
    pools: tuple[str, ...] = PAPER_POOLS
    sketch: int | None = None
    sketch_seed: int = 0
    damage: OnDamage = "reject"
    backbone: str = ""
    weights: str = ""
    decoder: str = ""
    decoder_version: str = ""

    def __post_init__(self) -> None:
        for name in ("taps", "mean", "std", "pools"):  # lists when they come from a config or from JSON
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _require(bool(self.taps) and len(set(self.taps)) == len(self.taps), "taps", self.taps, "distinct layer names")
        known = bool(self.pools) and set(self.pools) <= set(POOLS) and len(set(self.pools)) == len(self.pools)
        _require(known, "pools", self.pools, f"some of {', '.join(POOLS)}, each once")
        object.__setattr__(self, "pools", tuple(name for name in POOLS if name in self.pools))
        _require(self.normalisation in NORMALISATIONS, "normalisation", self.normalisation, " or ".join(NORMALISATIONS))
        _require(self.sketch is None or self.sketch >= 1, "sketch", self.sketch, "numbers from 1, or null for all")
        _require(0 <= self.sketch_seed < SEEDS, "sketch_seed", self.sketch_seed, f"0 to {SEEDS - 1}")
        check_on_damage("recipe.damage", self.damage)
        _require(self.stride >= 1, "stride", self.stride, "a whole number from 1")
        _require(
            self.batchnorm in get_args(BatchNormMode), "batchnorm", self.batchnorm, " or ".join(get_args(BatchNormMode))
        )
        _require(self.precision in PRECISIONS, "precision", self.precision, ", ".join(PRECISIONS))
        _require(
            self.jpeg_quality is None or 1 <= self.jpeg_quality <= 100,
            "jpeg_quality",
            self.jpeg_quality,
            "1-100 or null",
        )
        for name in ("resize", "crop"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, value, "pixels from 1, or null for native resolution")

    def bind(self, *, backbone: str, weights: str, decoder: str, decoder_version: str) -> FeatureRecipe:
        """The same recipe for one network's weights and one decoder."""
        return replace(self, backbone=backbone, weights=weights, decoder=decoder, decoder_version=decoder_version)

    def tap_pools(self) -> TapPools:
        """What pools the frames of one video, or of one window of it, as the recipe says."""
        return TapPools(self.pools, sketch=self.sketch, sketch_seed=self.sketch_seed)

    def key(self) -> str:
        """SHA-256 (hex) over every value, the order of the taps apart.

        Raises:
            ValueError: If the recipe is not bound to weights and a decoder yet.
        """
        if not (self.backbone and self.weights and self.decoder and self.decoder_version):
            raise ValueError("a recipe has a key only after bind(): weights and decoder change features too")
        values = {**self._stated(), "taps": sorted(self.taps), "format": FORMATS[self.precision]}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """The values as plain JSON types."""
        return json.loads(json.dumps(self._stated()))  # type: ignore[no-any-return]

    def _stated(self) -> dict[str, Any]:
        values = asdict(self)
        return {name: value for name, value in values.items() if name not in _LATER or value != _LATER[name]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FeatureRecipe:
        """The recipe of :meth:`to_dict`.

        Raises:
            ConfigError: If a value is missing, unknown or out of range.
        """
        known = {field.name for field in fields(cls)}
        if not known - set(_LATER) <= set(values) <= known:
            raise ConfigError(
                f"this is not a feature recipe: its names are {', '.join(sorted(values)) or 'none'}",
                found=f"a recipe has {', '.join(sorted(known))}",
            )
        return cls(**values)


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise ConfigError(f"recipe.{name} is {value!r}", advice=f"recipe.{name} = {allowed}")
