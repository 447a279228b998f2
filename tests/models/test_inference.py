"""The network as extraction runs it against the trunk it was made from."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import inception_v3

from fmcvqa.errors import ConfigError, WeightsError
from fmcvqa.models import arranged, inference
from fmcvqa.models.backbones import BACKBONES
from fmcvqa.models.inference import InferenceTrunk
from fmcvqa.models.trunk import Trunk


def frames(n: int = 2, size: int = 107) -> torch.Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def difference(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    assert list(found) == list(expected)
    return max(float((found[tap].float() - m).abs().max() / m.abs().max()) for tap, m in expected.items())


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """InceptionV3 that needs the re-scaled input, with running statistics that are not trivial."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = inception_v3(weights=None, init_weights=False, transform_input=True)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
                nn.init.normal_(module.weight, 1.0, 0.1)
                nn.init.normal_(module.bias, std=0.1)
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.parametrize("batchnorm", ["eval", "per_frame"])
def test_rescaling_and_statistics_are_folded_exactly(weights: Path, batchnorm: Any) -> None:
    trunk = Trunk("inception_v3", ("Mixed_5b", "Mixed_5c"), weights, batchnorm=batchnorm)
    before = trunk.fingerprint()
    network = InferenceTrunk(trunk)
    maps = network(frames())
    assert difference(maps, trunk(frames())) < 1e-5  # rounding, which normalising by the frame amplifies
    if batchnorm == "eval":
        assert all(m.is_contiguous(memory_format=torch.channels_last) for m in maps.values())
    assert not any(type(module) is nn.BatchNorm2d for module in network.modules())
    assert trunk.transform_input and trunk.fingerprint() == before


@pytest.mark.parametrize("name", [name for name in BACKBONES if name != "inception_v3"])
def test_other_backbones_give_the_same_maps(name: str) -> None:
    trunk = Trunk(name, BACKBONES[name].taps, "none")
    assert difference(InferenceTrunk(trunk)(frames(1, 96)), trunk(frames(1, 96))) < 5e-6


def test_maps_are_pooled_where_they_are_narrowest(weights: Path) -> None:
    trunk = Trunk("inception_v3", ("Mixed_5b", "Mixed_6c.branch_pool.conv", "Mixed_7c"), weights)
    network = InferenceTrunk(trunk)
    assert difference(network(frames(1, 171)), trunk(frames(1, 171))) < 5e-6
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as profile:
        network(frames(1, 171))
    channels = [event.input_shapes[0][1] for event in profile.events() if event.name == "aten::avg_pool2d"]
    assert channels == [32, 64, 64, 192, 192, 192, 192, 192, 192]


