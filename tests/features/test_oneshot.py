"""A video's features in one call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import reference
import torch
from tiny import TAPS, clip

from fmcvqa.errors import ConfigError, VideoError
from fmcvqa.features import FeatureRecipe, extract, gram_matrix, gram_vector, upper_triangle
from fmcvqa.models.backbones import load_backbone


def test_it_equals_the_slow_reference(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 4)
    recipe = FeatureRecipe(resize=72, crop=64)
    found = extract(path, TAPS, backbone="squeezenet1_1", weights="none", recipe=recipe)
    slow = reference.video_features(path, load_backbone("squeezenet1_1", "none"), TAPS, resize=72, crop=64)
    assert set(found) == set(slow)
    for block, values in slow.items():
        assert found[block].dtype == np.float32
        np.testing.assert_allclose(found[block], values, rtol=0, atol=1e-4 * np.abs(values).max())


def test_its_errors_are_those_of_the_parts(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="E_NOT_FOUND"):
        extract(tmp_path / "none.mp4", TAPS, backbone="squeezenet1_1", weights="none")
    with pytest.raises(ConfigError, match="squeezenet1_1 has no tap 'Mixed_5b'"):
        extract(tmp_path / "none.mp4", ["Mixed_5b"], backbone="squeezenet1_1", weights="none")


def test_what_is_to_be_marked_needs_a_place_for_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"recipe\.damage=mark, but this call gives features alone"):
        extract(tmp_path / "none.mp4", TAPS, backbone="squeezenet1_1", recipe=FeatureRecipe(damage="mark"))


def test_the_functions_are_pure() -> None:
    maps = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # one frame, two channels of 1 x 2
    before = maps.clone()
    gram = gram_matrix(maps)
    assert gram.tolist() == [[[5 / 4, 1 / 4], [1 / 4, 10 / 4]]]
    assert upper_triangle(gram).tolist() == gram_vector(maps).tolist() == [[5 / 4, 1 / 4, 10 / 4]]
    assert torch.equal(maps, before)
