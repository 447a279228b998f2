"""What another precision of features does to scores: the same cells of two sweeps, side by side.

    P='data=synthetic_konvid1k data.videos=999 recipe=paper tracker=none model=squeezenet1_1 model.weights=FILE'
    P="$P recipe.taps=[features.3,features.6,features.12] regressor.kernel=linear,rbf"
    P="$P features.layers=[features.3],[features.6],[features.12],[features.3,features.6]"
    fmcvqa sweep -m $P name=float32 recipe.precision=32-true
    fmcvqa sweep -m $P name=bf16 recipe.precision=bf16-mixed
    python experiments/benchmarks/precision.py outputs/float32 outputs/bf16
    python experiments/benchmarks/precision.py outputs/float32 outputs/bf16 --stores STORE STORE

SROCC is over all videos, each with its mean prediction by the splits that tested it; ``difference`` is the second
sweep's minus the first's, ``between`` the rank correlation of their predictions. ``--stores`` names the folders that
their features lie in (``fmcvqa extract`` prints them), and adds, for each block, how large the differences of a column
are: their standard deviation over videos as a share of the column's own, at quantiles of the columns that are not
constant. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from machine import described
from scipy.stats import spearmanr

from fmcvqa.report.results import CellResult, find_results
from fmcvqa.sealed import read_sealed

QUANTILES = (0.5, 0.9, 0.99)


def cells(folder: Path) -> dict[str, CellResult]:
    """The results below a folder by layers and kernel.

    Raises:
        SystemExit: If two are of the same: the folder holds more than one sweep.
    """
    found: dict[str, CellResult] = {}
    for one in find_results(folder):
        name = f"{'+'.join(one.cell.layers)} {one.cell.kernel}"
        if name in found:
            raise SystemExit(f"{folder} holds {name} twice; try: the folder of one sweep, each named with name=")
        found[name] = one
    return found


def columns(store: Path) -> dict[str, np.ndarray]:
    """``[videos, columns]`` in float64 of each block of a store, rows by name of the video."""
    rows: dict[str, list[np.ndarray]] = {}
    for file in sorted(store.glob("*.safetensors")):
        for block, values in read_sealed(file)[0].items():
            rows.setdefault(block, []).append(values)
    return {block: np.stack(values).astype(np.float64) for block, values in rows.items()}


def noise(first: Path, second: Path) -> dict[str, list[float]]:
    """Quantiles over the columns of each block of the differences' share of the spread."""
    one, other = columns(first), columns(second)
    shares = {}
    for block in one.keys() & other.keys():
        varies = np.ptp(one[block], axis=0) > 0
        share = (other[block] - one[block]).std(0)[varies] / one[block].std(0)[varies]
        shares[block] = np.quantile(share, QUANTILES).tolist()
    return shares


def main() -> None:
    """Compare the cells that both sweeps have."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="folder of a sweep")
    parser.add_argument("second", type=Path, help="folder of the other")
    parser.add_argument("--stores", type=Path, nargs=2, metavar="FOLDER", help="of the features of each, in turn")
    options = parser.parse_args()
    first, second = cells(options.first), cells(options.second)
    rows = {}
    for name in sorted(first.keys() & second.keys()):
        one, other = first[name], second[name]
        if list(one.ids) != list(other.ids):
            parser.error(f"{name}: the two sweeps tested other videos")
        srocc, same = spearmanr(one.predicted, one.mos)[0], spearmanr(one.predicted, other.predicted)[0]
        change = spearmanr(other.predicted, other.mos)[0] - srocc
        rows[name] = {"srocc": float(srocc), "difference": float(change), "between": float(same)}
        print(f"{name:40s} SROCC {srocc:.4f}  difference {change:+.4f}  between {same:.4f}")
    shares = {}
    if options.stores:
        held = [{file.name for file in store.glob("*.safetensors")} for store in options.stores]
        if not held[0] or held[0] != held[1]:
            parser.error(f"the two stores hold {len(held[0])} and {len(held[1])} videos, not the same ones")
        shares = noise(*options.stores)
    for block, quantiles in sorted(shares.items()):
        print(f"{block:40s}", *(f"{q:.0%} of columns below {x:.4f}" for q, x in zip(QUANTILES, quantiles, strict=True)))
    ratio = {name: 1 + row["difference"] / row["srocc"] for name, row in rows.items()}
    found = {"ratio": ratio, "cells": rows, "columns": shares, "machine": described()}
    print(json.dumps({"benchmark": "precision", **found}))


if __name__ == "__main__":
    main()