@pytest.mark.parametrize(("name", "deepest"), [("inception_v3", "Mixed_7c"), ("squeezenet1_1", "features.12")])
def test_means_of_whole_maps_are_float32(name: str, deepest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tap = BACKBONES[name].vector_tap
    trunk = Trunk(name, (deepest, tap), "none")
    monkeypatch.setattr(inference, "_cpu_computes_in", lambda dtype: True)
    maps = InferenceTrunk(trunk, "bf16-mixed")(frames(1, 107))
    assert maps[deepest].dtype == torch.bfloat16 and maps[tap].dtype == torch.float32
    assert torch.equal(maps[tap], maps[deepest].float().mean((2, 3), keepdim=True))
    assert not torch.equal(maps[tap], maps[tap].bfloat16())


def test_a_pooled_map_that_is_a_tap_is_pooled(weights: Path) -> None:
    trunk = Trunk("inception_v3", ("Mixed_5b",), weights)
    pooling = next(node for node in trunk.body.graph.nodes if node.target is F.avg_pool2d)
    output = next(node for node in trunk.body.graph.nodes if node.op == "output")
    output.args = ({"Mixed_5b": output.args[0]["Mixed_5b"], "pooled": pooling},)
    trunk.body.recompile()
    trunk.taps = ("Mixed_5b", "pooled")
    assert difference(InferenceTrunk(trunk)(frames()), trunk(frames())) < 5e-6


def test_a_tap_before_its_normalisation_stays_as_it_was(weights: Path) -> None:
    taps = ("Conv2d_1a_3x3.conv", "Conv2d_1a_3x3", "Conv2d_2a_3x3.bn")
    trunk = Trunk("inception_v3", taps, weights)
    network = InferenceTrunk(trunk)
    assert difference(network(frames()), trunk(frames())) < 5e-6
    assert [type(m) for m in network.modules()].count(nn.BatchNorm2d) == 1


def test_half_precision_is_computed_in_where_the_processor_can(monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = Trunk("squeezenet1_1", ("features.3",), "none")
    monkeypatch.setattr(inference, "_cpu_computes_in", lambda dtype: True)
    maps = InferenceTrunk(trunk, "bf16-mixed")(frames(1, 40))
    assert maps["features.3"].dtype == torch.bfloat16
    assert 1e-5 < difference(maps, trunk(frames(1, 40))) < 1.5e-2
    assert {p.dtype for p in trunk.parameters()} == {torch.float32}


def test_a_processor_without_it_computes_in_float32_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trunk = Trunk("squeezenet1_1", ("features.3",), "none")
    monkeypatch.setattr(inference, "_cpu_computes_in", lambda dtype: dtype == torch.float32)
    network = InferenceTrunk(trunk, "bf16-mixed")
    with caplog.at_level(logging.WARNING):
        maps, _ = network(frames(1, 40)), network(frames(1, 40))
    assert maps["features.3"].dtype == torch.float32
    assert difference(maps, trunk(frames(1, 40))) < 5e-6
    assert caplog.messages == ["this CPU has no bfloat16 arithmetic: the network runs in float32"]


def test_what_remains_of_a_batch_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Compiled:
        """Like torch's: it has a length to ask for, which a graph then refuses."""

        def __init__(self, body: nn.Module, **_: Any) -> None:
            self.body = body

        def __len__(self) -> int:
            raise TypeError("GraphModule does not support len()")

        def __call__(self, x: torch.Tensor) -> Any:
            seen.append(len(x))
            return self.body(x)

    monkeypatch.setattr(torch, "compile", Compiled)
    trunk = Trunk("squeezenet1_1", ("features.3",), "none")
    network = InferenceTrunk(trunk, compiled_frames=3)
    for n in (3, 2, 7):
        assert difference(network(frames(n, 40)), trunk(frames(n, 40))) < 5e-6
    assert seen == [3, 3, 3]
    seen.clear()
    InferenceTrunk(trunk, compiled_frames=100)(frames(9, 40))
    assert seen == [4, 4]


def test_one_thread_compiles_and_the_others_wait_in_and_out_of_inference_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[bool] = []

    class Compiled:
        """Like torch's: slow at first, and made for tensors of one mode."""

        def __init__(self, body: nn.Module, **_: Any) -> None:
            self.body, self.made = body, set[bool]()

        def __call__(self, x: torch.Tensor) -> Any:
            if x.is_inference() not in self.made:
                began.append(x.is_inference())
                time.sleep(0.1)
                self.made.add(x.is_inference())
            return self.body(x)

    monkeypatch.setattr(torch, "compile", Compiled)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    network = InferenceTrunk(Trunk("squeezenet1_1", ("features.3",), "none"), compiled_frames=2)
    network(frames(4, 40))
    with torch.inference_mode():
        network(frames(4, 40))
    assert began == [False, True]


@pytest.mark.release
def test_a_compiled_network_gives_the_same_maps() -> None:
    trunk = Trunk("squeezenet1_1", ("features.3", "features.6"), "none")
    network = InferenceTrunk(trunk, compiled_frames=2)
    for size in (107, 96, 107):
        for n in (4, 2):  # in two threads, and in one
            assert difference(network(frames(n, size)), trunk(frames(n, size))) < 5e-6
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            network(frames(2, size))
        ran = {event.key for event in profile.key_averages()}
        assert "mkldnn::_convolution_pointwise" in ran and "aten::relu" not in ran  # weights arranged, ReLU within


def test_weights_are_laid_out_for_whole_batches_of_a_size_and_not_for_the_end_of_a_video(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    laid: list[int] = []

    class Counted:
        """oneDNN's operations, which notes for how many maps weights are laid out."""

        def __getattr__(self, name: str) -> Any:
            return getattr(torch.ops.mkldnn, name)

        def _reorder_convolution_weight(self, weight: torch.Tensor, *options: Any) -> torch.Tensor:
            laid.append(options[-1][0])
            made: torch.Tensor = torch.ops.mkldnn._reorder_convolution_weight(weight, *options)
            return made

    monkeypatch.setattr(arranged, "_MKLDNN", Counted())
    trunk = Trunk("squeezenet1_1", ("features.3",), "none")
    network, convolutions = InferenceTrunk(trunk), 4
    few = 4  # that a thread takes at once
    batches = ((1, 40, 1), (3, 40, 3), (9, 40, few), (2, 40, 0), (9, 40, 0), (9, 56, few), (2, 40, 2), (5, 40, few))
    for n, size, expected in batches:
        laid.clear()
        assert difference(network(frames(n, size)), trunk(frames(n, size))) < 5e-6
        assert laid == [expected] * (convolutions if expected else 0), (n, size)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float) -> None:
    trunk = Trunk("squeezenet1_1", ("features.3",), "none")
    trunk.body.get_parameter("features.0.bias").data[1] = value
    problem = "the network's weights are not finite numbers in body."
    with pytest.raises(WeightsError, match=rf"^{problem}features\.0\.bias\. Try: "):
        InferenceTrunk(trunk)
    trunk = Trunk("inception_v3", ("Mixed_5b",), "none")
    trunk.body.get_parameter("Mixed_5b.branch_pool.bn.bias").data[1] = value  # added behind the pooling
    with pytest.raises(WeightsError, match=rf"^{problem}Mixed_5b\.branch_pool\.bn\.bias\. Try: "):
        InferenceTrunk(trunk)


@pytest.mark.parametrize(("large", "times"), [(0, 3), (16 << 20, 0)])
def test_garbage_is_collected_for_large_networks_alone(large: int, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    collected: list[None] = []
    monkeypatch.setattr(inference, "release", lambda: collected.append(None))
    monkeypatch.setattr(inference, "_LARGE_WEIGHTS", large)
    network = InferenceTrunk(Trunk("squeezenet1_1", ("features.4",), "none"))
    for _ in range(2):
        network(frames())
    assert len(collected) == times


def test_unknown_precision() -> None:
    with pytest.raises(ConfigError) as caught:
        InferenceTrunk(Trunk("squeezenet1_1", ("features.3",), "none"), "bf16")
    assert str(caught.value) == "there is no precision 'bf16'. Found: 32-true, bf16-mixed, 16-mixed"
