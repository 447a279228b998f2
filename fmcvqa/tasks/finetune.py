"""``fmcvqa finetune``: fine-tune a backbone on image quality (paper, section III.A)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import platform
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from fmcvqa import __version__
from fmcvqa.data.images import TID2013DataModule
from fmcvqa.errors import ConfigError
from fmcvqa.files import write_atomic
from fmcvqa.models.backbones import backbone_spec, bare_network
from fmcvqa.models.iqa import IQARegressor
from fmcvqa.models.smallest import smallest_side
from fmcvqa.tasks.history import History, TrackerLogger
from fmcvqa.tasks.job import job_folder, plain_config
from fmcvqa.tasks.ranks import one_job
from fmcvqa.tasks.redaction import recorded
from fmcvqa.tasks.resume import Resumable, WholeCheckpoints
from fmcvqa.tasks.settings import build, check, trainer_of
from fmcvqa.tracking import NoTracker, Tracker
from fmcvqa.trainer import listed, make_trainer, quiet, refusals_told

log = logging.getLogger(__name__)

OF_MODEL = (
    *("head_hidden", "optimizer", "lr", "momentum", "weight_decay", "schedule", "mos_range"),
    *("backbone_lr", "correlation_weight", "rank_weight"),
)
_PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "numpy")


def run(cfg: DictConfig) -> float:
    """Fine-tune, keep the best epoch's checkpoint and write ``result.json``; gives the best validation SROCC.

    Everything lies in the run's folder: ``best.ckpt``, ``last.ckpt`` (give it as ``ckpt_path=`` to go on), ``logs/``
    with the history as CSV, and ``result.json``.

    Raises:
        DatasetError: If the dataset is not complete; nothing was started.
        WeightsError: If the start weights cannot be had.
        ConfigError: If a setting is wrong or nothing was validated.
    """
    config = plain_config(cfg)
    folder = job_folder()
    _check(config)
    asked, dataset = trainer_of(cfg.trainer), build(cfg.data)
    training = dict(config["training"])
    resume = _start(config["ckpt_path"], folder)
    max_epochs, averaging = training.pop("max_epochs"), weight_averaging(training.pop("ema"))
    model = {key: training.pop(key) for key in OF_MODEL}
    images = TID2013DataModule(dataset, seed=config["seed"], **training)
    images.setup()  # the dataset is checked before anything is downloaded
    lightning.seed_everything(config["seed"], workers=True, verbose=False)
    start = config["model"]
    regressor = IQARegressor(start["name"], start["weights"], start["seed"], **model)
    history = History()
    checkpoint, last = _checkpoints(folder)
    resumable = Resumable(folder / "last.ckpt", config["seed"], config["checkpoint_steps"])
    with _tracker(cfg, config, folder, dataset.name) as tracker:
        callbacks, plugins, loggers = (listed(asked.keywords.get(name)) for name in ("callbacks", "plugins", "logger"))
        trainer = make_trainer(
            asked,
            max_epochs=max_epochs,
            callbacks=[*callbacks, *averaging, resumable, history, checkpoint, last],
            plugins=[*plugins, WholeCheckpoints(resume)],
            logger=[CSVLogger(folder, name="logs"), TrackerLogger(tracker), *loggers],
            default_root_dir=str(folder),
            enable_progress_bar=bool(cfg.trainer.enable_progress_bar) and sys.stderr.isatty(),
        )
        _fit(trainer, regressor, images, resume)
        best = history.best()
        tracker.summary({f"best/{name}": value for name, value in best.items()})
    if trainer.is_global_zero:
        result = {
            "name": config["name"],
            "kind": "finetune",
            "dataset": _dataset(dataset, images),
            "split": _split(images),
            "scores": {name: {"value": best[name]} for name in ("srocc", "plcc")},
            "best_epoch": best["epoch"],
            "epochs": [_finite(epoch) for epoch in history.epochs],
            "checkpoint": checkpoint.best_model_path or None,
            "config": recorded(cfg),
            "key": _key(config),
            "versions": _versions(),
        }
        write_atomic(folder / "result.json", json.dumps(result, indent=1, allow_nan=False).encode())
        print(_sentence(result))
    resumable.end_if_asked()
    return float(best["srocc"])


def _check(config: dict[str, Any]) -> None:
    training, ours = config["training"], ("dataset", "seed", "backbone", "weights")
    check("training", training, TID2013DataModule, IQARegressor, apart=ours, max_epochs=int, ema=float | None)
    check("model", config["model"], name=str, weights=str, seed=int)
    numbers = {name: config[name] for name in ("seed", "checkpoint_steps")}
    numbers["training.max_epochs"] = training["max_epochs"]  # -1 is for ever, to Lightning; schedules have an end
    for name, value in numbers.items():
        if not 0 <= value < 2**32:
            raise ConfigError(f"{name} is {value}", advice="a whole number from 0 to 4294967295")
    with torch.device("meta"):
        least = smallest_side(bare_network(backbone_spec(config["model"]["name"])).eval())
    if training["crop"] < least:
        problem = f"training.crop={training['crop']} is smaller than the {least} pixels that the network takes"
        raise ConfigError(problem, advice=f"training.crop={least} or more")


def weight_averaging(decay: float | None) -> list[Callback]:
    """The callback that keeps a moving average of the weights, or none.

    Args:
        decay: Part of the average that each step keeps; None keeps the weights as they are.

    Raises:
        ConfigError: If the decay is not between 0 and 1.
    """
    if decay is None:
        return []
    if not 0 < decay < 1:
        raise ConfigError(f"training.ema is {decay:g}", advice="a decay between 0 and 1, or null for none")
    return [EMAWeightAveraging(decay=decay)]


def _tracker(cfg: DictConfig, config: dict[str, Any], folder: Path, dataset: str) -> Tracker:
    first = getattr(rank_zero_only, "rank", 0) == 0
    tracker: Tracker = build(cfg.tracker) if first else NoTracker()
    return tracker.start(
        config["name"],
        run_id=_key(config)[:16],
        folder=folder,
        group=config["name"],
        config=recorded(cfg),
        tags=[dataset],
        steps={"*": "step"},
    )


def _start(given: str | None, folder: Path) -> str | None:
    """The checkpoint to go on from: ``last`` is the run's own, where there is one yet."""
    if given not in (None, "last") and not Path(given).is_file():
        raise ConfigError(f"there is no checkpoint {given}", advice="ckpt_path=last, or leave it out to start anew")
    if given != "last":
        return given
    last = folder / "last.ckpt"
    return str(last) if last.is_file() else None


