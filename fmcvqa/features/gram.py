"""Gram matrices of feature maps: the correlations between channels (paper, III.B)."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def gram_matrix(maps: Tensor) -> Tensor:
    """Correlate every channel of a feature map with every other.

    With ``F`` the map of one frame as a ``[c, h*w]`` matrix this is ``F F^T / (c h w)``.

    Args:
        maps: Feature maps ``[n, c, h, w]``.

    Returns:
        Symmetric matrices ``[n, c, c]``, in float32 or wider whatever the maps' own precision.

    Raises:
        ValueError: If ``maps`` is not four-dimensional.
    """
    if maps.ndim != 4:
        raise ValueError(f"feature maps have the shape [n, c, h, w], not {list(maps.shape)}")
    _, c, h, w = maps.shape
    with torch.autocast(maps.device.type, enabled=False):
        wide = maps.to(torch.promote_types(maps.dtype, torch.float32))
        if maps.is_contiguous(memory_format=torch.channels_last):  # as they lie in memory, without a copy
            pixels = wide.permute(0, 2, 3, 1).flatten(1, 2)
            return torch.bmm(pixels.transpose(1, 2), pixels).div_(c * h * w)
        flat = wide.flatten(2)
        return torch.bmm(flat, flat.transpose(1, 2)).div_(c * h * w)


def upper_triangle(matrices: Tensor) -> Tensor:
    """The upper triangle of symmetric matrices, row by row and with the diagonal.

    Args:
        matrices: Matrices ``[n, c, c]``.

    Returns:
        Vectors ``[n, c (c + 1) / 2]``.
    """
    return matrices.flatten(1).index_select(1, _triangle(matrices.shape[-1], matrices.device))


@lru_cache(maxsize=8)
def _triangle(size: int, device: torch.device) -> Tensor:
    pairs = torch.triu_indices(size, size, device=device)
    return pairs[0] * size + pairs[1]


def gram_vector(maps: Tensor) -> Tensor:
    """The Gram matrix of each frame as a vector: 32,896 numbers for the 256 channels of Mixed_5b.

    Args:
        maps: Feature maps ``[n, c, h, w]``.

    Returns:
        Vectors ``[n, c (c + 1) / 2]``.
    """
    return upper_triangle(gram_matrix(maps))


def tap_vector(maps: Tensor, *, pooled: bool) -> Tensor:
    """The vector a tap contributes: its Gram matrix, or the map itself where the network has pooled it already.

    Args:
        maps: Feature maps ``[n, c, h, w]``.
        pooled: Whether the tap is a global pooling such as ``avgpool``, whose ``[n, c, 1, 1]`` is used as it is.

    Returns:
        Vectors ``[n, d]`` in float32 or wider.

    Raises:
        ValueError: If a pooled map still has spatial extent.
    """
    if not pooled:
        return gram_vector(maps)
    if maps[0].numel() != maps.shape[1]:
        raise ValueError(f"a pooled tap has the shape [n, c, 1, 1], not {list(maps.shape)}")
    return maps.reshape(maps.shape[0], -1).to(torch.promote_types(maps.dtype, torch.float32))
