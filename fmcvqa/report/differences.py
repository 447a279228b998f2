"""Which cells of a table are below its best one by more than noise."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np

from fmcvqa.regression.compare import Comparison, compare
from fmcvqa.report.groups import Group
from fmcvqa.report.results import CellResult

LEVEL = 0.05


@dataclass(frozen=True)
class Differences:
    """Each cell against the best one.

    Attributes:
        lower: Whether the cell's SROCC is below the best's beyond noise, by the cell's key; without the best itself
            and cells that lack a score.
        pairs: Every pair of cells with its test; the correction is over all of them.
    """

    lower: Mapping[str, bool]
    pairs: Sequence[Comparison]

    @property
    def note(self) -> str:
        """Which test said what, in one sentence."""
        lower = sum(self.lower.values())
        return (
            f"Against the best, by SROCC: {lower} of {len(self.lower)} cells lower beyond noise, the others not told "
            f"apart from it (p < {LEVEL}, corrected resampled t-test of Nadeau and Bengio, Holm's correction over all "
            f"{len(self.pairs)} pairs)."
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
    pairs = compare({name: split_rows(result) for name, result in tested.items()})
    lower = {}
    for pair in pairs:
        if best in (pair.first, pair.second):
            other, ahead = (pair.second, pair.difference) if pair.first == best else (pair.first, -pair.difference)
            lower[tested[other].key] = ahead > 0 and pair.p_holm < LEVEL
    return Differences(lower, pairs)


def differences_csv(differences: Differences) -> str:
    """All pairs of cells as CSV, with the fields of :class:`~fmcvqa.regression.compare.Comparison` as columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Comparison)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(pair) for pair in differences.pairs)
    return text.getvalue()


def split_rows(result: CellResult) -> list[dict[str, float]]:
    """What the test needs of a result's splits."""
    columns = ("split", "train", "test", "srocc")
    return [
        dict(zip(columns, row, strict=True)) for row in zip(*(result.splits[name] for name in columns), strict=True)
    ]
