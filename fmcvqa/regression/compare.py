"""Which differences between cells are noise: the corrected resampled t-test over all pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from fmcvqa.errors import FeatureError


@dataclass(frozen=True)
class Comparison:
    """Two cells on the same splits.

    Attributes:
        first: Name of a cell.
        second: Name of another.
        difference: Mean of first minus second over the splits.
        t: Test statistic.
        p: Two-sided p-value of this pair alone.
        p_holm: The same after Holm's correction over all pairs that were compared.
    """

    first: str
    second: str
    difference: float
    t: float
    p: float
    p_holm: float


def corrected_t_test(differences: Sequence[float], test_over_train: float) -> tuple[float, float]:
    """Nadeau and Bengio's t-test of the mean difference over overlapping resamples.

    The variance is multiplied by (1/J + test/train) instead of 1/J, since training sets overlap; J - 1 degrees of
    freedom. With 100 splits of 5 folds that is 1/100 + 1/4.

    Args:
        differences: One per split.
        test_over_train: Ratio of tested to training videos.

    Returns:
        The statistic and its two-sided p-value; (0, 1) if all differences are 0.

    Raises:
        FeatureError: If there are fewer than 2.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        raise FeatureError(f"{len(values)} splits cannot be compared", advice="a paired test needs at least 2")
    mean, variance = float(values.mean()), float(values.var(ddof=1))
    if variance == 0:
        return (0.0, 1.0) if mean == 0 else (math.copysign(math.inf, mean), 0.0)
    t = mean / math.sqrt(variance * (1 / len(values) + test_over_train))
    return t, float(2 * stats.t.sf(abs(t), len(values) - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction, in the given order."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return [float(p) for p in corrected]


def compare(
    cells: Mapping[str, Sequence[Mapping[str, Any]]],
    score: str = "srocc",
    pairs: Sequence[tuple[str, str]] | None = None,
) -> list[Comparison]:
    """Compare pairs of cells that were evaluated on the same splits.

    Args:
        cells: The ``splits`` rows of each cell's result, by name.
        score: Which score.
        pairs: Names of the cells to compare; None for all pairs. The correction is over these.

    Raises:
        FeatureError: If the cells' splits differ.
    """
    shapes = {name: [(row["split"], row["train"], row["test"]) for row in rows] for name, rows in cells.items()}
    odd = [name for name, shape in shapes.items() if shape != next(iter(shapes.values()))]
    if odd:
        raise FeatureError(
            f"{', '.join(odd)} was not evaluated on the splits of {next(iter(cells))}",
            advice="compare cells of one protocol and seed",
        )
    pairs = list(combinations(cells, 2)) if pairs is None else pairs
    tests: list[tuple[float, float, float]] = []
    for first, second in pairs:
        rows = cells[first]
        ratio = sum(row["test"] for row in rows) / sum(row["train"] for row in rows)
        differences = [a[score] - b[score] for a, b in zip(rows, cells[second], strict=True)]
        tests.append((float(np.mean(differences)), *corrected_t_test(differences, ratio)))
    corrected = holm([p for _, _, p in tests])
    return [
        Comparison(first, second, difference, t, p, p_holm)
        for (first, second), (difference, t, p), p_holm in zip(pairs, tests, corrected, strict=True)
    ]
