"""Gram matrices of feature maps: the correlations between channels (paper, III.B), as they are or normalised."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor

from fmcvqa.precision import own_precision

Normalisation = Literal["none", "signed_sqrt", "l2", "signed_sqrt_l2", "matrix_sqrt"]
NORMALISATIONS: tuple[str, ...] = get_args(Normalisation)
_STRIP = 64  # rows of a Gram matrix at once: of 32 to 144 as fast as any with 256 and 288 channels


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
    f, g, scale = _factors(maps)
    with own_precision(maps.device):
        return torch.bmm(f, g).div_(scale)


def _factors(maps: Tensor) -> tuple[Tensor, Tensor, int]:
    """``F`` and its transpose in float32 or wider, as they lie in memory, and what their product is divided by."""
    if maps.ndim != 4:
        raise ValueError(f"feature maps have the shape [n, c, h, w], not {list(maps.shape)}")
    _, c, h, w = maps.shape
    wide = maps.to(torch.promote_types(maps.dtype, torch.float32))
    if maps.is_contiguous(memory_format=torch.channels_last):
        pixels = wide.permute(0, 2, 3, 1).flatten(1, 2)
        return pixels.transpose(1, 2), pixels, c * h * w
    flat = wide.flatten(2)
    return flat, flat.transpose(1, 2), c * h * w


def upper_triangle(matrices: Tensor) -> Tensor:
    """The upper triangle of symmetric matrices, or of their first rows, row by row and with the diagonal.

    Args:
        matrices: Matrices ``[n, c, c]``, or their first r rows ``[n, r, c]``.

    Returns:
        Vectors ``[n, c (c + 1) / 2]``, of r rows ``[n, r c - r (r - 1) / 2]``.
    """
    return matrices.flatten(1).index_select(1, _triangle(*matrices.shape[1:], matrices.device))


@lru_cache(maxsize=64)
def _triangle(rows: int, columns: int, device: torch.device) -> Tensor:
    pairs = torch.triu_indices(rows, columns, device=device)
    return pairs[0] * columns + pairs[1]


def gram_vector(maps: Tensor) -> Tensor:
    """The Gram matrix of each frame as a vector: 32,896 numbers for the 256 channels of Mixed_5b.

    Only the upper triangle is computed, in strips of some rows from the diagonal on: half the work of the matrix.

    Args:
        maps: Feature maps ``[n, c, h, w]``.

    Returns:
        Vectors ``[n, c (c + 1) / 2]``, the :func:`upper_triangle` of :func:`gram_matrix` to rounding.

    Raises:
        ValueError: If ``maps`` is not four-dimensional.
    """
    f, g, scale = _factors(maps)
    parts = []
    with own_precision(maps.device):
        for row in range(0, maps.shape[1], _STRIP):
            strip = torch.bmm(f[:, row : row + _STRIP], g[:, :, row:])
            parts.append(upper_triangle(strip))
    return torch.cat(parts, 1).div_(scale)


def matrix_sqrt(matrices: Tensor) -> Tensor:
    """The symmetric square root of symmetric positive semi-definite matrices: ``R R = G``.

    By eigen-decomposition in float64, eigenvalues that rounding has made negative taken as 0. Rounding is uncertain by
    about 1e-16 of the largest eigenvalue, so entries that stand for an eigenvalue of 0 are uncertain by about 1e-8 of
    the root of the largest: the floor below which nothing is known. In float32 it would be 3e-4. A channel that
    responds nowhere is exactly 0 in the root too: rounding there would look like a feature once it is standardised.

    Args:
        matrices: ``[n, c, c]``.

    Returns:
        Float64 ``[n, c, c]``, not a number where a matrix is not finite.
    """
    finite = matrices.isfinite().all(-1, keepdim=True).all(-2, keepdim=True)
    with own_precision(matrices.device):
        values, vectors = torch.linalg.eigh(matrices.to(torch.float64).where(finite, 0.0))
        roots = (vectors * values.clamp_min(0.0).sqrt().unsqueeze(-2)) @ vectors.mT
        responds = matrices.diagonal(dim1=-2, dim2=-1) != 0
        roots = roots.where(responds.unsqueeze(-1) & responds.unsqueeze(-2), 0.0)
    return torch.where(finite, roots, torch.nan)


def normalised_gram_vector(maps: Tensor, normalisation: Normalisation) -> Tensor:
    """The Gram matrix of each frame, normalised, as a vector (Lin and Maji, "Improved Bilinear Pooling", BMVC 2017).

    Args:
        maps: Feature maps ``[n, c, h, w]``.
        normalisation: ``none``; ``signed_sqrt``, ``sign(g) sqrt(|g|)`` of each number; ``l2``, the vector over its
            length, 0 staying 0; ``signed_sqrt_l2``, both in this order; ``matrix_sqrt``, see :func:`matrix_sqrt`, of
            a Gram matrix that is itself computed in float64.

    Returns:
        Vectors ``[n, c (c + 1) / 2]``, in float32 or wider.
    """
    if normalisation == "matrix_sqrt":  # frame by frame: maps of many large frames in float64 would fill the memory
        grams = torch.cat([gram_matrix(frame.to(torch.float64)) for frame in torch.split(maps, 1)])
        return upper_triangle(matrix_sqrt(grams))
    vectors = gram_vector(maps)
    if normalisation.startswith("signed_sqrt"):
        vectors = vectors.sign() * vectors.abs().sqrt()
    if normalisation.endswith("l2"):
        length = torch.linalg.vector_norm(vectors, dim=1, keepdim=True, dtype=torch.float64)
        vectors = vectors / length.where(length != 0, 1.0)
    return vectors


def tap_vector(maps: Tensor, *, pooled: bool, normalisation: Normalisation = "none") -> Tensor:
    """The vector a tap contributes: its Gram matrix, or the map itself where the network has pooled it already.

    Args:
        maps: Feature maps ``[n, c, h, w]``.
        pooled: Whether the tap is a global pooling such as ``avgpool``, whose ``[n, c, 1, 1]`` is used as it is.

        normalisation: Of the Gram matrix; a pooled tap has none.

    Returns:
        Vectors ``[n, d]`` in float32 or wider.

    Raises:
        ValueError: If a pooled map still has spatial extent.
    """
    if not pooled:
        return normalised_gram_vector(maps, normalisation)
    if maps[0].numel() != maps.shape[1]:
        raise ValueError(f"a pooled tap has the shape [n, c, 1, 1], not {list(maps.shape)}")
    return maps.reshape(maps.shape[0], -1).to(torch.promote_types(maps.dtype, torch.float32))
