"""The smallest frame of a network is that of its layers, and what it refuses is smaller."""

from __future__ import annotations

import pytest
import torch

from fmcvqa.models.smallest import smallest_side
from fmcvqa.models.trunk import Trunk

# InceptionV3 as torchvision's page of its weights says (min_size); Mixed_5b by hand: 27, 13, 11, 11, 5, 5, 3, 1.
CASES = [
    ("inception_v3", "Mixed_5b", "eval", 27),
    ("inception_v3", "Mixed_7c", "eval", 75),
    ("inception_v3", "Mixed_7c", "per_frame", 107),
    ("squeezenet1_1", "features.12", "eval", 17),
    ("resnet50", "layer4", "eval", 1),
]


@pytest.mark.parametrize(("name", "tap", "batchnorm", "side"), CASES)
def test_it_passes_and_one_pixel_less_does_not(name: str, tap: str, batchnorm: str, side: int) -> None:
    trunk = Trunk(name, [tap], "none", batchnorm=batchnorm)  # type: ignore[arg-type]
    assert smallest_side(trunk.body) == side
    assert min(trunk(torch.rand(1, 3, side, side + 60))[tap].shape) >= 1
    if side > 1:
        with pytest.raises((RuntimeError, ValueError)):
            trunk(torch.rand(1, 3, side - 1, side - 1))


def test_what_no_size_passes_is_not_called_small() -> None:
    body = Trunk("squeezenet1_1", ["features.2"], "none").body
    body.get_submodule("features.0").weight = torch.nn.Parameter(torch.rand(64, 5, 3, 3))
    with pytest.raises(RuntimeError, match="channel dimensions"):
        smallest_side(body)
