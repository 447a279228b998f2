"""Pictures as arrays of 8 bits a channel, and as they are read from files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from fmcvqa.errors import DatasetError

Pixels = npt.NDArray[np.uint8]  # [h, w, 3], RGB

# What Pillow raises on damaged files; by far the most are an OSError, tried on some thousands of seven kinds.
_DAMAGE = (
    *(ArithmeticError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError, TypeError, ValueError),
    *(struct.error, Image.DecompressionBombError),
)


def to_pixels(values: npt.NDArray[np.floating]) -> Pixels:
    """Values rounded and clipped to 0-255."""
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def read_image(path: Path, what: str, *, advice: str, upright: bool = False) -> Image.Image:
    """The picture in a file, in RGB.

    Args:
        path: The file.
        what: What it is called where it cannot be read.
        advice: What to do then.
        upright: Turn it as its camera noted.

    Raises:
        DatasetError: If it cannot be read.
    """
    try:
        with Image.open(path) as file:
            return (ImageOps.exif_transpose(file) if upright else file).convert("RGB")
    except _DAMAGE as error:
        raise DatasetError(f"the {what} {path} cannot be read ({error})", advice=advice) from error
