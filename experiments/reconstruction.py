"""Fine-tuning on a reconstruction of TID2013's natural part, cross-validated over references.

The 24 Kodak photographs are cropped as TID2013's references were (exact offsets are known for six, the centre is taken
elsewhere), distorted by ``fmcvqa distort`` and labelled with TID2013's true MOS. It is a reconstruction: the images are
ours, the opinions were given on TID2013's own.

For each of three folds of eight references every recipe trains on twelve references; four more choose between recipes
(nested validation) and nothing else; the eight are only scored. ``image`` instead of ``reference`` draws images at
random with the same budget, the error of fine-tuning sets that share contents. Finished cells are kept in OUT/cells and
not run again; beside each lies its checkpoint, for ``degradations.py --finetuned``. Example:

    python experiments/reconstruction.py --data DATA --out outputs/reconstruction
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image
from scipy.stats import pearsonr, spearmanr
from sklearn.model_selection import GroupKFold, KFold

from fmcvqa import configs
from fmcvqa.data.distorted import DistortedSet
from fmcvqa.data.distortions import DISTORTIONS
from fmcvqa.data.imagenet import MEAN, STD
from fmcvqa.data.images import TID2013DataModule
from fmcvqa.data.labels import TID2013
from fmcvqa.data.photos import Crop
from fmcvqa.data.records import ImageRecord
from fmcvqa.files import write_atomic
from fmcvqa.models.iqa import IQARegressor
from fmcvqa.tasks.finetune import OF_MODEL, weight_averaging

OFFSETS = {  # top, left; found by matching TID2013's references with the photographs
    "kodim01": (126, 104),
    "kodim03": (44, 73),
    "kodim04": (206, 0),
    "kodim06": (43, 66),
    "kodim08": (4, 71),
    "kodim19": (255, 0),
}
WEIGHTS = "weights/squeezenet1_1_features_torchvision.pth"
RECIPES = ("strong", "ranked", "paper")
PRETRAINED, RANDOM = "squeezenet1_1", "inception_v3"


class Cell(NamedTuple):
    """What is trained: how images are split, ``training=``, and which network (the second starts at random)."""

    split: str
    recipe: str
    backbone: str

    def __str__(self) -> str:
        return "/".join(self)


CELLS = [
    *(Cell("reference", recipe, PRETRAINED) for recipe in RECIPES),
    Cell("image", "strong", PRETRAINED),
    Cell("reference", "strong", RANDOM),
]
FOLDS, CHOOSING = 3, 4  # of eight references each; references that choose between recipes
BUDGET = {"crop": 96, "resize": "null", "batch_size": 16, "num_workers": 0}  # the same for every recipe
SCORED = 192  # pixels of the central crop that is scored


def main() -> None:
    """Make the set, run the cells that are missing, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with kodak/, labels/tid2013/ and weights/")
    parser.add_argument("--out", type=Path, default=Path("outputs/reconstruction"))
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fold", type=int, choices=range(FOLDS), help="only this fold, no tables")
    parser.add_argument("--cell", choices=[str(cell) for cell in CELLS], help="only this one")
    options = parser.parse_args()
    torch.set_num_threads(1)
    records = reconstruction(options.data, options.out / "set")
    for fold in range(FOLDS) if options.fold is None else [options.fold]:
        for cell in CELLS if options.cell is None else [Cell(*options.cell.split("/"))]:
            path = path_of(options.out, cell, fold)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, json.dumps(run_cell(records, cell, fold, options), indent=1).encode())
    if options.fold is None and options.cell is None:
        print_tables(options)


def reconstruction(data: Path, root: Path) -> list[ImageRecord]:
    """The 2880 images with their labels, made if they are not there."""
    labels = data / "labels" / "tid2013" / "mos_with_names.txt"
    made = DistortedSet(data / "kodak", root, crop=Crop(offsets=OFFSETS), labels=labels)
    made.prepare()
    return TID2013(root, expected=len(made)).records()


