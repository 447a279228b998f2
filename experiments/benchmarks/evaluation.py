"""How much faster a table is evaluated than by plain scikit-learn, and how far the predictions differ.

    python experiments/benchmarks/evaluation.py                                    # a minute
    python experiments/benchmarks/evaluation.py --videos 1200 --features 153120    # the paper's size, plain scaled up
    python experiments/benchmarks/evaluation.py --costs costs.png                  # cost against each size

Plain is ``make_pipeline(StandardScaler(), SVR(...))`` in float64 on the same splits in the same process. Each of the
14 cells is run on ``--plain-splits`` of the splits and its time scaled to all; ours runs on all of them, scores and
intervals included. ``ratio.table`` is plain's 14 cells over ours; a cell's own ratio is its plain time over a
fourteenth of ours, or with ``--alone`` over its time without the others.

Features are of rank 40 plus as much noise, from a seed. How long the solver itself takes is the same for both and
depends on the data: where a linear cell has fewer columns than videos, as every cell has at small ``--features``, or
far less noise, it takes most of the time and the ratio is smaller. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
from machine import described
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.regression.evaluate import evaluate_cells
from fmcvqa.regression.folds import Fold
from fmcvqa.regression.kernels import KernelBank
from fmcvqa.regression.protocols import Paper
from fmcvqa.regression.svr import Cell, all_cells, cell_kernel, fit_svr

WIDTHS = {"avgpool": 2048, "Mixed_5b": 32896, "Mixed_5c": 41616}
RANK = 40


def generate(videos: int, features: int, seed: int) -> tuple[FeatureMatrix, np.ndarray]:
    """Features of rank 40 plus noise in the paper's six blocks, scaled to this many columns in all; and MOS."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(videos, RANK)).astype(np.float32)
    blocks = {}
    for layer, width in WIDTHS.items():
        columns = max(2, round(width * features / (2 * sum(WIDTHS.values()))))
        for pool in ("mean", "max"):
            block = rng.standard_normal((videos, columns), dtype=np.float32)
            block += hidden @ rng.standard_normal((RANK, columns), dtype=np.float32) / np.float32(np.sqrt(RANK))
            blocks[layer, pool] = block
    mos = hidden @ rng.normal(size=RANK) / np.sqrt(RANK) + 0.5 * rng.normal(size=videos)
    return FeatureMatrix([str(i) for i in range(videos)], blocks), mos.astype(np.float64)


