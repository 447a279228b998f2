"""Evaluate cells under a protocol: every split fitted and scored, spread and intervals kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fmcvqa.errors import FeatureError
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.regression.fitting import Outcome, SplitTask, run_task
from fmcvqa.regression.intervals import ScoredSplit, bootstrap_ci95
from fmcvqa.regression.kernels import KernelBank
from fmcvqa.regression.plan import Plan, Range, make_plan, own_rows
from fmcvqa.regression.primal import LandmarkKernels, solver_of
from fmcvqa.regression.protocol_base import Protocol
from fmcvqa.regression.protocols import Cross
from fmcvqa.regression.scores import SCORES, all_scores, plcc
from fmcvqa.regression.splits import Split, splits_digest
from fmcvqa.regression.svr import Cell

Float64 = npt.NDArray[np.float64]
Tasks = dict[str, SplitTask]  # one split's, by solver


@dataclass(frozen=True)
class Evaluation:
    """What one cell scored.

    Attributes:
        cell: The cell, with the solver that was used.
        protocol: The protocol's name and settings, with the digest of its splits.
        scores: By score: median, mean, std (ddof 0) and ci95 over the splits; across datasets value and ci95.
        rows: One per split: its number, counts of videos, scores, and what a search chose.
        predictions: Per tested video its id, MOS, and mean prediction over the splits that tested it.
        fitted: Per split a SHA-256 over everything that was fitted; it cannot depend on a test row.
        splits: All splits, in row numbers of the training set's videos.
        tested: What each of ``rows`` tested, video by video.
    """

    cell: Cell
    protocol: dict[str, Any]
    scores: dict[str, dict[str, Any]]
    rows: list[dict[str, Any]]
    predictions: list[dict[str, Any]]
    fitted: list[str] = field(repr=False)
    splits: list[Split] = field(repr=False)
    tested: list[ScoredSplit] = field(repr=False)


def evaluate(
    features: FeatureMatrix,
    mos: npt.ArrayLike,
    cell: Cell,
    protocol: Protocol,
    bank: KernelBank | None = None,
    **options: Any,
) -> Evaluation:
    """Evaluate one cell; see :func:`evaluate_cells` for the arguments."""
    return evaluate_cells(features, mos, [cell], protocol, bank, **options)[0]


def evaluate_cells(
    features: FeatureMatrix,
    mos: npt.ArrayLike,
    cells: Sequence[Cell],
    protocol: Protocol,
    bank: KernelBank | None = None,
    *,
    target: tuple[FeatureMatrix, npt.ArrayLike] | None = None,
    groups: Sequence[Any] | None = None,
    mos_ranges: tuple[Range, Range] | None = None,
    resamples: int = 1000,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Evaluation]:
    """Evaluate many cells on the same splits; each fold's kernels are computed once for all of them.

    Args:
        features: The videos.
        mos: Their MOS, ``[videos]``.
        cells: The cells.
        protocol: The protocol.
        bank: Kernels of earlier evaluations of these very features to go on from, or None.
        target: The tested set and its MOS, for ``cross`` only.
        groups: One label per video of ``features``; videos that share one are never split up. The protocol's
            ``groups_file`` where None.
        mos_ranges: Rating ranges of ``features`` and ``target``. Where given, predictions across datasets are put
            on the target's range by the straight line between the ranges' ends; RMSE has no meaning without.
        resamples: Draws of the bootstrap.
        threads: Fit so many regressors at once; with one, every run gives the same bits.
        progress: Called with (done, all) after each fit.

    Raises:
        FeatureError: If MOS and features do not fit, videos are too few, or too many for a cell's solver, the same
            video is trained on and tested, or predictions are constant.
        ConfigError: If the protocol needs a target and there is none, or the other way round.
    """
    plan = make_plan(features, mos, protocol, bank, target, groups, mos_ranges)
    folds = [plan.fold(split.train, own_rows(plan, rows)) for split, rows in zip(plan.splits, plan.scored, strict=True)]
    searches = [protocol.search(split, i, plan.groups) for i, split in enumerate(plan.splits)]
    inner = [[plan.fold(part.train) for part in search.inner] if search else [] for search in searches]
    plan.bank.prepare(fold for outer, parts in zip(folds, inner, strict=True) for fold in [*parts, outer])
    cells = [replace(cell, solver=solver_of(cell, plan.bank)) for cell in cells]
    blocks = sorted({block for cell in cells if cell.solver == "dual" for block in cell.blocks})
    outcomes: list[list[Outcome]] = [[] for _ in cells]
    done, total = 0, len(cells) * len(folds)

    def tasks() -> Iterator[Tasks]:
        for i, (fold, search) in enumerate(zip(folds, searches, strict=True)):
            both: Tasks = {}
            if blocks:
                kernels = [plan.bank.fold(blocks, part) for part in (fold, *inner[i])]
                both["dual"] = SplitTask(i, kernels[0], kernels[1:], search)
            landmarks = [LandmarkKernels(plan.bank, part) for part in (fold, *inner[i])]
            both["primal"] = SplitTask(i, landmarks[0], landmarks[1:], search)
            yield both

    with ThreadPoolExecutor(threads) as pool:
        for results in _fitted(pool, threads, tasks(), cells, plan):
            for kept, outcome in zip(outcomes, results, strict=True):
                kept.append(outcome)
                done += 1
                if progress is not None:
                    progress(done, total)
    return [_summary(plan, cell, kept, resamples) for cell, kept in zip(cells, outcomes, strict=True)]


def _fitted(
    pool: ThreadPoolExecutor, threads: int, tasks: Iterator[Tasks], cells: Sequence[Cell], plan: Plan
) -> Iterator[list[Outcome]]:
    """Outcomes of each split's cells.

    Kernels are multiplied by all cores, a regressor is fitted by one: so as many fits as there are threads are
    waited for before the next split's kernels, and not run beside them.
    """

    def run(task: Tasks, cell: Cell) -> Outcome:
        mine = task[cell.solver]
        return run_task(mine, cell, plan.mos, plan.protocol, plan.scored[mine.number])

    waiting: deque[list[Future[Outcome]]] = deque()
    for task in tasks:
        waiting.append([pool.submit(run, task, cell) for cell in cells])
        if len(waiting) * len(cells) >= threads:
            yield [future.result() for future in waiting.popleft()]
    for split in waiting:
        yield [future.result() for future in split]


def _summary(plan: Plan, cell: Cell, outcomes: list[Outcome], resamples: int) -> Evaluation:
    cross = isinstance(plan.protocol, Cross)
    numbers = [_best_of(plan, outcomes)] if cross else list(range(len(outcomes)))
    tested = [_tested(plan, plan.scored[i], outcomes[i]) for i in numbers]
    rows = [_row(i, plan, outcomes[i], part) for i, part in zip(numbers, tested, strict=True)]
    first = len(plan.bank.features) if cross else 0
    local = [ScoredSplit(part.rows - first, part.mos, part.predicted, part.mapped) for part in tested]
    intervals = bootstrap_ci95(local, len(plan.ids) - first, resamples, plan.protocol.seed)
    described = plan.protocol.describe() | {"splits_sha256": splits_digest(plan.splits)}
    scores = {name: _score([row[name] for row in rows], intervals[name], cross) for name in SCORES}
    fitted = [outcomes[i].digest for i in numbers]
    return Evaluation(cell, described, scores, rows, _predictions(plan, tested), fitted, plan.splits, tested)


def _best_of(plan: Plan, outcomes: list[Outcome]) -> int:
    """The authors' choice of a fold: the one with the best PLCC on its own test fold, within the source."""
    if len(outcomes) == 1:
        return 0
    within = [plcc(plan.mos[s.test], o.predicted[s.test]) for s, o in zip(plan.splits, outcomes, strict=True)]
    return int(np.argmax(within))


