"""How much accuracy a sketch of a Gram matrix keeps, on anybody's features.

    python experiments/benchmarks/sketches.py FEATURES.mat LABELS.csv --png sketches.png

Each video's features x, standardised over the set, stand for the channels of a feature map: the triangle of x x^T
(1,830 numbers for 60 features) stands for a Gram matrix, without an image network. It is evaluated as it is and after
two sketches that need no data and no memory of other videos: a Gaussian random projection, and a count sketch (each
number is added with a random sign to one of k places). Paper protocol, median SROCC and PLCC with the standard
deviation over the splits. Standardising sees every row, labels apart, as a sketch fixed before any split must; the
differences between rows of the table are what counts. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from machine import described

from fmcvqa.features.matrix import MATRIX_BLOCK, FeatureMatrix
from fmcvqa.features.matrixfile import read_matrix
from fmcvqa.regression.evaluate import evaluate
from fmcvqa.regression.protocols import Paper
from fmcvqa.regression.svr import Cell


def triangles(X: np.ndarray) -> np.ndarray:
    """The triangle of each row's outer product, ``[videos, c (c + 1) / 2]``."""
    Z = (X - X.mean(0)) / np.maximum(X.std(0), 1e-12)
    rows, columns = np.triu_indices(Z.shape[1])
    return Z[:, rows] * Z[:, columns]


def random_projection(G: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian: scalar products are kept within about sqrt(2 / k) of the lengths' product (Johnson, Lindenstrauss)."""
    return G @ rng.normal(size=(G.shape[1], k)) / np.sqrt(k)


def count_sketch(G: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Charikar, Chen and Farach-Colton: one addition a number instead of k."""
    place, sign = rng.integers(k, size=G.shape[1]), rng.choice([-1.0, 1.0], size=G.shape[1])
    sketch = np.zeros((k, len(G)))
    np.add.at(sketch, place, (G * sign).T)
    return sketch.T


SKETCHES = {"random projection": random_projection, "count sketch": count_sketch}


def scored(G: np.ndarray, mos: np.ndarray, kernel: str, protocol: Paper) -> dict[str, dict[str, float]]:
    """Scores of one cell over all splits."""
    matrix = FeatureMatrix([str(i) for i in range(len(G))], {MATRIX_BLOCK: G})
    cell = Cell(layers=("matrix",), pools=("all",), kernel=kernel)  # type: ignore[arg-type]
    return evaluate(matrix, mos, cell, protocol, resamples=100).scores


def main() -> None:
    """Evaluate the whole triangle and its sketches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, metavar="FEATURES")
    parser.add_argument("labels", type=Path, metavar="LABELS", help="a CSV with a column of MOS, rows as in FEATURES")
    parser.add_argument("--mos-column", default="mos")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128, 256, 512, 1024])
    parser.add_argument("--repeats", type=int, default=4, help="of shuffled 5-fold")
    parser.add_argument("--kernels", nargs="+", choices=["linear", "rbf"], default=["rbf", "linear"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--png", type=Path, help="plot it")
    options = parser.parse_args()
    header, *lines = options.labels.read_text().splitlines()
    column = header.replace('"', "").split(",").index(options.mos_column)
    mos = np.array([float(line.split(",")[column].strip('"')) for line in lines])
    X = read_matrix(options.features, nonfinite="zero").blocks[MATRIX_BLOCK].astype(np.float64)
    G, protocol = triangles(X), Paper(repeats=options.repeats, seed=options.seed)
    rng = np.random.default_rng(options.seed)
    rows = []
    for kernel in options.kernels:
        cases = [("none", G.shape[1], G)]
        cases += [(name, k, sketch(G, k, rng)) for name, sketch in SKETCHES.items() for k in options.sizes]
        for name, k, matrix in cases:
            scores = scored(matrix, mos, kernel, protocol)
            row = {"sketch": name, "kernel": kernel, "numbers": k}
            for score in ("srocc", "plcc"):
                row |= {score: round(scores[score]["median"], 4), f"{score}_std": round(scores[score]["std"], 4)}
            rows.append(row)
            text = f"{kernel:6s} {name:17s} {k:5d} numbers: SROCC {row['srocc']:.4f} (std {row['srocc_std']:.4f})"
            print(f"{text}, PLCC {row['plcc']:.4f}", flush=True)
    if options.png:
        plot(rows, options.png)
    whole = {row["kernel"]: row["srocc"] for row in rows if row["sketch"] == "none"}
    ratio = {f"{row['kernel']} {row['sketch']} {row['numbers']}": row["srocc"] / whole[row["kernel"]] for row in rows}
    found = {"ratio": ratio, "videos": len(G), "splits": 5 * options.repeats, "rows": rows, "machine": described()}
    print(json.dumps({"benchmark": "sketches", **found}))


def plot(rows: list[dict], picture: Path) -> None:
    """SROCC against the numbers kept."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    kernels = list(dict.fromkeys(row["kernel"] for row in rows))
    figure, grid = plt.subplots(1, len(kernels), figsize=(4 * len(kernels), 3), squeeze=False, layout="constrained")
    axes = grid[0]
    for axis, kernel in zip(axes, kernels, strict=True):
        own = [row for row in rows if row["kernel"] == kernel]
        for name, colour in (("random projection", "#0072B2"), ("count sketch", "#D55E00")):
            line = [row for row in own if row["sketch"] == name]
            axis.errorbar(
                [row["numbers"] for row in line],
                [row["srocc"] for row in line],
                yerr=[row["srocc_std"] for row in line],
                marker="o",
                color=colour,
                label=name,
                capsize=2,
            )
        axis.axhline(own[0]["srocc"], color="black", linestyle="--", label=f"all {own[0]['numbers']} numbers")
        axis.set(xscale="log", xlabel="numbers kept", title=kernel)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("median SROCC, std over splits")
    axes[-1].legend(frameon=False)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