def path_of(out: Path, cell: Cell, fold: int) -> Path:
    """The file of a finished cell; its checkpoint has the suffix .ckpt."""
    return out / "cells" / f"{'_'.join(cell)}_{fold}.json"


def folds(records: list[ImageRecord], split: str, fold: int, seed: int) -> tuple[list[int], list[int], list[int]]:
    """Indices that train, that choose between recipes, and that are scored."""
    groups = np.array([record.reference for record in records])
    if split == "image":  # the same numbers of images, drawn without regard to their content
        outer = list(KFold(FOLDS, shuffle=True, random_state=seed).split(groups))
        rest, scored = outer[fold]
        order = np.random.default_rng([seed, fold]).permutation(rest)
        count = CHOOSING * len(records) // len(set(groups))
        return order[count:].tolist(), order[:count].tolist(), scored.tolist()
    rest, scored = list(GroupKFold(FOLDS, shuffle=True, random_state=seed).split(groups, groups=groups))[fold]
    inside = sorted(set(groups[rest]))
    chosen = np.random.default_rng([seed, fold]).permutation(inside)[:CHOOSING]
    train = [i for i in rest if groups[i] not in chosen]
    choosing = [i for i in rest if groups[i] in chosen]
    assert not set(groups[scored]) & set(groups[rest]) and not set(groups[train]) & set(groups[choosing])
    return train, choosing, scored.tolist()


