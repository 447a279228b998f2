"""From files to frames: labels, decoding, DataModules and the synthetic sets.

Names that need torch load on first use, so that decoding children and label checks stay light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fmcvqa.data.records import DatasetReport, ImageRecord, Label, VideoDataset, VideoRecord

if TYPE_CHECKING:
    from fmcvqa.data.frames import FrameBatch, VideoFrameDataModule
    from fmcvqa.data.images import TID2013DataModule
    from fmcvqa.data.preprocess import Preprocess

_LAZY = {
    "FrameBatch": "fmcvqa.data.frames",
    "VideoFrameDataModule": "fmcvqa.data.frames",
    "TID2013DataModule": "fmcvqa.data.images",
    "Preprocess": "fmcvqa.data.preprocess",
}

__all__ = [
    "DatasetReport",
    "FrameBatch",
    "ImageRecord",
    "Label",
    "Preprocess",
    "TID2013DataModule",
    "VideoDataset",
    "VideoFrameDataModule",
    "VideoRecord",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
