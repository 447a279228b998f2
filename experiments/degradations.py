"""Do Gram features order degraded clips rightly, before and after fine-tuning, and better than plain baselines?

Sources are the genuine clean clips of the DATA folder and clips made by panning and zooming over the Kodak photographs,
called synthetic motion. ``fmcvqa degrade`` makes the set; its labels are an order, no MOS. Every source is left out
once: the regressor learns from all others, and the pairs of videos of that source, of one type and different
strength, are ordered by its predictions. No photograph that a fine-tuned network learned from becomes a clip: the cell
of ``reconstruction.py`` beside its checkpoint says which those are. Sharpness and bit rate need no training. The
source is the unit: means and standard deviations are over sources, and so few of them allow effects, no p-values.

Example:
    python experiments/degradations.py --data DATA --out outputs/degradations
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import time
from fractions import Fraction
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from scipy.stats import spearmanr
from sklearn.svm import SVR

from fmcvqa.data.decoding import make_decoder
from fmcvqa.data.degradations import CLEAN, Shape, degrade, recipe
from fmcvqa.data.degraded import LABELS, DegradedSet
from fmcvqa.data.photos import photographs
from fmcvqa.data.records import VideoRecord
from fmcvqa.features.extractor import PooledFeatures
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.features.streaming import extract_features
from fmcvqa.files import write_atomic
from fmcvqa.models.trunk import Trunk

GENUINE = (
    "clips/bikes.mp4",
    "clips/bt709_full_range.mp4",
    "clips/carphone_pristine.mp4",
    "clips/flipping_a_pancake.mkv",
    "clips/nasa_13013.mp4",
    "konvid1k_clips/3339962845.mp4",  # the one of the three whose MOS, 4.64, is that of a clean clip
)
WEIGHTS = "weights/squeezenet1_1_features_torchvision.pth"
TAPS = ("features.3", "features.4", "classifier.avgpool")
Rows = list[dict[str, str]]


def main() -> None:
    """Make the clips, extract, leave each source out once, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with clips/, konvid1k_clips/, kodak/, weights/"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/degradations"))
    parser.add_argument("--finetuned", type=Path, metavar="FILE", help="a reconstruction's .../cells/X.ckpt")
    parser.add_argument("--height", type=int, default=144)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--photos", type=int, default=8, help="clips of synthetic motion")
    parser.add_argument("--genuine", type=int, default=len(GENUINE), help="only the first so many genuine clips")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    genuine = [options.data / name for name in GENUINE[: options.genuine]]
    clips = genuine + synthetic_motion(options)
    made = DegradedSet(clips, options.out / "set", height=options.height, frames=options.frames, seed=options.seed)
    made.prepare()
    rows = [r for r in csv.DictReader((made.root / LABELS).open()) if r["type"] != CLEAN]
    predicted: dict[str, list[float]] = {"baseline: sharpness": sharpness(made.root, rows)}
    predicted["baseline: bit rate"] = [float((made.root / r["path"]).stat().st_size) for r in rows]
    networks = {"pretrained": options.data / WEIGHTS}
    if options.finetuned is not None:
        networks["fine-tuned"] = options.finetuned
    for network, weights in networks.items():
        for (tap, pool), block in features(made.root, rows, weights).items():
            for kernel in ("linear", "rbf"):
                predicted[f"{network}: {tap} {pool} {kernel}"] = left_out(block, rows, kernel)
    report(predicted, rows, {source.name for source in made.sources if source.path in genuine}, options)


