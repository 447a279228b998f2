"""A decoder that kills its process; in a module without torch, since each decoding process imports it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fmcvqa.data.decoding import PyAVDecoder


@dataclass(frozen=True)
class DeadlyDecoder(PyAVDecoder):
    """PyAV's, that kills its process after the first frame of files whose name says so."""

    def frames(self, path: str | Path, *, stride: int = 1) -> Iterator[tuple[int, np.ndarray]]:
        for item in super().frames(path, stride=stride):
            yield item
            if "_dies" in Path(path).name:
                os.kill(os.getpid(), signal.SIGSEGV)
