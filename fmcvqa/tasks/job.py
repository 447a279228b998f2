"""One Hydra job of a research command: its folder, its errors, its return value.

Launchers pickle the functions below by name, so that a worker process that loads one has the resolvers too.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from fmcvqa.errors import FmcvqaError
from fmcvqa.sealed import write_atomic

FAILED = "failed.json"
_SILENT = ("name", "force", "tracker", "trainer", "loader", "paths", "hydra", "features.layers", "regressor.kernel")


def _run(command: str, cfg: DictConfig) -> float:
    """Run a command's task and give its objective.

    In a multirun an :class:`FmcvqaError` is written to ``failed.json`` in the job's folder and the objective is NaN,
    so that the other cells go on; the end of the multirun reports it. In a single run it ends the process.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its tips are for its own users
    folder = job_folder()
    (folder / FAILED).unlink(missing_ok=True)
    try:
        return float(import_module(f"fmcvqa.tasks.{command}").run(cfg))
    except FmcvqaError as error:
        print(f"error: {error}", file=sys.stderr)
        if HydraConfig.get().mode == RunMode.RUN:
            raise SystemExit(error.exit_code) from error
        write_atomic(folder / FAILED, json.dumps({"error": str(error), "exit_code": error.exit_code}).encode())
        return float("nan")


def job_folder() -> Path:
    """The running Hydra job's output folder."""
    return Path(HydraConfig.get().runtime.output_dir)


def finetune(cfg: DictConfig) -> float:
    """Best validation SROCC of one fine-tuning."""
    return _run("finetune", cfg)


def extract(cfg: DictConfig) -> float:
    """Number of videos whose features the store now holds."""
    return _run("extract", cfg)


def sweep(cfg: DictConfig) -> float:
    """Median SROCC of one cell."""
    return _run("sweep", cfg)


def fit(cfg: DictConfig) -> float:
    """Median out-of-fold SROCC of the cell a model was fitted with."""
    return _run("fit", cfg)


JOBS: dict[str, Callable[[DictConfig], float]] = {"finetune": finetune, "extract": extract, "sweep": sweep, "fit": fit}


def cell_name(layers: list[str], kernel: str, overrides: list[str]) -> str:
    """A folder name for one cell: its layers and kernel, and whatever else was overridden that changes a result.

    Args:
        layers: Layers of the cell.
        kernel: Kernel of the cell.
        overrides: The job's overrides as Hydra lists them; paths become eight hex digits.
    """
    parts = ["+".join(layers), kernel]
    for override in sorted(overrides):
        key, _, value = override.lstrip("+~").partition("=")
        if any(key == silent or key.startswith(f"{silent}.") for silent in _SILENT):
            continue
        plain = len(value) <= 32 and os.sep not in value
        short = re.sub(r"[^\w.+-]+", "-", value).strip("-") if plain else hashlib.sha256(value.encode()).hexdigest()[:8]
        parts.append(f"{key.rpartition('.')[2]}={short}")
    return "_".join(parts)


def _cell(_root_: Any) -> str:
    return cell_name(list(_root_.features.layers), str(_root_.regressor.kernel), list(_root_.hydra.overrides.task))


OmegaConf.register_new_resolver("cell", _cell, replace=True)
