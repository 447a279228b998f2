"""Bootstrap intervals over videos: how far a score would move with another draw of the test videos."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScoredSplit:
    """One split's tested videos.

    Attributes:
        rows: Their numbers in the whole tested set, ``[n]``.
        mos: ``[n]``.
        predicted: ``[n]``.
        mapped: Predictions after the logistic, ``[n]``.
    """

    rows: npt.NDArray[np.intp]
    mos: Float64
    predicted: Float64
    mapped: Float64


def bootstrap_ci95(
    tested: Sequence[ScoredSplit], videos: int, resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """The 95 % percentile interval of each score's median over the splits.

    Videos are drawn with replacement, the same draw for all splits; each split's score is taken over its own drawn
    videos with their multiplicities, and the median over the splits as in the table. Regressors and logistics are
    not fitted again, so the interval is that of the test videos' choice alone.

    Args:
        tested: The splits.
        videos: Number of videos in the tested set.
        resamples: Number of draws.
        seed: Of the draws.
    """
    draw = np.random.default_rng([seed, 3])
    counts = draw.multinomial(videos, np.full(videos, 1 / videos), size=resamples).astype(np.float64)
    per_split = {name: np.empty((len(tested), resamples)) for name in _WEIGHTED}
    for number, part in enumerate(tested):
        weights = counts[:, part.rows]
        for name, score in _WEIGHTED.items():
            per_split[name][number] = score(part, weights)
    with warnings.catch_warnings():  # a draw of few videos may hold one value in every split, and then says nothing
        warnings.filterwarnings("ignore", message="All-NaN slice")
        medians = {name: np.nanmedian(values, axis=0) for name, values in per_split.items()}
    return {
        name: (float(np.nanpercentile(values, 2.5)), float(np.nanpercentile(values, 97.5)))
        for name, values in medians.items()
    }


def weighted_plcc(x: Float64, y: Float64, weights: Float64) -> Float64:
    """Pearson's correlation with multiplicities.

    Args:
        x: ``[n]``.
        y: ``[n]``.
        weights: ``[draws, n]``.

    Returns:
        ``[draws]``; NaN where a draw holds one value only.
    """
    u, v = x - x.mean(), y - y.mean()  # near the draws' means, so that the products below keep their digits
    sums = weights @ np.stack([np.ones_like(u), u, v, u * u, v * v, u * v], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        _, mu, mv, uu, vv, uv = (sums / sums[:, :1]).T
        spread = [np.where(q - m**2 > 1e-12 * q, q - m**2, np.nan) for q, m in ((uu, mu), (vv, mv))]
        return np.asarray((uv - mu * mv) / np.sqrt(spread[0] * spread[1]))


def weighted_srocc(x: Float64, y: Float64, weights: Float64) -> Float64:
    """Spearman's correlation of the drawn videos, ties by mean rank."""
    middle = (weights.sum(axis=1, keepdims=True) + 1) / 2  # a draw's mean rank, whatever the ties
    u, v = _weighted_ranks(x, weights) - middle, _weighted_ranks(y, weights) - middle
    uu, vv, uv = (np.einsum("bn,bn,bn->b", weights, a, b) for a, b in ((u, u), (v, v), (u, v)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(uv / np.sqrt(uu * vv))


def _group_sizes(x: Float64, weights: Float64) -> tuple[Float64, npt.NDArray[np.intp]]:
    """How often each distinct value was drawn, ``[draws, values]``, and each video's place among the values."""
    values, group = np.unique(x, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(values)))
    return np.add.reduceat(weights[:, order], starts, axis=1), group


def _weighted_ranks(x: Float64, weights: Float64) -> Float64:
    size, group = _group_sizes(x, weights)
    return np.asarray((np.cumsum(size, axis=1) - (size - 1) / 2)[:, group])


def weighted_krocc(x: Float64, y: Float64, weights: Float64) -> Float64:
    """Kendall's tau-b of the drawn videos; the copies of one video tie with each other."""
    agreement = np.sign(x[:, None] - x[None, :]) * np.sign(y[:, None] - y[None, :])
    agree = np.einsum("bn,bn->b", weights @ agreement, weights)
    pairs = weights.sum(axis=1) ** 2
    untied = [pairs - np.square(_group_sizes(values, weights)[0]).sum(axis=1) for values in (x, y)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(agree / np.sqrt(untied[0] * untied[1]))


def weighted_rmse(x: Float64, y: Float64, weights: Float64) -> Float64:
    """Root mean squared error of the drawn videos."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt((weights @ (x - y) ** 2) / weights.sum(axis=1)))


_WEIGHTED: dict[str, Callable[[ScoredSplit, Float64], Float64]] = {
    "srocc": lambda part, weights: weighted_srocc(part.predicted, part.mos, weights),
    "krocc": lambda part, weights: weighted_krocc(part.predicted, part.mos, weights),
    "plcc": lambda part, weights: weighted_plcc(part.predicted, part.mos, weights),
    "plcc_mapped": lambda part, weights: weighted_plcc(part.mapped, part.mos, weights),
    "rmse": lambda part, weights: weighted_rmse(part.predicted, part.mos, weights),
    "rmse_mapped": lambda part, weights: weighted_rmse(part.mapped, part.mos, weights),
}
