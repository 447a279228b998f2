"""Y, Cb and Cr of ITU-R BT.601, full range, chroma about 0: what JPEG codes (JFIF 1.02) and luminance is measured by.

Term by term, as the standard writes it: a matrix product of BLAS rounds by where its operands lie in memory, and the
same image would become other bytes in another run.
"""

from __future__ import annotations

import numpy as np

from fmcvqa.data.distortions.base import Floats
from fmcvqa.data.pixels import Pixels

_RED, _GREEN, _BLUE = np.float32(0.299), np.float32(0.587), np.float32(0.114)
_CB, _CR = np.float32(1.772), np.float32(1.402)  # 2 (1 - blue), 2 (1 - red)


def luma(rgb: Pixels | Floats) -> Floats:
    """Y [height, width] of R, G, B [height, width, 3], on their scale."""
    red, green, blue = (rgb[..., channel].astype(np.float32) for channel in range(3))
    y: Floats = _RED * red + _GREEN * green + _BLUE * blue
    return y


def to_ycbcr(rgb: Pixels | Floats) -> Floats:
    """Y, Cb, Cr [height, width, 3] of R, G, B."""
    y = luma(rgb)
    return np.stack([y, (rgb[..., 2] - y) / _CB, (rgb[..., 0] - y) / _CR], axis=-1)


def to_rgb(ycbcr: Floats) -> Floats:
    """R, G, B [height, width, 3] of Y, Cb, Cr, neither rounded nor clipped."""
    y, cb, cr = (ycbcr[..., channel] for channel in range(3))
    red, blue = y + _CR * cr, y + _CB * cb
    return np.stack([red, (y - _RED * red - _BLUE * blue) / _GREEN, blue], axis=-1)
