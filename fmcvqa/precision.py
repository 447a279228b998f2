"""Arithmetic in the precision of the tensors, whatever a process has been told about faster ones."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import backends

# What may compute float32 in fewer bits: TensorFloat-32 in convolutions is on by itself on a GPU, and
# torch.set_float32_matmul_precision, which Lightning advises, has products in TensorFloat-32 or bfloat16.
_REDUCED: tuple[Any, ...] = (  # checkers see the modules, in whose place torch puts objects
    backends.cudnn.conv,  # type: ignore[attr-defined]
    backends.cuda.matmul,
    backends.mkldnn.conv,  # type: ignore[attr-defined]
    backends.mkldnn.matmul,  # type: ignore[attr-defined]
)
_LOCK = threading.Lock()
_inside = 0
_before: list[str] = []


@contextmanager
def own_precision(device: torch.device) -> Iterator[None]:
    """Has float32 computed in float32, and nothing cast by itself.

    The settings are the process's and not a thread's: they are changed by the first that comes in, and put back by the
    last that leaves.

    Args:
        device: Where the tensors are.
    """
    global _inside, _before
    with _LOCK:
        if not _inside:
            _before = [each.fp32_precision for each in _REDUCED]
            _set(["ieee"] * len(_REDUCED))
        _inside += 1
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        with _LOCK:
            _inside -= 1
            if not _inside:
                _set(_before)


def _set(precisions: list[str]) -> None:
    for each, precision in zip(_REDUCED, precisions, strict=True):
        each.fp32_precision = precision


def _alone_again() -> None:
    """In a forked child: threads that were inside stay behind."""
    global _LOCK, _inside
    _LOCK = threading.Lock()
    if _inside:
        _inside = 0
        _set(_before)


os.register_at_fork(after_in_child=_alone_again)
