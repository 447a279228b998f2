"""Rows of an ablation: what each changes, and what it gains on the row that it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fmcvqa.regression.compare import Comparison, compare
from fmcvqa.report.differences import LEVEL, split_rows
from fmcvqa.report.groups import REFERENCE, Group, own_settings
from fmcvqa.report.results import CellResult

# What is extracted beyond the cell's layers and pools, and how it is read, changes no score.
_UNSEEN = ("row", "recipe.taps", "features.shared")


@dataclass(frozen=True)
class Gains:
    """Each row against the row it is compared with.

    Attributes:
        tests: SROCC of the row minus that of its reference with its test, by the row's file; the correction is over all
            of them. Without references and rows that lack a score or a reference.
    """

    tests: Mapping[Path, Comparison]

    def verdict(self, result: CellResult) -> str:
        """``reference``, ``higher`` or ``lower`` beyond noise, ``not told apart`` or ``not tested``."""
        if result.path not in self.tests:
            return "reference" if result.row == REFERENCE else "not tested"
        test = self.tests[result.path]
        return "not told apart" if test.p_holm >= LEVEL else "higher" if test.difference > 0 else "lower"

    @property
    def note(self) -> str:
        """Which test said what."""
        beyond = [test.difference for test in self.tests.values() if test.p_holm < LEVEL]
        higher = sum(difference > 0 for difference in beyond)
        return (
            f"Against the row {REFERENCE} with the same kernel, by the mean difference in SROCC over the same splits: "
            f"{higher} of {len(self.tests)} rows higher and {len(beyond) - higher} lower beyond noise, the others not "
            f"told apart from it (p < {LEVEL}, corrected resampled t-test of Nadeau and Bengio, Holm's correction over "
            f"these {len(self.tests)} comparisons)."
        )


def from_reference(group: Group) -> Gains:
    """Compare the rows of an ablation, each with its reference, on the splits they share.

    Raises:
        FeatureError: If rows were evaluated on different splits.
    """
    names = {
        f"{name} {result.cell.layers_text} {result.cell.kernel}": result
        for result, name in zip(group.results, group.settings, strict=True)
        if np.isfinite(result.splits["srocc"]).all() and len(result.splits["srocc"]) > 1
    }
    found = {id(result): name for name, result in names.items()}
    pairs = [
        (name, found[id(reference)])
        for name, result in names.items()
        if (reference := group.reference(result)) is not None and reference is not result and id(reference) in found
    ]
    tests = compare({name: split_rows(result) for name, result in names.items()}, pairs=pairs) if pairs else []
    return Gains({names[test.first].path: test for test in tests})


def changes(result: CellResult, reference: CellResult | None) -> str:
    """The settings in which a row differs from its reference, apart from layers and pools; e.g. ``recipe.stride=5``."""
    if reference is None:
        return ""
    own, other = own_settings(result), own_settings(reference)
    return ", ".join(f"{key}={own[key]}" for key in own if key not in _UNSEEN and own[key] != other.get(key))
