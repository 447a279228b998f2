"""What can make a score say too much, looked for in anybody's features and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fmcvqa.errors import FeatureError
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.regression.evaluate import Evaluation, evaluate
from fmcvqa.regression.guards import lone_video_gate, metamorphic_gate, permuted_label_control
from fmcvqa.regression.kernels import KernelBank
from fmcvqa.regression.protocol_base import FEWEST_VIDEOS, Protocol
from fmcvqa.regression.svr import Cell

Float64 = npt.NDArray[np.float64]
Finding = Literal["ok", "note", "FAILED", "not run"]
_NAMED = 5
_TOO_GOOD = 0.99  # no feature of a video ranks a set as its own MOS does


@dataclass(frozen=True)
class Verdict:
    """What one check found.

    Attributes:
        check: What was looked for.
        finding: ``ok``; ``note`` of what is odd and harmless; ``FAILED``; or ``not run`` because of an earlier failure.
        detail: The numbers, or what is wrong and what to do.
    """

    check: str
    finding: Finding
    detail: str


def audit(
    features: FeatureMatrix,
    mos: npt.ArrayLike,
    cell: Cell,
    protocol: Protocol,
    *,
    groups: Sequence[Any] | None = None,
    permutations: int = 20,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Verdict]:
    """Check a set, and what this package does with it, for what makes a score say too much.

    Args:
        features: The videos.
        mos: Their MOS, ``[videos]``.
        cell: Regressor the gates are run with.
        protocol: Splits and scaling the gates are run with.
        groups: One label per video; videos that share one are never split up.
        permutations: Of the labels, for the control.
        progress: Told what is being checked.

    Yields:
        One verdict per check.
    """
    y = np.asarray(mos, np.float64)
    checks = [_labels(y), _few(len(features)), _constants(features), _copies(features, groups), _answers(features, y)]
    yield from checks
    if any(verdict.finding == "FAILED" for verdict in checks[:2]):
        yield from (Verdict(name, "not run", "the labels have to be mended first") for name in _GATES)
        return
    groups = groups if groups is not None else _groups(features)
    bank = KernelBank(features)

    def run(X: FeatureMatrix, labels: Float64, **changes: Any) -> Evaluation:
        used = bank if X is features else None
        return evaluate(X, labels, cell, replace(protocol, **changes), used, groups=groups, resamples=2)

    def gate() -> str:
        tested = [split.test for split in run(features, y).splits]
        metamorphic_gate(run, features, y, tested)
        return f"{len(tested)} splits: scrambled test rows change no bit of what is fitted"

    def lone() -> str:
        lone_video_gate(run, features, y, run(features, y).splits[0].test)
        return "a video's score is the same whatever else is tested"

    def control() -> str:
        mean, bound = permuted_label_control(
            lambda number: run(features, y, permute_labels=True, permutation=number), permutations
        )
        return f"{permutations} permutations: mean SROCC {mean:+.3f}, within 3 standard errors ({bound:.3f}) of 0"

    for name, check in zip(_GATES, (gate, lone, control), strict=True):
        progress(name)
        yield _verdict(name, check)


_GATES = ("test rows in fitting", "test rows among each other", "permuted labels")


def _verdict(name: str, check: Callable[[], str]) -> Verdict:
    try:
        return Verdict(name, "ok", check())
    except FeatureError as error:
        return Verdict(name, "FAILED", str(error))


def _labels(mos: Float64) -> Verdict:
    bad = np.flatnonzero(~np.isfinite(mos))
    if len(bad):
        rows = ", ".join(map(str, bad[:_NAMED]))
        return Verdict(
            "labels", "FAILED", f"{len(bad)} MOS are not finite numbers: rows {rows}; leave those videos out"
        )
    if len(mos) and np.ptp(mos) == 0:
        return Verdict("labels", "FAILED", f"every MOS is {mos[0]:g}: nothing can be learnt from a constant")
    span = f"{mos.min():g} to {mos.max():g}" if len(mos) else "none"
    return Verdict("labels", "ok", f"{len(mos)} MOS, {span}, {len(np.unique(mos))} distinct")


def _few(videos: int) -> Verdict:
    if videos < FEWEST_VIDEOS:
        return Verdict("number of videos", "FAILED", f"{videos} videos; give {FEWEST_VIDEOS} or more")
    return Verdict("number of videos", "ok", str(videos))


def _constants(features: FeatureMatrix) -> Verdict:
    found = {key: int((np.ptp(block, axis=0) == 0).sum()) for key, block in features.blocks.items()}
    count = sum(found.values())
    if count == features.columns:
        return Verdict("constant columns", "FAILED", f"all {count} columns are constant: every prediction would be too")
    detail = f"{count} of {features.columns} columns"
    return Verdict("constant columns", "note" if count else "ok", detail + ("; they change no score" if count else ""))


def _groups(features: FeatureMatrix) -> list[int] | None:
    """Rows with equal features as groups, or None if there are none."""
    first: dict[bytes, int] = {}
    groups = []
    for row in range(len(features)):
        content = b"".join(np.ascontiguousarray(block[row]).tobytes() for block in features.blocks.values())
        groups.append(first.setdefault(content, row))
    return groups if len(first) < len(groups) else None


def _copies(features: FeatureMatrix, groups: Sequence[Any] | None) -> Verdict:
    same = _groups(features)
    if same is None:
        return Verdict("copies", "ok", "no two videos have equal features")
    pairs = [(one, other) for other, one in enumerate(same) if one != other]
    apart = [pair for pair in pairs if groups is None or groups[pair[0]] != groups[pair[1]]]
    named = ", ".join(f"{features.ids[one]} = {features.ids[other]}" for one, other in (apart or pairs)[:_NAMED])
    more = f" and {len(apart) - _NAMED} more" if len(apart) > _NAMED else ""
    if apart:
        advice = "folds would train on a video and test it: leave the copies out, or give a file of groups"
        return Verdict("copies", "FAILED", f"{named}{more} have equal features; {advice}")
    return Verdict("copies", "note", f"{named} have equal features, and are in one group")


def _answers(features: FeatureMatrix, mos: Float64) -> Verdict:
    """A column that ranks the videos as the MOS does was made from it."""
    name = "labels among features"
    if not np.isfinite(mos).all() or len(mos) < 3:
        return Verdict(name, "not run", "the labels have to be mended first")
    ranks = _standard(np.argsort(np.argsort(mos)).astype(np.float64)[:, None])[:, 0]
    for (tap, pool), block in features.blocks.items():
        order = np.argsort(np.argsort(block, axis=0), axis=0).astype(np.float64)
        order[:, np.ptp(block, axis=0) == 0] = 0
        strength = np.abs(_standard(order).T @ ranks) / len(mos)
        if strength.max() > _TOO_GOOD:
            column = int(strength.argmax())
            said = f"column {column} of {tap}/{pool} ranks the videos as their MOS does ({strength.max():.3f})"
            return Verdict(name, "FAILED", f"{said}: was it made from the labels?")
    return Verdict(name, "ok", "no column ranks the videos as their MOS does")


def _standard(columns: Float64) -> Float64:
    spread = columns.std(axis=0)
    return np.asarray((columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1), np.float64)
