"""One cell on one split: search where the protocol asks for it, fit, predict, map."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fmcvqa.errors import FeatureError
from fmcvqa.regression.folds import FoldKernels
from fmcvqa.regression.primal import LandmarkKernels, fit_landmarks
from fmcvqa.regression.protocol_base import Protocol, Search
from fmcvqa.regression.scores import Logistic, fit_logistic, rmse
from fmcvqa.regression.splits import Split
from fmcvqa.regression.svr import Cell, FittedSVR, cell_kernel, fit_svr, resolve_gamma, squared_distances

Float64 = npt.NDArray[np.float64]
Kernels = FoldKernels | LandmarkKernels


@dataclass(frozen=True, eq=False)
class SplitTask:
    """One split's kernels, of the kind a cell's solver needs.

    Attributes:
        number: Of the split.
        kernels: Scaled by the split's training fold.
        inner: Scaled by each inner training fold of the search.
        search: What to search for, or None.
    """

    number: int
    kernels: Kernels
    inner: Sequence[Kernels]
    search: Search | None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one fit gave.

    Attributes:
        predicted: MOS of every video, training ones included, ``[N]``.
        mapped: The same through the logistic.
        chosen: What the search chose.
        digest: SHA-256 over everything that was fitted.
    """

    predicted: Float64
    mapped: Float64
    chosen: dict[str, Any]
    digest: str


def run_task(task: SplitTask, cell: Cell, mos: Float64, protocol: Protocol, tested: npt.NDArray[np.intp]) -> Outcome:
    """Fit a cell on a split and predict all videos.

    Args:
        task: The split.
        cell: The cell.
        mos: ``[N]``; only training rows are fitted on.
        protocol: Scaling of the MOS and place of the mapping.
        tested: Rows the mapping is fitted on if the protocol maps on the test fold.
    """
    train = task.kernels.fold.train
    chosen = cell if task.search is None else choose(task.search, task.inner, cell, mos, protocol.scale_mos)
    fitted, predicted = _fit(task.kernels, chosen, mos, protocol.scale_mos)
    rows = train if protocol.mapping == "train" else tested
    logistic = _logistic(mos[rows], predicted[rows], task.number)
    picked = {} if task.search is None else {"C": chosen.C, "epsilon": chosen.epsilon, "gamma": chosen.gamma}
    parts = [fitted.digest(), repr(picked)] + ([repr(logistic)] if protocol.mapping == "train" else [])
    digest = hashlib.sha256("".join(parts).encode()).hexdigest()
    return Outcome(predicted, logistic(predicted), picked, digest)


def _fit(kernels: Kernels, cell: Cell, mos: Float64, scale_mos: bool) -> tuple[FittedSVR, Float64]:
    """A cell fitted on the training fold, and the MOS it predicts for every video."""
    train = kernels.fold.train
    if isinstance(kernels, LandmarkKernels):
        gram = kernels.gram(cell.blocks)
        fitted = fit_landmarks(gram, kernels.rows, train, mos, cell, scale_mos=scale_mos)
        return fitted, fitted.in_mos(gram @ fitted.dual)
    kernel, _ = cell_kernel(kernels, cell)
    fitted = fit_svr(kernel, train, mos, cell, scale_mos=scale_mos)
    return fitted, fitted.predict(kernel)


def _logistic(mos: Float64, predicted: Float64, number: int) -> Logistic:
    try:
        return fit_logistic(mos, predicted)
    except FeatureError as error:
        raise FeatureError(f"the logistic of split {number} cannot be fitted: {error}") from error


def choose(search: Search, inner: Sequence[Kernels], cell: Cell, mos: Float64, scale_mos: bool) -> Cell:
    """The candidate with the smallest RMSE over the inner splits, the first of equals.

    Args:
        search: The grid and its inner splits.
        inner: Kernels scaled by each inner training fold.
        cell: The cell whose settings are searched.
        mos: ``[N]``; only rows of the inner splits are looked at.
        scale_mos: Standardise the MOS by each inner training fold.
    """
    candidates = search.candidates(cell)
    errors = np.zeros(len(candidates))
    for kernels, split in zip(inner, search.inner, strict=True):
        if isinstance(kernels, LandmarkKernels):
            found = [_fit(kernels, candidate, mos, scale_mos)[1][split.test] for candidate in candidates]
            errors += [rmse(mos[split.test], predicted) ** 2 for predicted in found]
        else:
            errors += _inner_errors(kernels, split, candidates, mos, scale_mos)
    return candidates[int(np.argmin(errors))]


def _inner_errors(
    kernels: FoldKernels, split: Split, candidates: Sequence[Cell], mos: Float64, scale_mos: bool
) -> Float64:
    """Mean squared error of each candidate; kernels are made once per gamma, on the rows of this split alone."""
    rows = np.concatenate([split.train, split.test])
    train, test = np.arange(len(split.train)), np.arange(len(split.train), len(rows))
    base = kernels.gram(candidates[0].blocks)[np.ix_(rows, rows)]
    if candidates[0].kernel == "rbf":
        base = squared_distances(base)
        moments = kernels.variance(candidates[0].blocks)
    kernel, gamma = base, None
    errors = np.empty(len(candidates))
    for i, candidate in enumerate(candidates):
        if candidate.kernel == "rbf" and candidate.gamma != gamma:
            gamma = candidate.gamma
            kernel = np.exp(-resolve_gamma(gamma, *moments) * base)
        fitted = fit_svr(kernel, train, mos[rows], candidate, scale_mos=scale_mos)
        errors[i] = rmse(mos[split.test], fitted.predict(kernel[test])) ** 2
    return errors
