"""Pooling over time while a video streams (paper, III.C; beyond it, spread and change), in constant memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fmcvqa.features.sketch import count_sketch
from fmcvqa.memory import apart

POOLS = ("mean", "max", "std", "delta")
PAPER_POOLS = ("mean", "max")


class RunningPool:
    """Mean, maximum, standard deviation and mean absolute change of the frame vectors seen so far.

    Sums are kept in float64, so that the chunks a video arrives in cannot matter at float32's precision. ``update``
    and ``merge`` are associative; as long as ``delta`` is not asked for, which knows an order, also commutative.

    Args:
        pools: Which of ``POOLS``: ``mean``; ``max``; ``std``, the root of the mean squared distance from the mean;
            ``delta``, the mean of ``|g[t + 1] - g[t]|`` over the frames that follow on each other. The last two are 0
            for a single frame.

    Attributes:
        count: Number of frames seen.

    Raises:
        ValueError: If a pool is unknown.
    """

    def __init__(self, pools: Sequence[str] = PAPER_POOLS) -> None:
        if unknown := [name for name in pools if name not in POOLS]:
            raise ValueError(f"there is no pool {', '.join(unknown)}; there are {', '.join(POOLS)}")
        self.pools, self.count = tuple(pools), 0
        self._seen: dict[str, Tensor] = {}

    def update(self, vectors: Tensor) -> None:
        """Add the vectors ``[n, d]`` of ``n`` frames, which follow on those before.

        Raises:
            ValueError: If there is no frame or the width differs from that of earlier frames.
        """
        if vectors.ndim != 2 or not len(vectors):
            raise ValueError(f"frame vectors have the shape [n, d] with n > 0, not {list(vectors.shape)}")
        self._join(len(vectors), _summary(vectors, self.pools))

    def merge(self, other: RunningPool) -> None:
        """Add everything that another pool has seen, whose frames follow on those of this one.

        Raises:
            ValueError: If it pools otherwise, or vectors of another width.
        """
        if other.pools != self.pools:
            raise ValueError(f"pools {', '.join(other.pools)} cannot join {', '.join(self.pools)}")
        if other.count:
            self._join(other.count, other._seen)

    def _join(self, count: int, new: Mapping[str, Tensor]) -> None:
        if not self.count:
            self._seen = {name: value.clone() for name, value in new.items()}
        else:
            width, before = next(iter(new.values())).shape[0], next(iter(self._seen.values())).shape[0]
            if width != before:
                raise ValueError(f"frame vectors of width {width} after some of width {before}")
            self._seen = _joined(self._seen, self.count, new, count)
        self.count += count

    def result(self) -> dict[str, Tensor]:
        """The pooled vectors ``{pool: [d]}`` in float32, in the order of ``pools``.

        Raises:
            ValueError: If no frame was seen.
        """
        if not self.count:
            raise ValueError("no frame was seen, so there is nothing to pool")
        found: dict[str, Tensor] = {}
        for name in self.pools:
            match name:
                case "mean":
                    found[name] = self._seen["sum"] / self.count
                case "max":
                    found[name] = self._seen["max"]
                case "std":
                    found[name] = (self._seen["squares"] / self.count).sqrt()
                case _:
                    found[name] = self._seen["change"] / max(self.count - 1, 1)
        return {name: values.to(torch.float32) for name, values in found.items()}


def _summary(vectors: Tensor, pools: Sequence[str]) -> dict[str, Tensor]:
    """All that is kept of a chunk ``[n, d]``: vectors ``[d]``, none of which holds the chunk in memory."""
    kept: dict[str, Tensor] = {}
    if "mean" in pools:
        kept["sum"] = vectors.sum(0, dtype=torch.float64)
    if "max" in pools:
        kept["max"] = vectors.amax(0)
    if "std" in pools:
        start = vectors[0].to(torch.float64)
        offsets = vectors.to(torch.float64) - start  # exactly 0 where nothing moves, and small numbers to square
        shift = offsets.mean(0)
        kept |= {"centre": start + shift, "squares": (offsets - shift).square().sum(0)}
    if "delta" in pools:
        change = vectors.to(torch.float64).diff(dim=0).abs().sum(0)
        kept |= {"first": vectors[0].clone(), "last": vectors[-1].clone(), "change": change}
    return kept


def _joined(one: Mapping[str, Tensor], n: int, other: Mapping[str, Tensor], m: int) -> dict[str, Tensor]:
    """What is kept of n frames and the m that follow; squares as Chan, Golub and LeVeque (1979) add them."""
    kept: dict[str, Tensor] = {}
    if "sum" in one:
        kept["sum"] = one["sum"] + other["sum"]
    if "max" in one:
        kept["max"] = torch.maximum(one["max"], other["max"])
    if "squares" in one:
        gap = other["centre"] - one["centre"]
        kept["centre"] = one["centre"] + gap * (m / (n + m))
        kept["squares"] = one["squares"] + other["squares"] + gap.square() * (n * m / (n + m))
    if "change" in one:
        border = (other["first"].to(torch.float64) - one["last"].to(torch.float64)).abs()
        change = one["change"] + other["change"] + border
        kept |= {"first": one["first"], "last": other["last"], "change": change}
    return kept


class TapPools:
    """A :class:`RunningPool` per tap of one video, or of one window of it.

    Args:
        pools: Which of ``POOLS``.
        sketch: Keep so many numbers of each pooled vector; None keeps all.
        sketch_seed: Which sketch.
    """

    def __init__(self, pools: Sequence[str] = PAPER_POOLS, *, sketch: int | None = None, sketch_seed: int = 0) -> None:
        self._pools, self._sketch, self._seed = tuple(pools), sketch, sketch_seed
        self._taps: dict[str, RunningPool] = {}

    @property
    def count(self) -> int:
        """Number of frames seen."""
        return next((pool.count for pool in self._taps.values()), 0)

    def update(self, vectors: Mapping[str, Tensor]) -> None:
        """Add the vectors ``[n, d]`` of n frames by tap."""
        for tap, values in vectors.items():
            self._taps.setdefault(tap, RunningPool(self._pools)).update(values)

    def blocks(self) -> dict[tuple[str, str], npt.NDArray[np.float32]]:
        """The pooled vectors ``{(tap, pool): [d]}`` in float32.

        Raises:
            ValueError: If no frame was seen.
        """
        if not self._taps:
            raise ValueError("no frame was seen, so there is nothing to pool")
        blocks = {
            (tap, name): values.cpu().numpy()
            for tap, pool in self._taps.items()
            for name, values in pool.result().items()
        }
        if self._sketch is not None:
            blocks = {block: count_sketch(values, self._sketch, self._seed) for block, values in blocks.items()}
        return apart(blocks)
