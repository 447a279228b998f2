"""What is evaluated: all videos, the splits, and the training fold of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fmcvqa.errors import ConfigError, FeatureError
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.regression.folds import Fold
from fmcvqa.regression.kernels import KernelBank
from fmcvqa.regression.protocol_base import Protocol
from fmcvqa.regression.protocols import Cross
from fmcvqa.regression.splits import Split, refuse_copies

Float64 = npt.NDArray[np.float64]
Range = tuple[float, float]

_LARGEST_MOS = 1e9  # farther than any rating scale goes, and its squares are still numbers


@dataclass(frozen=True, eq=False)
class Plan:
    """All videos, tested ones of a target set last, and the folds to fit on.

    Attributes:
        protocol: The protocol.
        bank: Kernels of all videos.
        ids: One per video.
        mos: MOS per video, ``[N]``, those of the training set permuted where the protocol says so.
        groups: Labels of the training set's videos, or None.
        splits: Training and test rows.
        scored: Rows whose scores are reported, per split.
        to_target: Puts predictions on the target's range across datasets.
    """

    protocol: Protocol
    bank: KernelBank
    ids: list[str]
    mos: Float64
    groups: npt.NDArray[Any] | None
    splits: list[Split]
    scored: list[npt.NDArray[np.intp]]
    to_target: Callable[[Float64], Float64]

    def fold(self, train: npt.NDArray[np.intp], own: npt.NDArray[np.intp] | None = None) -> Fold:
        """The fold that is trained on these rows, scaled as the protocol says."""
        return Fold(train, self.protocol.feature_scaler, own)


def make_plan(
    features: FeatureMatrix,
    mos: npt.ArrayLike,
    protocol: Protocol,
    bank: KernelBank | None,
    target: tuple[FeatureMatrix, npt.ArrayLike] | None,
    groups: Sequence[Any] | None,
    mos_ranges: tuple[Range, Range] | None,
) -> Plan:
    """Check what :func:`evaluate_cells` was given, and draw the splits.

    Raises:
        FeatureError: If MOS and features do not fit, or the same video is trained on and tested.
        ConfigError: If the protocol needs a target and there is none, or the other way round.
    """
    if isinstance(protocol, Cross) != (target is not None):
        advice = "protocol=cross tests on a second set; every other protocol on the set itself"
        have = "no target set" if target is None else "a target set"
        raise ConfigError(f"protocol {protocol.name} was given {have}", advice=advice)
    other = None if target is None else target[0]
    if bank is not None and (bank.features is not features or bank.target is not other):
        raise ConfigError("the kernel bank belongs to other features", advice="make one for these features")
    bank = bank or KernelBank(features, target=other)
    own = protocol.training_mos(_check_mos(features, mos))
    labels = protocol.groups(features.ids, groups)
    splits = protocol.splits(features.ids, labels)
    refuse_copies(features, _check_mos(features, mos), splits)
    if target is None:
        scored = [split.test for split in splits]
        return Plan(protocol, bank, features.ids, own, labels, splits, scored, _line(None))
    whole, ids = np.concatenate([own, _check_mos(*target)]), features.ids + target[0].ids
    scored = [np.arange(len(features), bank.count)] * len(splits)
    return Plan(protocol, bank, ids, whole, labels, splits, scored, _line(mos_ranges))


def own_rows(plan: Plan, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp] | None:
    """Rows that are scaled by their own statistics: the target's where ``scaling=target``."""
    return rows if isinstance(plan.protocol, Cross) and plan.protocol.scaling == "target" else None


def _line(ranges: tuple[Range, Range] | None) -> Callable[[Float64], Float64]:
    if ranges is None:
        return lambda predicted: predicted
    (low, high), (low2, high2) = ranges
    return lambda predicted: low2 + (predicted - low) * (high2 - low2) / (high - low)


def _check_mos(features: FeatureMatrix, mos: npt.ArrayLike) -> Float64:
    values = np.asarray(mos, dtype=np.float64)
    if values.shape != (len(features),):
        raise FeatureError(f"there are {values.size} MOS for {len(features)} videos", advice="give one per video")
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        names = ", ".join(features.ids[i] for i in wrong[:10])
        raise FeatureError(f"{len(wrong)} of {len(values)} MOS are not finite numbers: {names}")
    far = np.flatnonzero(np.abs(values) > _LARGEST_MOS)
    if len(far):
        problem = f"the MOS of {features.ids[far[0]]} is {values[far[0]]:g}"
        raise FeatureError(problem, advice=f"give numbers between -{_LARGEST_MOS:g} and {_LARGEST_MOS:g}")
    return values