def plain(features: FeatureMatrix, mos: np.ndarray, cell: Cell, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Predictions of the test rows by scikit-learn alone."""
    X = np.concatenate([features.blocks[block] for block in cell.blocks], axis=1).astype(np.float64)
    y = StandardScaler().fit(mos[train, None])
    model = make_pipeline(StandardScaler(), SVR(kernel=cell.kernel, C=cell.C, epsilon=cell.epsilon, gamma=cell.gamma))
    model.fit(X[train], y.transform(mos[train, None])[:, 0])
    return model.predict(X[test]) * y.scale_[0] + y.mean_[0]


def ours_alone(features: FeatureMatrix, mos: np.ndarray, cell: Cell, protocol: Paper) -> float:
    """Seconds for one cell of the table with no other to share work with."""
    start = time.perf_counter()
    evaluate_cells(features, mos, [cell], protocol)
    return time.perf_counter() - start


COSTS = {  # what is varied, and what is held meanwhile
    "videos": [100, 200, 400, 800],
    "features": [15312, 30624, 61248, 122496],
    "cells": [2, 6, 10, 14],
    "splits": [5, 10, 20, 40],
}
HELD = {"videos": 200, "features": 61248, "cells": 14, "splits": 10}


def seconds_of(videos: int, features: int, cells: int, splits: int, threads: int, seed: int) -> float:
    """Seconds of a table of this size."""
    matrix, mos = generate(videos, features, seed)
    start = time.perf_counter()
    chosen = all_cells(list(WIDTHS))[-cells:]  # from the end, so that the widest cells are always among them
    evaluate_cells(matrix, mos, chosen, Paper(repeats=splits // 5, seed=seed), threads=threads)
    return time.perf_counter() - start


def costs(picture: Path, threads: int, seed: int) -> dict[str, object]:
    """Vary each size with the others held, and plot seconds against it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator

    seconds_of(**HELD, threads=threads, seed=seed)  # what only the first one pays
    found = {
        name: [seconds_of(**HELD | {name: value}, threads=threads, seed=seed) for value in values]
        for name, values in COSTS.items()
    }
    figure, axes = plt.subplots(1, 4, figsize=(12, 3), sharey=True, layout="constrained")
    for axis, (name, values) in zip(axes, COSTS.items(), strict=True):
        axis.loglog(values, found[name], "o-", color="#0072B2")
        axis.set_xlabel(name)
        axis.set_xticks(values, [str(value) for value in values])
        axis.minorticks_off()
        held = ", ".join(f"{value} {other}" for other, value in HELD.items() if other != name)
        axis.set_title(held, fontsize=7)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("seconds")
    axes[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[0].yaxis.set_major_formatter("{x:g}")
    figure.savefig(picture, dpi=150)
    return {"sizes": COSTS, "held": HELD, "seconds": {k: [round(s, 3) for s in v] for k, v in found.items()}}


def main() -> None:
    """Time both and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=200)
    parser.add_argument("--features", type=int, default=15312, help="columns of all six blocks together")
    parser.add_argument("--splits", type=int, default=100, help="a multiple of 5")
    parser.add_argument("--plain-splits", type=int, default=1, help="splits plain scikit-learn is timed on")
    parser.add_argument("--precision", choices=["float32", "float64"], default="float32")
    parser.add_argument("--threads", type=int, default=1, help="fits at once")
    parser.add_argument("--alone", action="store_true", help="time each cell alone too: what a single job costs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--costs", type=Path, metavar="PNG", help="measure cost against each size instead, and plot")
    options = parser.parse_args()
    if options.costs:
        measured = costs(options.costs, options.threads, options.seed)
        print(json.dumps({"benchmark": "evaluation costs", **measured, "machine": described()}))
        return
    features, mos = generate(options.videos, options.features, options.seed)
    protocol, cells = Paper(repeats=options.splits // 5, seed=options.seed), all_cells(list(WIDTHS))
    splits = protocol.splits(features.ids)

    start = time.perf_counter()
    bank = KernelBank(features, precision=options.precision, cache_bytes=0)
    evaluate_cells(features, mos, cells, protocol, bank, threads=options.threads)
    ours = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"ours: {len(cells)} cells x {len(splits)} splits in {ours:.1f} s, peak {peak:.2f} GiB", flush=True)

    seconds, worst = {}, 0.0
    for cell in cells:
        name = f"{'+'.join(cell.layers)} {cell.kernel}"
        spent = 0.0
        for split in splits[: options.plain_splits]:
            start = time.perf_counter()
            expected = plain(features, mos, cell, split.train, split.test)
            spent += time.perf_counter() - start
            kernel, _ = cell_kernel(bank.fold(cell.blocks, Fold(split.train)), cell)
            found = fit_svr(kernel, split.train, mos, cell).predict(kernel)[split.test]
            worst = max(worst, float(np.abs(found - expected).max() / mos.std()))
        seconds[name] = spent * len(splits) / options.plain_splits
        print(f"plain: {name} {seconds[name]:.1f} s, largest difference so far {worst:.1e}", flush=True)
    ratios = {"table": sum(seconds.values()) / ours}
    if options.alone:
        for cell, (name, spent) in zip(cells, seconds.items(), strict=True):
            ratios[name] = spent / ours_alone(features, mos, cell, protocol)
    else:
        ratios |= {name: spent / (ours / len(cells)) for name, spent in seconds.items()}
    result = {
        "benchmark": "evaluation",
        "options": {name: value for name, value in vars(options).items() if name != "costs"},
        "ratio": {name: round(ratio, 2) for name, ratio in ratios.items()},
        "max_abs_diff": worst,
        "seconds": {"ours": ours, "plain": sum(seconds.values()), "plain_measured_splits": options.plain_splits},
        "peak_gib": peak,
        "machine": described(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
