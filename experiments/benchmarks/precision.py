"""What another precision of features does to scores: the same cells of two sweeps, side by side.

    P='data=synthetic_konvid1k tracker=none model=squeezenet1_1 model.weights=FILE recipe.resize=null recipe.crop=null'
    P="$P recipe.taps=[features.3,features.6,features.12] regressor.kernel=linear,rbf"
    P="$P features.layers=[features.3],[features.6],[features.12],[features.3,features.6]"
    fmcvqa sweep -m $P name=float32 recipe.precision=32-true
    fmcvqa sweep -m $P name=bf16 recipe.precision=bf16-mixed
    python experiments/benchmarks/precision.py outputs/float32 outputs/bf16

SROCC is over all videos, each with its mean prediction by the splits that tested it; ``difference`` is the second
sweep's minus the first's, ``between`` the rank correlation of their predictions. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from scipy.stats import spearmanr

from fmcvqa.report.results import CellResult, find_results


def cells(folder: Path) -> dict[str, CellResult]:
    """The results below a folder by layers and kernel."""
    return {f"{'+'.join(one.cell.layers)} {one.cell.kernel}": one for one in find_results(folder)}


def main() -> None:
    """Compare the cells that both sweeps have."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="folder of a sweep")
    parser.add_argument("second", type=Path, help="folder of the other")
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
    print(json.dumps({"benchmark": "precision", "cells": rows}))


if __name__ == "__main__":
    main()
