"""Weights of a convolution in half precision whose rounding errors cancel where maps are smooth."""

from __future__ import annotations

import torch
from torch import Tensor

# How alike neighbouring pixels of a map are taken to be, and two channels of one pixel: maps behind a ReLU are smooth
# and of one sign. Assumed, not learned.
_NEIGHBOURS, _CHANNELS = 0.9, 0.3


@torch.no_grad()
def rounded(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Round each weight up or down so that the convolution changes least, in the place of each to its nearest.

    Errors of the nearest add up: a smooth map is multiplied with a kernel's sum, of which nine roundings know less than
    of each weight. For the errors ``e`` of a kernel ``e R e`` is the expected square of its output's error, with ``R``
    the assumed correlation of what the kernel is multiplied with; from the nearest on, the weight whose other neighbour
    lowers it most is moved there until none does. No data are needed ("AdaRound", Nagel et al. 2020, learns the same
    choice from data). A kernel is that of one input channel, of 1x1 convolutions that of all.

    Args:
        weight: ``[out, in, h, w]`` in float32.
        dtype: ``torch.bfloat16`` or ``torch.float16``.

    Returns:
        ``[out, in, h, w]`` in ``dtype``, each one of the two numbers around the weight; the same on every device.
    """
    height, width = weight.shape[2:]
    exact = weight.detach().cpu().float().reshape(-1, height * width if height * width > 1 else weight.shape[1])
    near = exact.to(dtype)
    wide = near.float()
    other = torch.where(wide.abs() < exact.abs(), 1, -1).to(torch.int16) + near.view(torch.int16)
    moves = other.view(dtype).float() - wide
    settled = (wide == exact) | ~wide.isfinite()
    moves[settled] = 0.0
    errors = (wide - exact).masked_fill_(settled, 0.0)
    alike = _alike(height, width, exact.shape[1])
    slopes = errors @ alike

    rows = torch.arange(len(exact))
    while len(rows):
        step = moves[rows]
        gains = step * (2 * slopes[rows] + step)  # the diagonal of R is 1
        gain, column = gains.min(1)
        better = gain < -1e-3 * step.gather(1, column[:, None])[:, 0].square()  # not what rounding here makes of 0
        rows, column = rows[better], column[better]
        step = moves[rows, column]
        slopes[rows] += step[:, None] * alike[column]
        wide[rows, column] += step
        moves[rows, column] = -step
    return wide.to(dtype).reshape(weight.shape).to(weight.device)


def _alike(height: int, width: int, numbers: int) -> Tensor:
    """``[numbers, numbers]``: the assumed correlation of what a kernel's weights are multiplied with."""
    if height * width == 1:
        return torch.full((numbers, numbers), _CHANNELS).fill_diagonal_(1.0)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], 1).float()
    return _NEIGHBOURS ** torch.cdist(places, places, p=1)
