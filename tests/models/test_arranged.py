"""Convolutions in oneDNN's layout against torch's own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from fmcvqa.errors import ConfigError
from fmcvqa.models.arranged import ArrangedConvolution, arrange
from fmcvqa.models.inference import InferenceTrunk
from fmcvqa.models.trunk import Trunk


def maps(n: int = 2, channels: int = 8, size: tuple[int, int] = (17, 23), seed: int = 0) -> Tensor:
    made = torch.randn(n, channels, *size, generator=torch.Generator().manual_seed(seed))
    return made.contiguous(memory_format=torch.channels_last)


def convolution(*arguments: Any, **options: Any) -> nn.Conv2d:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Conv2d(*arguments, **options).requires_grad_(False)


OPTIONS: list[dict[str, Any]] = [
    {"kernel_size": 3},
    {"kernel_size": 3, "stride": 2, "bias": False},
    {"kernel_size": (1, 7), "padding": (0, 3)},
    {"kernel_size": 3, "padding": 2, "dilation": 2},
    {"kernel_size": 3, "groups": 8},
    {"kernel_size": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_maps_are_those_of_torch(options: dict[str, Any]) -> None:
    plain = convolution(8, 16, **options)
    arranged = ArrangedConvolution(plain, torch.float32)
    for n, size in ((2, (17, 23)), (2, (40, 9)), (1, (40, 9)), (2, (17, 23))):
        x = maps(n, size=size)
        found, expected = arranged(x), plain(x)
        assert found.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_threads_with_maps_of_different_sizes_do_not_disturb_each_other() -> None:
    plain = convolution(8, 16, kernel_size=3)
    arranged = ArrangedConvolution(plain, torch.float32)
    sizes = [(9 + k % 5, 31) for k in range(40)]
    with ThreadPoolExecutor(4) as pool:
        for size, found in zip(sizes, pool.map(lambda size: arranged(maps(size=size)), sizes), strict=True):
            torch.testing.assert_close(found, plain(maps(size=size)), rtol=1e-5, atol=1e-6)


class Small(nn.Module):
    """A ReLU that may join its convolution, one whose convolution is wanted without it, and one behind a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (convolution(8, 8, kernel_size=3, padding=1) for _ in range(3))
        self.relu = nn.ReLU(inplace=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        first = self.relu(self.first(x))
        before = self.second(first)
        second = self.relu(before)
        return {"before": before, "second": second, "third": F.relu(self.third(second) + first)}


def test_only_a_relu_that_alone_follows_a_convolution_joins_it() -> None:
    body = fx.symbolic_trace(Small())
    expected = Small()(maps())
    arrange(body, torch.float32)
    assert {name: body.get_submodule(name).then for name in ("first", "second", "third")} == {
        "first": "relu",
        "second": "none",
        "third": "none",
    }
    found = body(maps())
    assert expected["before"].min() < 0
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=1e-5, atol=1e-6)


def test_float16_keeps_what_is_no_number() -> None:
    body = fx.symbolic_trace(Small())
    arrange(body, torch.float16)
    assert {body.get_submodule(name).then for name in ("first", "second", "third")} == {"none"}


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.release)], ids=["plain", "compiled"])
def test_biases_stay_in_float32(compiled: bool) -> None:
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this CPU has no bfloat16 arithmetic")
    plain = convolution(8, 8, kernel_size=1)
    nn.init.constant_(plain.weight, -1 / 8)
    nn.init.constant_(plain.bias, 1 + 2**-12)  # in bfloat16 that is 1
    arranged: nn.Module = ArrangedConvolution(plain, torch.bfloat16)
    ones = torch.ones(1, 8, 5, 5, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    found = arranged(ones)
    if compiled:
        with torch.no_grad():
            found = torch.compile(arranged, dynamic=False)(ones)
    assert found.dtype == torch.bfloat16 and (found == 2**-12).all()


def test_a_network_is_ready_for_one_kind_of_device() -> None:
    network = InferenceTrunk(Trunk("squeezenet1_1", ("features.3",), "none"))
    network(torch.zeros(1, 3, 40, 40))
    with pytest.raises(ConfigError) as caught:
        network(torch.zeros(1, 3, 40, 40, device="meta"))
    assert str(caught.value) == (
        "frames on meta came to a network that was made ready for cpu. Try: an InferenceTrunk for each kind of device"
    )
