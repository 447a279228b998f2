"""Ranks that Lightning starts for one fine-tuning, and what they must not leave to the next job of a multirun."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig

_OF_RANKS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")


@contextlib.contextmanager
def one_job() -> Iterator[None]:
    """Let Lightning start the ranks of more devices for this job, and leave nothing of them to the next one.

    It starts them by repeating ``sys.argv``, which by now has lost the command and in a multirun names all jobs; what
    it writes to the environment would make the next job of a multirun take itself for a rank of this one.
    """
    argv, environment = sys.argv, {name: os.environ.get(name) for name in _OF_RANKS}
    grouped = torch.distributed.is_initialized()
    if HydraConfig.initialized():
        sys.argv = _command_line(HydraConfig.get())
    try:
        yield
    finally:
        sys.argv = argv
        if torch.distributed.is_initialized() and not grouped:
            torch.distributed.destroy_process_group()
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _command_line(hydra: Any) -> list[str]:
    files = [Path(source.path) / f"{hydra.job.config_name}.yaml" for source in hydra.runtime.config_sources]
    experiment = [str(file) for file in files if file.is_file() and file.stem != "finetune"]
    script = getattr(sys.modules["__main__"], "__file__", None) or sys.argv[0]
    return [script, "finetune", *experiment[:1], *hydra.overrides.task]