def _tested(plan: Plan, rows: npt.NDArray[np.intp], outcome: Outcome) -> ScoredSplit:
    predicted, mapped = plan.to_target(outcome.predicted[rows]), outcome.mapped[rows]
    if plan.protocol.mapping == "train":  # a logistic fitted on the source speaks in the source's range
        mapped = plan.to_target(mapped)
    return ScoredSplit(rows, plan.mos[rows], predicted, mapped)


def _row(number: int, plan: Plan, outcome: Outcome, part: ScoredSplit) -> dict[str, Any]:
    try:
        scores = all_scores(part.mos, part.predicted, part.mapped)
    except FeatureError as error:
        raise FeatureError(f"split {number} cannot be scored: {error}") from error
    counts = {"split": number, "train": len(plan.splits[number].train), "test": len(part.rows)}
    return counts | scores | outcome.chosen


def _score(values: list[float], interval: tuple[float, float], cross: bool) -> dict[str, Any]:
    if cross:
        return {"value": values[0], "ci95": list(interval)}
    median, mean, std = float(np.median(values)), float(np.mean(values)), float(np.std(values))
    return {"median": median, "mean": mean, "std": std, "ci95": list(interval)}


def _predictions(plan: Plan, tested: list[ScoredSplit]) -> list[dict[str, Any]]:
    sums, counts = np.zeros(len(plan.ids)), np.zeros(len(plan.ids))
    for part in tested:
        sums[part.rows] += part.predicted
        counts[part.rows] += 1
    return [
        {"id": plan.ids[i], "mos": float(plan.mos[i]), "predicted": float(sums[i] / counts[i])}
        for i in np.flatnonzero(counts)
    ]
