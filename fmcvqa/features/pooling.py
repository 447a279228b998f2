"""Pooling over time while a video streams (paper, III.C): average and maximum, in constant memory."""

from __future__ import annotations

import torch
from torch import Tensor

POOLS = ("mean", "max")


class RunningPool:
    """Mean and maximum of the frame vectors seen so far.

    Sums are kept in float64, so that the chunks a video arrives in cannot matter at float32's precision;
    ``update`` and ``merge`` are associative and commutative.

    Attributes:
        count: Number of frames seen.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sum: Tensor | None = None
        self._max: Tensor | None = None

    def update(self, vectors: Tensor) -> None:
        """Add the vectors ``[n, d]`` of ``n`` frames.

        Raises:
            ValueError: If there is no frame or the width differs from that of earlier frames.
        """
        if vectors.ndim != 2 or not len(vectors):
            raise ValueError(f"frame vectors have the shape [n, d] with n > 0, not {list(vectors.shape)}")
        self._join(len(vectors), vectors.sum(0, dtype=torch.float64), vectors.amax(0))

    def merge(self, other: RunningPool) -> None:
        """Add everything another pool has seen."""
        if other._sum is not None and other._max is not None:
            self._join(other.count, other._sum, other._max)

    def _join(self, count: int, total: Tensor, largest: Tensor) -> None:
        if self._sum is None or self._max is None:
            self._sum, self._max = total.clone(), largest.clone()
        elif self._sum.shape != total.shape:
            raise ValueError(f"frame vectors of width {total.shape[0]} after some of width {self._sum.shape[0]}")
        else:
            self._sum += total
            self._max = torch.maximum(self._max, largest)
        self.count += count

    def result(self) -> dict[str, Tensor]:
        """The pooled vectors ``{"mean": [d], "max": [d]}`` in float32.

        Raises:
            ValueError: If no frame was seen.
        """
        if self._sum is None or self._max is None:
            raise ValueError("no frame was seen, so there is nothing to pool")
        return {"mean": (self._sum / self.count).to(torch.float32), "max": self._max.to(torch.float32)}
