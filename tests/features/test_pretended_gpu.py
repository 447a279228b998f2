"""The way from frames to pooled vectors on a GPU that is only pretended: devices are real there, numbers are not.

Torch's fake tensors refuse operations between devices as CUDA does, without a GPU. So this shows that everything stays
on the device; not that it computes the right thing there, which tests marked ``gpu`` do.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fmcvqa.data.frames import FrameBatch
from fmcvqa.data.preprocess import Preprocess
from fmcvqa.features import gram
from fmcvqa.features.extractor import GramExtractor
from fmcvqa.features.pooling import POOLS
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.models.inference import InferenceTrunk
from fmcvqa.models.trunk import Trunk

GPU = torch.device("cuda", 0)


class Crossings(TorchDispatchMode):
    """The operations that read a tensor on one side and give one, or a number, on the other: the host waits there."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given, made = ({x.device.type for x in tree_leaves(side) if isinstance(x, Tensor)} for side in (args, result))
        if given and (made - given or func is torch.ops.aten._local_scalar_dense.default):
            self.seen.append(str(func))
        return result


def on_the_gpu(network: InferenceTrunk) -> InferenceTrunk:
    """Its converted weights as they would lie there; within a FakeTensorMode."""
    for module in network.modules():
        for name, p in module._parameters.items():
            if p is not None:
                there = torch.empty_strided(p.shape, p.stride(), dtype=p.dtype, device=GPU)
                module._parameters[name] = torch.nn.Parameter(there, requires_grad=False)
        for name, b in module._buffers.items():
            module._buffers[name] = None if b is None else torch.empty_like(b, device=GPU)
    return network


@pytest.mark.parametrize(
    ("name", "taps", "widths", "size", "precision", "normalisation"),
    [
        ("inception_v3", ("Mixed_5b",), (256 * 257 // 2,), (270, 480), "bf16-mixed", "none"),
        (
            "squeezenet1_1",
            ("features.3", "classifier.avgpool"),
            (128 * 129 // 2, 512),
            (480, 270),
            "16-mixed",
            "signed_sqrt_l2",
        ),
        ("squeezenet1_1", ("features.3",), (128 * 129 // 2,), (299, 299), "32-true", "matrix_sqrt"),
    ],
)
def test_frames_become_pooled_vectors_without_leaving_it(
    name: str,
    taps: tuple[str, ...],
    widths: tuple[int, ...],
    size: tuple[int, int],
    precision: str,
    normalisation: gram.Normalisation,
) -> None:
    network = InferenceTrunk(Trunk(name, taps, "none"), precision)
    network._prepare(GPU)  # fake tensors cannot take the place of real ones there
    recipe = FeatureRecipe(taps=taps, pools=POOLS, precision=precision, normalisation=normalisation)
    preprocess, pools = Preprocess(), recipe.tap_pools()
    with FakeTensorMode(allow_non_fake_inputs=True):
        extractor = GramExtractor(on_the_gpu(network), recipe=recipe, batch_frames=4)
        extractor._pools["clip"] = pools
        for chunk in range(6):
            with Crossings() as crossings:
                frames = torch.empty(2, *size, 3, dtype=torch.uint8, device=GPU).permute(0, 3, 1, 2)
                batch = FrameBatch(preprocess(frames), [2 * chunk, 2 * chunk + 1], "clip", last=False)
                assert batch.frames.shape == (2, 3, 299, 299) and batch.frames.device == GPU
                assert extractor.predict_step(batch) is None
            if chunk > 1:  # constants go there with the first
                assert crossings.seen == []
        assert pools.count == 8  # two batches of two chunks; the third is under way
        for tap, width in zip(taps, widths, strict=True):
            for values in pools._taps[tap].result().values():
                assert (values.shape, values.dtype, values.device) == ((width,), torch.float32, GPU)
    gram._triangle.cache_clear()  # of fake tensors