def synthetic_motion(options: argparse.Namespace) -> list[Path]:
    """Clips of a camera that pans and zooms over photographs."""
    folder, shape = (
        options.out / "synthetic_motion",
        Shape(options.frames, (options.height, options.height * 3 // 2), Fraction(25)),
    )
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    seen = set() if options.finetuned is None else learned_from(options.finetuned)
    unseen = [p for k, p in enumerate(photographs(options.data / "kodak"), 1) if f"I{k:02d}" not in seen]
    for number, photo in enumerate(unseen[: options.photos]):
        paths.append(folder / f"motion-{photo.stem}.mp4")
        if paths[-1].exists():
            continue
        rng = np.random.default_rng([options.seed, number])
        with Image.open(photo) as opened:
            picture = opened.convert("RGB")
        start, stop = rng.uniform(0.6, 1.0, 2)  # share of the picture that is seen, first and last
        corners = rng.uniform(0, 1, (2, 2))
        frames = []
        for share in np.linspace(0, 1, shape.frames):
            wide = (start + (stop - start) * share) * min(picture.width, picture.height * 1.5)
            place = corners[0] + (corners[1] - corners[0]) * share
            x, y = place * (picture.width - wide, picture.height - wide / 1.5)
            size = (shape.size[1], shape.size[0])
            frames.append(np.asarray(picture.resize(size, Image.Resampling.LANCZOS, (x, y, x + wide, y + wide / 1.5))))
        write_atomic(paths[-1], degrade(frames, recipe(CLEAN, 0, shape, rng), shape, [options.seed]))
    return paths


def learned_from(checkpoint: Path) -> set[str]:
    """References (I01 to I24, the photographs in their order) that a cell of the reconstruction was trained on."""
    return set(json.loads(checkpoint.with_suffix(".json").read_text())["train_references"])


def sharpness(root: Path, rows: Rows) -> list[float]:
    """Mean over frames of the variance of the Laplacian of the luminance."""
    decoder, found = make_decoder("pyav"), []
    for row in rows:
        grey = (frame @ np.array([0.299, 0.587, 0.114]) for _, frame in decoder.frames(root / row["path"]))
        found.append(float(np.mean([ndimage.laplace(one).var() for one in grey])))
    return found


def features(root: Path, rows: Rows, weights: Path) -> dict[tuple[str, str], np.ndarray]:
    """The blocks ``{(tap, pool): [n, d]}`` of all videos, whatever pools there are."""
    made = FeatureRecipe(taps=TAPS, resize=None, crop=None)
    trunk = Trunk("squeezenet1_1", TAPS, weights)
    records = [VideoRecord(row["id"], root / row["path"], float(row["mos"])) for row in rows]
    found: dict[str, PooledFeatures] = {}
    extract_features(
        records, trunk, made, make_decoder("pyav"), done=lambda one: found.update({one.video_id: one}), num_workers=0
    )
    blocks = found[rows[0]["id"]].blocks
    return {block: np.stack([found[row["id"]].blocks[block] for row in rows]) for block in blocks}


def left_out(block: np.ndarray, rows: Rows, kernel: str) -> list[float]:
    """The prediction for every video by a regressor that never saw its source; scaled on the training rows."""
    groups, mos = np.array([row["group"] for row in rows]), np.array([float(row["mos"]) for row in rows])
    predicted = np.empty(len(rows))
    for source in np.unique(groups):
        test = groups == source
        assert not set(groups[~test]) & {source}
        mean, spread = block[~test].mean(axis=0), block[~test].std(axis=0)
        scaled = ((block - mean) / np.where(spread > 0, spread, 1)).astype(np.float32)
        gram = np.asarray(scaled @ scaled[~test].T, np.float64)
        if kernel == "rbf":  # gamma = 1 / d, which is scikit-learn's "scale" for standardised features
            squares = np.einsum("ij,ij->i", scaled, scaled, dtype=np.float64)
            gram = np.exp(-(squares[:, None] + squares[~test] - 2 * gram) / block.shape[1])
        target = (mos[~test] - mos[~test].mean()) / mos[~test].std()
        predicted[test] = SVR(kernel="precomputed").fit(gram[~test], target).predict(gram[test])
    return predicted.tolist()


def by_source(scores: list[float], rows: Rows) -> dict[str, tuple[float, float]]:
    """Share of pairs ordered rightly (a tie counts half), and the mean SROCC within a type, by source."""
    found: dict[str, list[tuple[float, float]]] = {}
    for group, kind in sorted({(row["group"], row["type"]) for row in rows}):
        there = [
            (float(r["mos"]), s) for r, s in zip(rows, scores, strict=True) if (r["group"], r["type"]) == (group, kind)
        ]
        right = [(np.sign(b[1] - a[1]) * np.sign(b[0] - a[0]) + 1) / 2 for a, b in combinations(there, 2)]
        rank = spearmanr(*zip(*there, strict=True))[0] if len({s for _, s in there}) > 1 else 0.0
        found.setdefault(group, []).append((float(np.mean(right)), float(rank)))
    return {group: (float(np.mean([r for r, _ in v])), float(np.mean([s for _, s in v]))) for group, v in found.items()}


def report(predicted: dict[str, list[float]], rows: Rows, genuine: set[str], options: argparse.Namespace) -> None:
    """The table, overall and by type, as Markdown and JSON."""
    kinds = list(dict.fromkeys(row["type"] for row in rows))
    result: dict[str, Any] = {"by_source": {}, "by_type": {}, "gain": {}}
    lines = ["### Pairs ordered rightly on degraded clips: a stand-in, genuine clips and synthetic motion\n"]
    lines += [
        "| features | genuine: pairs (std), SROCC (std) | synthetic motion: the same | " + " | ".join(kinds) + " |"
    ]
    lines += ["|---|---|---|" + "---|" * len(kinds)]
    for name, scores in predicted.items():
        each = by_source(scores, rows)
        parts = []
        for chosen in (sorted(genuine), sorted(set(each) - genuine)):
            if not chosen:
                parts.append("-")
                continue
            values = np.array([each[source] for source in chosen])
            spread = values.std(axis=0, ddof=1) if len(chosen) > 1 else np.full(2, np.nan)
            told = [f"{mean:.3f} ({std:.3f})" for mean, std in zip(values.mean(axis=0), spread, strict=True)]
            parts.append(", ".join(told))
        kind_shares = []
        for kind in kinds:
            held = [place for place, row in enumerate(rows) if row["type"] == kind]
            shares = by_source([scores[place] for place in held], [rows[place] for place in held])
            kind_shares.append(float(np.mean([share for share, _ in shares.values()])))
        result["by_source"][name], result["by_type"][name] = each, dict(zip(kinds, kind_shares, strict=True))
        lines.append(f"| {name} | {' | '.join(parts)} | " + " | ".join(f"{share:.2f}" for share in kind_shares) + " |")
    sources = sorted({row["group"] for row in rows})
    for name in predicted:
        before = name.replace("fine-tuned", "pretrained")
        if name.startswith("fine-tuned"):
            gain = np.array([result["by_source"][name][s][0] - result["by_source"][before][s][0] for s in sources])
            result["gain"][name] = {"mean": float(gain.mean()), "std": float(gain.std(ddof=1))}
            lines.append(f"\n{name} against pretrained: {gain.mean():+.3f} of the pairs (std {gain.std(ddof=1):.3f})")
    libraries = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "av")
    result["versions"] = {"python": platform.python_version()} | {name: version(name) for name in libraries}
    result |= {"seed": options.seed, "date": time.strftime("%Y-%m-%d"), "height": options.height}
    result |= {"frames": options.frames, "sources": {"genuine": len(genuine), "all": len(sources)}}
    told = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    lines.append(
        f"\n{len(genuine)} genuine sources, {len(sources) - len(genuine)} of synthetic motion; "
        f"{options.frames} frames of {options.height} lines; seed {options.seed}; {told}; {result['date']}"
    )
    print("\n".join(lines))
    write_atomic(options.out / "table.md", ("\n".join(lines) + "\n").encode())
    write_atomic(options.out / "result.json", json.dumps(result, indent=1).encode())


if __name__ == "__main__":
    main()
