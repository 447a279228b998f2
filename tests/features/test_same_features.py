"""The same bytes give the same features, whoever decodes them and in which order (FAULTS, "same bytes twice")."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from tiny import TAPS, clip

from fmcvqa.data.decoding import PyAVDecoder
from fmcvqa.data.records import VideoRecord
from fmcvqa.features.extractor import PooledFeatures
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.features.streaming import extract_features
from fmcvqa.models.trunk import Trunk

Features = dict[str, dict[tuple[str, str], np.ndarray]]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[VideoRecord]:
    folder = tmp_path_factory.mktemp("clips")
    return [VideoRecord(name, clip(folder / f"{name}.mp4", 7, seed=k), 1.0) for k, name in enumerate("abc")]


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    return Trunk("squeezenet1_1", TAPS, "none", seed=0)


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def features(records: list[VideoRecord], trunk: Trunk, *, workers: int = 0, chunk: int = 16) -> Features:
    found: Features = {}

    def done(pooled: PooledFeatures) -> None:
        found[pooled.video_id] = pooled.blocks

    extract_features(
        records,
        trunk,
        FeatureRecipe(taps=TAPS, crop=64),
        PyAVDecoder(),
        done=done,
        trainer={"accelerator": "cpu"},
        num_workers=workers,
        chunk_frames=chunk,
        progress=False,
    )
    return found


def largest_difference(one: Features, other: Features) -> float:
    """Over all blocks: the largest difference, divided by the largest value of the block."""
    assert one.keys() == other.keys()
    return max(
        float(np.abs(values - other[name][block]).max() / np.abs(values).max())
        for name, blocks in one.items()
        for block, values in blocks.items()
    )


def test_bit_for_bit_over_runs_workers_and_order(records: list[VideoRecord], trunk: Trunk) -> None:
    first = features(records, trunk)
    for again in (
        features(records, trunk),
        features(records[::-1], trunk),
        features(records, trunk, workers=1),
        features(records[1:] + records[:1], trunk, workers=2),
    ):
        assert largest_difference(first, again) == 0.0


def test_to_rounding_over_batch_sizes_and_threads(records: list[VideoRecord], trunk: Trunk) -> None:
    with threads(1):
        first, small = features(records, trunk), features(records, trunk, chunk=3)
    with threads(2):
        other = features(records, trunk)
    assert largest_difference(first, small) <= 1e-6
    assert largest_difference(first, other) <= 1e-6
