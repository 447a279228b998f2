"""How much of the best cell's score comes from having picked the best on the videos it is scored on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from fmcvqa.report.groups import Group

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Selection:
    """The best of several cells, scored with and without the advantage of being picked on the same videos.

    Attributes:
        cells: How many cells were compared.
        together: SROCC of the best cell over all videos, picked and scored on the same ones.
        apart: Mean SROCC where each round picks on resampled videos and scores on those left out.
        rounds: Number of rounds.
    """

    cells: int
    together: float
    apart: float
    rounds: int


def select_apart(predicted: FloatArray, mos: FloatArray, *, rounds: int = 200, seed: int = 0) -> Selection:
    """Pick the best cell on resampled videos and score it on the videos left out.

    Works on predictions of videos that were test videos, so nothing is fitted again. Method: Tsamardinos, Greasidou
    and Borboudakis, "Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation", 2018.

    Args:
        predicted: Each cell's prediction for each video, [cells, videos], finite.
        mos: MOS of the videos, [videos].
        rounds: How often to resample.
        seed: Seed of the resampling.
    """
    generator = np.random.default_rng(seed)
    videos = len(mos)
    apart = np.full(rounds, np.nan)
    for number in range(rounds):
        drawn = generator.integers(videos, size=videos)
        left = np.setdiff1d(np.arange(videos), drawn)
        if len(left) > 2:
            best = _best(_srocc(predicted[:, drawn], mos[drawn]))
            apart[number] = _srocc(predicted[best : best + 1, left], mos[left])[0]
    together = _srocc(predicted, mos)
    scored = apart[np.isfinite(apart)]
    mean = float(scored.mean()) if len(scored) else float("nan")
    return Selection(len(predicted), float(together[_best(together)]), mean, rounds)


def _best(scores: FloatArray) -> int:
    return int(np.argmax(np.nan_to_num(scores, nan=-2.0)))


def _srocc(predicted: FloatArray, mos: FloatArray) -> FloatArray:
    """Spearman's correlation of each row with the MOS, ties by mean rank; NaN for a constant row."""
    ranks = rankdata(predicted, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    other = rankdata(mos)
    other -= other.mean()
    scale = np.sqrt((ranks**2).sum(axis=1) * (other**2).sum())
    scores: FloatArray = np.divide(ranks @ other, scale, out=np.full(len(ranks), np.nan), where=scale > 0)
    return scores


def group_selection(group: Group) -> Selection | None:
    """`select_apart` over the cells of a table.

    Returns:
        None for a single cell, and where the cells were not tested on the same videos or a prediction is missing.
    """
    first = group.first
    if len(group.results) < 2 or any(set(result.ids) != set(first.ids) for result in group.results):
        return None
    position = [{name: i for i, name in enumerate(result.ids)} for result in group.results]
    predicted = np.stack(
        [
            result.predicted[[where[name] for name in first.ids]]
            for result, where in zip(group.results, position, strict=True)
        ]
    )
    return select_apart(predicted, first.mos) if np.isfinite(predicted).all() else None
