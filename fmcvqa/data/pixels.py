"""Pictures as arrays of 8 bits a channel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]  # [h, w, 3], RGB


def to_pixels(values: npt.NDArray[np.floating]) -> Pixels:
    """Values rounded and clipped to 0-255."""
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
