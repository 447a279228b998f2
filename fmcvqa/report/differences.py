"""Which cells of a table are below its best one by more than noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fmcvqa.regression.compare import compare
from fmcvqa.report.groups import Group
from fmcvqa.report.results import CellResult

LEVEL = 0.05


@dataclass(frozen=True)
class Differences:
    """Each cell against the best one.

    Attributes:
        lower: Whether the cell's SROCC is below the best's beyond noise, by the cell's key; without the best itself
            and cells that lack a score.
        pairs: How many pairs the correction is over.
    """

    lower: Mapping[str, bool]
    pairs: int

    @property
    def note(self) -> str:
        """Which test said what, in one sentence."""
        lower = sum(self.lower.values())
        return (
            f"Against the best, by SROCC: {lower} of {len(self.lower)} cells lower beyond noise, the others not told "
            f"apart from it (p < {LEVEL}, corrected resampled t-test of Nadeau and Bengio, Holm's correction over all "
            f"{self.pairs} pairs)."
        )


def from_best(group: Group) -> Differences | None:
    """Compare all cells of a group on the splits they share.

    Returns:
        None where there is nothing to compare: fewer than two splits, or fewer than two cells with all scores.

    Raises:
        FeatureError: If the cells were evaluated on different splits.
    """
    tested = {
        f"{result.cell.layers_text} {result.cell.kernel} {settings}".rstrip(): result
        for result, settings in zip(group.results, group.settings, strict=True)
        if np.isfinite(result.splits["srocc"]).all()
    }
    best = next((name for name, result in tested.items() if result is group.best), None)
    if len(tested) < 2 or best is None or len(group.best.splits["srocc"]) < 2:
        return None
    pairs = compare({name: _rows(result) for name, result in tested.items()})
    lower = {}
    for pair in pairs:
        if best in (pair.first, pair.second):
            other, ahead = (pair.second, pair.difference) if pair.first == best else (pair.first, -pair.difference)
            lower[tested[other].key] = ahead > 0 and pair.p_holm < LEVEL
    return Differences(lower, len(pairs))


def _rows(result: CellResult) -> list[dict[str, float]]:
    columns = ("split", "train", "test", "srocc")
    return [
        dict(zip(columns, row, strict=True)) for row in zip(*(result.splits[name] for name in columns), strict=True)
    ]
