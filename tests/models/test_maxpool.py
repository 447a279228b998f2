"""Maximum pooling by bits against torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from fmcvqa.models.inference import InferenceTrunk
from fmcvqa.models.maxpool import BitwiseMaxPool, pool_by_bits
from fmcvqa.models.trunk import Trunk


def maps(height: int = 23, width: int = 31) -> Tensor:
    made = torch.randn(2, 5, height, width, generator=torch.Generator().manual_seed(0)).relu().bfloat16()
    made[0, 0, 3, 4], made[0, 0, 9, 9] = torch.inf, 1e-40  # so is a number that is not normalised
    return made.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("size", "stride"), [(3, 2), (2, 2), (3, 1), (2, 3), (1, 1)])
@pytest.mark.parametrize("height", [23, 24, 3])
def test_largest_numbers_are_those_of_torch(height: int, size: int, stride: int) -> None:
    x = maps(height=max(height, 10))[:, :, :height]
    before = x.clone()
    found = BitwiseMaxPool(size, stride)(x)
    assert torch.equal(found, F.max_pool2d(x, size, stride)) and torch.equal(x, before)


class Pools(nn.Module):
    """Poolings behind ReLUs, of joined and of pooled maps among them, and one of maps as they come."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.relu, self.pool, self.options = nn.ReLU(), nn.MaxPool2d(3, 2, **options), options

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        joined = torch.cat(
            [self.pool(self.relu(x)), F.max_pool2d(F.relu(x), kernel_size=3, stride=2, **self.options)], 1
        )
        return {"twice": F.max_pool2d(joined, 2), "signed": F.max_pool2d(x, 3, stride=2)}


@pytest.mark.parametrize(
    ("options", "replaced"), [({}, 3), ({"padding": 1}, 0), ({"ceil_mode": True}, 0), ({"dilation": 2}, 0)], ids=str
)
def test_only_windows_within_maps_without_negative_numbers(options: dict[str, Any], replaced: int) -> None:
    x = maps(24, 32) - 1
    body = fx.symbolic_trace(Pools(**options))
    expected = body(x)
    pool_by_bits(body)
    assert [type(module) for module in body.modules()].count(BitwiseMaxPool) == replaced
    for name, found in body(x).items():
        assert torch.equal(found, expected[name])


def test_inception_pools_by_bits_in_bfloat16_where_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fmcvqa.models.inference._cpu_computes_in", lambda dtype: True)
    frames = torch.randn(1, 3, 107, 107, generator=torch.Generator().manual_seed(0))
    for precision, compiled, expected in (("32-true", 0, 0), ("bf16-mixed", 0, 3), ("bf16-mixed", 2, 0)):
        trunk = Trunk("inception_v3", ("Mixed_6a",), "none")
        network = InferenceTrunk(trunk, precision, compiled_frames=compiled)
        network(frames)  # fewer than are compiled for, so nothing is compiled here
        assert [type(module) for module in network.modules()].count(BitwiseMaxPool) == expected
