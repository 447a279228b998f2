"""Weights in half precision: which of their two neighbours is taken."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fmcvqa.models.rounding import rounded

BITS = {torch.bfloat16: 8, torch.float16: 11}  # of a number's digits
SHAPES = [(16, 8, 3, 3), (8, 4, 1, 7), (8, 6, 5, 5), (12, 40, 1, 1), (16, 1, 3, 3)]
Numbers = npt.NDArray[np.float64]


def weights(*shape: int) -> Tensor:
    made = 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    made[0, 0], made[1, 0] = 0.0, 0.25  # nothing to round
    return made


def around(weight: Tensor, dtype: torch.dtype) -> tuple[Numbers, Numbers]:
    """The numbers of the type below and above each weight."""
    exact = weight.double().numpy()
    exponent = np.floor(np.log2(np.abs(exact), where=exact != 0, out=np.zeros_like(exact))) + 1
    if dtype == torch.float16:
        exponent = np.maximum(exponent, -13)  # subnormal below
    step = 2.0 ** (exponent - BITS[dtype])
    return np.floor(exact / step) * step, np.ceil(exact / step) * step


def kernels(values: Numbers) -> Numbers:
    """A row for each of them; 1x1 ones are of all input channels."""
    return values.reshape(
        -1, values.shape[2] * values.shape[3] if values.shape[2] * values.shape[3] > 1 else values.shape[1]
    )


def expected_square(errors: Numbers, height: int, width: int) -> Numbers:
    """What rounding is to keep small, the obvious way: the sum over all pairs of weights of a kernel."""
    total = np.zeros(len(errors))
    for one in range(errors.shape[1]):
        for other in range(errors.shape[1]):
            if height * width == 1:
                alike = 1.0 if one == other else 0.3
            else:
                (y, x), (v, u) = divmod(one, width), divmod(other, width)
                alike = 0.9 ** (abs(y - v) + abs(x - u))
            total += errors[:, one] * errors[:, other] * alike
    return total


@pytest.mark.parametrize("dtype", BITS)
@pytest.mark.parametrize("shape", SHAPES)
def test_each_is_a_neighbour_and_no_other_choice_of_one_is_better(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    weight = weights(*shape)
    found = rounded(weight, dtype)
    assert (found.dtype, found.shape) == (dtype, weight.shape)
    below, above = around(weight, dtype)
    taken = found.double().numpy()
    assert ((taken == below) | (taken == above)).all()

    exact = weight.double().numpy()
    errors, others = kernels(taken - exact), kernels(np.where(taken == below, above, below) - exact)
    size = shape[2], shape[3]
    reached = expected_square(errors, *size)
    nearest = expected_square(kernels(weight.to(dtype).double().numpy() - exact), *size)
    assert (reached <= nearest * (1 + 1e-6)).all() and reached.sum() < 0.9 * nearest.sum()
    if size != (1, 1):
        assert reached.sum() < 0.35 * nearest.sum()
    for column in range(errors.shape[1]):
        moved = errors.copy()
        moved[:, column] = others[:, column]
        assert (expected_square(moved, *size) >= reached - 1e-2 * (moved - errors)[:, column] ** 2).all()


@pytest.mark.parametrize("dtype", BITS)
def test_a_smooth_map_is_hardly_changed(dtype: torch.dtype) -> None:
    weight = weights(32, 16, 3, 3)
    maps = 1.0 + torch.rand(1, 16, 1, 1, generator=torch.Generator().manual_seed(1)) + torch.linspace(0, 0.5, 20)
    maps = maps.expand(1, 16, 20, 20).double()
    exact, nearest, found = (F.conv2d(maps, w.double()) for w in (weight, weight.to(dtype), rounded(weight, dtype)))
    assert (found - exact).std() < 0.3 * (nearest - exact).std()


@pytest.mark.parametrize("dtype", BITS)
def test_what_is_a_number_of_the_type_stays_one(dtype: torch.dtype) -> None:
    weight = weights(4, 3, 3, 3).to(dtype).float()
    assert torch.equal(rounded(weight, dtype), weight.to(dtype))


def test_what_is_too_large_stays_infinite() -> None:
    weight = weights(4, 3, 3, 3)
    weight[2, 1, 1, 1], weight[3, 0, 0, 0] = 1e6, -1e6
    found = rounded(weight, torch.float16)
    assert found[2, 1, 1, 1] == torch.inf and found[3, 0, 0, 0] == -torch.inf
    assert found.isfinite().sum() == found.numel() - 2