def _fit(trainer: lightning.Trainer, regressor: IQARegressor, images: TID2013DataModule, resume: str | None) -> None:
    # Of what is printed only the results belong on stdout.
    with contextlib.redirect_stdout(sys.stderr), quiet(), one_job(), refusals_told():
        warnings.filterwarnings("ignore", message="Checkpoint directory")  # the run's folder has other files
        warnings.filterwarnings("ignore", message=".*smaller than the logging interval")
        warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended")  # the images do too
        trainer.fit(regressor, images, ckpt_path=resume, weights_only=True)


def _checkpoints(folder: Path) -> tuple[ModelCheckpoint, ModelCheckpoint]:
    """The best epoch and the last one; ``save_last`` of one callback would only repeat the best."""
    # Without a version counter a second run in the same folder replaces the first.
    common: dict[str, Any] = {"dirpath": folder, "enable_version_counter": False, "save_on_train_epoch_end": True}
    best = ModelCheckpoint(filename="best", monitor="val/srocc", mode="max", **common)
    return best, ModelCheckpoint(filename="last", every_n_epochs=1, **common)


def _key(config: dict[str, Any]) -> str:
    """SHA-256 of the settings that change a result."""
    told = {key: config[key] for key in ("data", "model", "training", "trainer", "seed")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _versions() -> dict[str, str]:
    ours = {"fmcvqa": __version__, "python": platform.python_version()}
    return ours | {name: version(name) for name in _PACKAGES}


def _dataset(dataset: Any, images: TID2013DataModule) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "stand_in": dataset.stand_in,
        "images": len(images.train_records) + len(images.val_records),
        "mos_range": list(dataset.mos_range),
    }


def _split(images: TID2013DataModule) -> dict[str, Any]:
    sides = {"train": images.train_records, "val": images.val_records}
    return {
        "by": images.split,
        "seed": images.seed,
        **{f"{side}_images": len(records) for side, records in sides.items()},
        **{f"{side}_references": sorted({record.reference for record in records}) for side, records in sides.items()},
    }


def _finite(epoch: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in epoch.items()}


def _sentence(result: dict[str, Any]) -> str:
    dataset, split, scores = result["dataset"], result["split"], result["scores"]
    leak = ", contents shared with training" if split["by"] == "image" else " of held-out references"
    return (
        f"best epoch {result['best_epoch']}: SROCC {scores['srocc']['value']:.4f}, PLCC {scores['plcc']['value']:.4f}"
        f" on {split['val_images']} images{leak} ({dataset['name']})\ncheckpoint: {result['checkpoint']}"
    )