def run_cell(records: list[ImageRecord], cell: Cell, fold: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train one recipe on one fold; the predictions of the images that choose and of those that are scored."""
    started, cpu = time.monotonic(), time.process_time()
    train, choosing, scored = folds(records, cell.split, fold, options.seed)
    overrides = [f"training={cell.recipe}", *(f"training.{key}={value}" for key, value in BUDGET.items())]
    with initialize_config_dir(version_base="1.3", config_dir=str(configs.conf_dir())):
        training = OmegaConf.to_container(compose("finetune", overrides=overrides).training)
    assert isinstance(training, dict)
    averaging = weight_averaging(training.pop("ema"))
    training.pop("max_epochs")
    model = {key: training.pop(key) for key in OF_MODEL}
    lightning.seed_everything(options.seed, verbose=False)
    images = TID2013DataModule("", seed=options.seed, **training)
    images.train_records = [records[i] for i in train]
    weights = options.data / WEIGHTS if cell.backbone == PRETRAINED else "none"
    regressor = IQARegressor(cell.backbone, weights, options.seed, **model)
    trainer = lightning.Trainer(
        max_epochs=options.epochs,
        accelerator="cpu",
        callbacks=averaging,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(regressor, datamodule=images)
    trainer.save_checkpoint(path_of(options.out, cell, fold).with_suffix(".ckpt"), weights_only=True)
    regressor.eval()
    return {
        **cell._asdict(),
        "fold": fold,
        "seed": options.seed,
        "epochs": options.epochs,
        "training": {**training, **model},
        "choosing": predictions(regressor, [records[i] for i in choosing]),
        "scored": predictions(regressor, [records[i] for i in scored]),
        "train_references": sorted({records[i].reference for i in train}),
        "seconds": round(time.monotonic() - started),
        "cpu_seconds": round(time.process_time() - cpu),
    }


@torch.inference_mode()
def predictions(regressor: IQARegressor, records: list[ImageRecord]) -> list[tuple[str, float, float]]:
    """(id, MOS, predicted MOS) of the central crop of each image."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    rows = []
    for start in range(0, len(records), 16):
        batch = records[start : start + 16]
        crops = []
        for record in batch:
            with Image.open(record.path) as image:
                pixels = np.asarray(image.convert("RGB"))
            top, left = (pixels.shape[0] - SCORED) // 2, (pixels.shape[1] - SCORED) // 2
            crop = np.ascontiguousarray(pixels[top : top + SCORED, left : left + SCORED].transpose(2, 0, 1))
            crops.append((torch.from_numpy(crop).float() / 255 - mean) / std)
        rows += [(r.id, r.mos, float(p)) for r, p in zip(batch, regressor(torch.stack(crops)), strict=True)]
    return rows


def scores(rows: list[tuple[str, float, float]]) -> tuple[float, float]:
    """SROCC and PLCC (raw); NaN where all predictions are the same."""
    _, mos, predicted = zip(*rows, strict=True)
    if len(set(predicted)) == 1:
        return float("nan"), float("nan")
    return float(spearmanr(mos, predicted)[0]), float(pearsonr(mos, predicted)[0])


def print_tables(options: argparse.Namespace) -> None:
    """The tables of experiments/README.md, and result.json with every number in them."""
    cells = {
        cell: [json.loads(path_of(options.out, cell, fold).read_text()) for fold in range(FOLDS)] for cell in CELLS
    }
    result: dict[str, Any] = {"overall": {}, "by_type": {}, "nested": {}}
    print("### Held-out SROCC / PLCC on the reconstruction of TID2013's natural part\n")
    print("| split by | network | recipe | fold 1 | fold 2 | fold 3 | mean SROCC | mean PLCC |")
    print("|---|---|---|---|---|---|---|---|")
    for cell, runs in cells.items():
        each = [scores(run["scored"]) for run in runs]
        mean = np.mean(each, axis=0)
        result["overall"][str(cell)] = each
        told = " | ".join(f"{s:.3f} / {p:.3f}" for s, p in each)
        network = f"{cell.backbone}, {'pretrained' if cell.backbone == PRETRAINED else 'from random weights'}"
        print(f"| {cell.split} | {network} | {cell.recipe} | {told} | {mean[0]:.3f} | {mean[1]:.3f} |")
    nested = []
    for fold in range(FOLDS):
        inner = {
            recipe: scores(cells[Cell("reference", recipe, PRETRAINED)][fold]["choosing"])[0] for recipe in RECIPES
        }
        best = max(inner, key=lambda recipe: inner[recipe])
        nested.append(scores(cells[Cell("reference", best, PRETRAINED)][fold]["scored"]))
        result["nested"][fold] = {"inner": inner, "chosen": best, "scored": nested[-1]}
    mean = np.mean(nested, axis=0)
    told = " | ".join(f"{s:.3f} / {p:.3f} ({result['nested'][f]['chosen']})" for f, (s, p) in enumerate(nested))
    print(f"| reference | {PRETRAINED}, pretrained | by nested validation | {told} | {mean[0]:.3f} | {mean[1]:.3f} |")
    print("\n### Held-out SROCC / PLCC by distortion type on the reconstruction, mean over folds\n")
    print("| type | " + " | ".join(map(str, cells)) + " |")
    print("|---|" + "---|" * len(cells))
    for number, kind in DISTORTIONS.items():
        row = []
        for runs in cells.values():
            each = [scores([r for r in run["scored"] if r[0].split("_")[1] == f"{number:02d}"]) for run in runs]
            row.append(np.mean(each, axis=0).tolist())
        result["by_type"][number] = row
        print(f"| {number} {kind.name} | " + " | ".join(f"{s:.3f} / {p:.3f}" for s, p in row) + " |")
    result["cpu_seconds"] = sum(run["cpu_seconds"] for runs in cells.values() for run in runs)
    result["versions"] = {name: version(name) for name in ("torch", "torchvision", "lightning", "numpy", "pillow")}
    result["versions"]["python"] = platform.python_version()
    commit = subprocess.run(["git", "describe", "--always"], capture_output=True, text=True, check=False).stdout.strip()
    result |= {"commit": commit, "date": time.strftime("%Y-%m-%d"), "epochs": options.epochs, "seed": options.seed}
    told = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    print(
        f"\nseed {options.seed}, {options.epochs} epochs, {result['cpu_seconds']} CPU seconds, {told}, {result['date']}"
    )
    write_atomic(options.out / "result.json", json.dumps(result, indent=1).encode())


if __name__ == "__main__":
    main()
