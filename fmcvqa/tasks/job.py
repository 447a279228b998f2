"""One Hydra job of a research command: its folder, its errors, its return value.

Launchers pickle the functions below by name, so that a worker process that loads one has the resolvers too.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from threadpoolctl import threadpool_limits

from fmcvqa.errors import FileError, FmcvqaError
from fmcvqa.tasks import gate, multirun
from fmcvqa.tasks.redaction import redacted
from fmcvqa.tasks.targets import refuse_foreign

EXPERIMENT = "FMCVQA_EXPERIMENT"  # its path, for processes that see no command line
_LONGEST = 200  # characters of a folder name; file systems take 255 bytes
_SILENT = ("name", "force", "tracker", "trainer", "loader", "paths", "hydra", "features.layers", "regressor.kernel")


def _run(command: str, cfg: DictConfig) -> float:
    """Run a command's task and give its objective.

    An :class:`FmcvqaError` ends a single run. In a multirun it is noted, the objective is NaN and the other jobs go on.
    """
    task = import_module(f"fmcvqa.tasks.{command}")
    keep_to(cores_of(HydraConfig.get().launcher))
    single = HydraConfig.get().mode == RunMode.RUN
    sys.argv = rank_arguments(command)
    objective = float("nan")
    error: FmcvqaError | None = None
    try:
        refuse_foreign(cfg)  # again: now every interpolation has its value
        objective = float(task.run(cfg))
    except (FmcvqaError, InstantiationException, OSError) as raised:
        cause = raised.__cause__ if isinstance(raised, InstantiationException) else raised
        if isinstance(cause, OSError):
            cause = FileError.of(cause)
        if not isinstance(cause, FmcvqaError):
            raise
        error = cause
        multirun.tell(error)
        if single:
            raise SystemExit(error.exit_code) from error
    if not single:
        multirun.note(job_folder(), error)
    return objective


def cores_of(launcher: Mapping[str, Any]) -> int | None:
    """Cores a job may use: those submitit was told of, one where it was not, since it starts all jobs at once.

    None leaves the process as it is: the basic launcher's jobs have it to themselves, joblib limits its own.
    """
    return (launcher["cpus_per_task"] or 1) if "cpus_per_task" in launcher else None


def keep_to(cores: int | None) -> None:
    """Limit the threads of BLAS and of torch from now on."""
    if cores is None:
        return
    import torch

    threadpool_limits(cores)
    torch.set_num_threads(cores)  # at its first use torch would set its own number


def rank_arguments(command: str) -> list[str]:
    """What Lightning starts the other ranks of this job with (``trainer.devices`` above 1): the job as a single run.

    It repeats ``sys.argv``, which by now has lost the command and in a multirun names all jobs.
    """
    experiment = os.environ.get(EXPERIMENT)
    script = Path(__file__).parents[1] / "__main__.py"
    return [str(script), command, *([experiment] if experiment else []), *HydraConfig.get().overrides.task]


def plain_config(cfg: DictConfig) -> dict[str, Any]:
    """A config as plain values, interpolations resolved; what is still missing (``???``) stays so."""
    plain: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False)  # type: ignore[assignment]
    return plain


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
        overrides: The job's overrides as Hydra lists them; paths and long values become eight hex digits.
    """
    return _folder_name(["+".join(layers), kernel, *_changes(overrides)])


def _changes(overrides: list[str]) -> list[str]:
    parts = []
    for override in sorted(redacted(overrides)):
        key, _, value = override.lstrip("+~").partition("=")
        if any(key == silent or key.startswith(f"{silent}.") for silent in _SILENT):
            continue
        value = _number(value)
        plain = len(value) <= 32 and os.sep not in value
        short = re.sub(r"[^\w.+-]+", "-", value.strip("[](){}'\""), flags=re.ASCII) if plain else _digest(value)
        parts.append(f"{key}={short}")
    return parts


def _folder_name(parts: list[str]) -> str:
    name = "_".join(parts) or "as_configured"
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}_{_digest(name)}"


def _number(value: str) -> str:
    """A number in its one spelling: ``C=1`` and ``C=1.0`` are the same cell."""
    try:
        number = float(value)
    except ValueError:
        return value
    return str(int(number)) if number.is_integer() else repr(number)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _cell(_root_: Any) -> str:
    return cell_name(list(_root_.features.layers), str(_root_.regressor.kernel), list(_root_.hydra.overrides.task))


def _changed(_root_: Any) -> str:
    return _folder_name(_changes(list(_root_.hydra.overrides.task)))


gate.install()
OmegaConf.register_new_resolver("changed", _changed, replace=True)
OmegaConf.register_new_resolver("cell", _cell, replace=True)
