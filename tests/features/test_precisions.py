"""Pooled features of InceptionV3 in every precision, plain and compiled, on CPU and GPU, against the slow way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from tiny import clip

from fmcvqa.data.decoding import Decoder, PyAVDecoder, TorchCodecDecoder
from fmcvqa.data.records import VideoRecord
from fmcvqa.features.extractor import PooledFeatures
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.features.streaming import extract_features
from fmcvqa.models.backbones import load_backbone
from fmcvqa.models.inference import InferenceTrunk
from fmcvqa.models.trunk import Trunk

TAPS = ("Mixed_5b", "Mixed_5c", "avgpool")
WITHIN = {"32-true": 1e-5, "bf16-mixed": 1.5e-2, "16-mixed": 2e-3}  # of a block's largest value
DEVICES = ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)]
Blocks = dict[tuple[str, str], Any]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 11, width=400, height=320)


@pytest.fixture(scope="module")
def expected(path: Path) -> Blocks:
    return reference.video_features(path, load_backbone("inception_v3", "none"), TAPS, resize=299, crop=299)


def found(path: Path, precision: str, accelerator: str, *, compiled: bool, decoder: Decoder) -> Blocks:
    trunk = InferenceTrunk(Trunk("inception_v3", TAPS, "none"), precision, compiled_frames=4 if compiled else 0)
    pooled: list[PooledFeatures] = []
    extract_features(
        [VideoRecord("clip", path, 3.0)],
        trunk,
        FeatureRecipe(taps=TAPS, precision=precision),
        decoder,
        done=pooled.append,
        trainer={"accelerator": accelerator},
        num_workers=0,
        chunk_frames=4,
        progress=False,
    )
    assert pooled[0].frames == 11
    return pooled[0].blocks


def error(one: Blocks, other: Blocks) -> float:
    assert one.keys() == other.keys()
    return max(float(np.abs(one[key] - other[key]).max() / np.abs(other[key]).max()) for key in one)


@pytest.mark.parametrize("accelerator", DEVICES)
@pytest.mark.parametrize("precision", WITHIN)
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.release)], ids=["plain", "compiled"])
def test_features_are_near_the_slow_ones(
    compiled: bool, precision: str, accelerator: str, path: Path, expected: Blocks
) -> None:
    features = found(path, precision, accelerator, compiled=compiled, decoder=PyAVDecoder())
    assert error(features, expected) < WITHIN[precision]


@pytest.mark.gpu
def test_frames_of_nvdec_have_near_features(path: Path, expected: Blocks) -> None:
    features = found(path, "32-true", "gpu", compiled=False, decoder=TorchCodecDecoder(device="cuda"))
    assert error(features, expected) < 0.05  # other arithmetic of colours, a grey level or two
