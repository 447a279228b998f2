"""Ranks that Lightning starts for one fine-tuning, and what they must not leave to the next job of a multirun."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

_OF_RANKS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")


@contextlib.contextmanager
def one_job() -> Iterator[None]:
    """Let Lightning start the ranks of more devices for this job, and leave nothing of them to the next one.

    What it writes to the environment would make the next job of a multirun take itself for a rank of this one.
    """
    environment = {name: os.environ.get(name) for name in _OF_RANKS}
    grouped = torch.distributed.is_initialized()
    try:
        yield
    finally:
        if torch.distributed.is_initialized() and not grouped:
            torch.distributed.destroy_process_group()
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
