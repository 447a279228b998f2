"""The features of one video in one call, for anybody's own work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fmcvqa.data.decoding import Decoder, make_decoder
from fmcvqa.data.records import VideoRecord
from fmcvqa.errors import ConfigError
from fmcvqa.features.extractor import PooledFeatures
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.features.streaming import extract_features
from fmcvqa.models.trunk import Trunk


def extract(
    path: str | Path,
    taps: Sequence[str] = ("Mixed_5b", "Mixed_5c", "avgpool"),
    *,
    backbone: str = "inception_v3",
    weights: str | Path = "imagenet",
    recipe: FeatureRecipe | None = None,
    decoder: str | Decoder = "pyav",
    num_workers: int = 0,
    progress: bool = False,
) -> dict[tuple[str, str], npt.NDArray[np.float32]]:
    """The pooled features of a video (paper, III.B and III.C).

    Args:
        path: The video.
        taps: Layers whose output is taken; a Gram matrix's upper triangle each, ``avgpool`` as it is.
        backbone: Network.
        weights: ``"imagenet"``, ``"none"`` (random), a file of weights or a model file (``.fmcvqa``).
        recipe: Size, stride and what else changes a feature; its taps are replaced by ``taps``.
        decoder: ``"pyav"``, ``"decord"`` or a decoder object.
        num_workers: Decoding child processes; 0 decodes in this process.
        progress: Whether to show a bar on stderr.

    Returns:
        ``{(tap, pool): [d]}`` in float32 for each pool of the recipe; d is c (c + 1) / 2 for a layer of c channels.

    Raises:
        VideoError: If the video cannot be read.
        ConfigError: If a tap, the backbone or the decoder is unknown, or the recipe marks damaged videos.
        WeightsError: If the weights cannot be had or do not fit.
    """
    made = replace(recipe or FeatureRecipe(), taps=tuple(taps))
    if made.damage != "reject":
        problem = f"recipe.damage={made.damage}, but this call gives features alone, without a place for a mark"
        raise ConfigError(problem, advice="fmcvqa.features.streaming.extract_features")
    trunk = Trunk(backbone, made.taps, weights, batchnorm=made.batchnorm)
    found: list[PooledFeatures] = []
    extract_features(
        [VideoRecord("0", Path(path), math.nan)],
        trunk,
        made,
        make_decoder(decoder),
        done=found.append,
        num_workers=num_workers,
        progress=progress,
    )
    return found[0].blocks
