"""Float32 stays float32 whatever the process allows, and what it allows is left as it was."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import backends

from fmcvqa.features.gram import gram_matrix, gram_vector
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.models.inference import InferenceTrunk
from fmcvqa.models.trunk import Trunk
from fmcvqa.precision import own_precision
from fmcvqa.regression.folds import Fold
from fmcvqa.regression.kernels import KernelBank
from fmcvqa.regression.torch_gram import FloatArray, TorchGram

OPERATIONS = (backends.cudnn.conv, backends.cuda.matmul, backends.mkldnn.conv, backends.mkldnn.matmul)
CPU = torch.device("cpu")


def settings() -> list[str]:
    return [each.fp32_precision for each in OPERATIONS]


def by_lightnings_advice() -> None:
    torch.set_float32_matmul_precision("medium")


def by_operation() -> None:
    for each, precision in zip(OPERATIONS, ("tf32", "tf32", "bf16", "bf16"), strict=True):
        each.fp32_precision = precision


@pytest.fixture(params=[by_lightnings_advice, by_operation])
def reduced(request: pytest.FixtureRequest) -> Iterator[Callable[[], None]]:
    """A way to allow reduced float32, not yet gone."""
    before = settings()
    yield request.param
    torch.set_float32_matmul_precision("highest")
    for each, precision in zip(OPERATIONS, before, strict=True):
        each.fp32_precision = precision


def test_settings_are_exact_inside_and_put_back(reduced: Callable[[], None]) -> None:
    reduced()
    before = settings()
    assert set(before) & {"tf32", "bf16"}
    with own_precision(CPU):
        assert settings() == ["ieee"] * 4
        with own_precision(CPU):
            pass
        assert settings() == ["ieee"] * 4
    assert settings() == before
    with pytest.raises(ValueError, match="no number"), own_precision(CPU):
        float("no number")
    assert settings() == before


def test_the_last_thread_that_leaves_puts_them_back(reduced: Callable[[], None]) -> None:
    reduced()
    before, entered, leave = settings(), threading.Event(), threading.Event()

    def stays() -> None:
        with own_precision(CPU):
            entered.set()
            leave.wait()

    thread = threading.Thread(target=stays)
    with own_precision(CPU):
        thread.start()
        entered.wait()
        child = os.fork()
        if child == 0:  # the thread is not here, and will not leave
            with own_precision(CPU):
                inside = settings()
            os._exit(0 if inside == ["ieee"] * 4 and settings() == before else 1)
    assert settings() == ["ieee"] * 4
    leave.set()
    thread.join()
    assert settings() == before
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_nothing_is_cast_inside() -> None:
    product = torch.randn(3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert (product @ product).dtype == torch.bfloat16
        with own_precision(CPU):
            assert (product @ product).dtype == torch.float32


def test_features_do_not_change_with_what_is_allowed(reduced: Callable[[], None]) -> None:
    maps = torch.randn(2, 256, 35, 35, generator=torch.Generator().manual_seed(0))
    frames = torch.randn(2, 3, 107, 107, generator=torch.Generator().manual_seed(1))
    trunk = Trunk("inception_v3", ["Mixed_5b"], "none")

    def features() -> list[torch.Tensor]:
        return [gram_matrix(maps), gram_vector(maps), InferenceTrunk(trunk)(frames)["Mixed_5b"]]

    expected = features()
    reduced()
    seen: list[list[str]] = []
    InferenceTrunk(trunk).later(frames, lambda found: seen.append(settings()) or found)()
    assert seen == [["ieee"] * 4]  # a GPU's too, which this machine need not have
    for found, before in zip(features(), expected, strict=True):
        assert torch.equal(found, before)


def test_kernels_do_not_change_with_what_is_allowed(reduced: Callable[[], None]) -> None:
    raw = np.random.default_rng(0).normal(size=(300, 700)).astype(np.float32)
    bank = KernelBank(FeatureMatrix([str(row) for row in range(300)], {("A", "mean"): raw}))
    scale = bank.scale(("A", "mean"), Fold(np.arange(200)))[0]

    def kernel() -> FloatArray:
        return TorchGram("cpu").packed("A", raw, scale, np.dtype(np.float32))

    expected = kernel()
    reduced()
    np.testing.assert_array_equal(kernel(), expected)
