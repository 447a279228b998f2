"""Changes of intensity, contrast and colour."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from fmcvqa.data.distortions.base import At
from fmcvqa.data.distortions.ycbcr import luma
from fmcvqa.data.pixels import Pixels, to_pixels

_MOST_COLOURS = 256  # of a palette image


def mean_shift(image: Pixels, rng: np.random.Generator) -> At:
    """Every sample brighter by so many grey levels, darker where they are negative."""
    return lambda levels: to_pixels(image + np.float32(levels))


def contrast(image: Pixels, rng: np.random.Generator) -> At:
    """Differences from each channel's mean multiplied by a factor, above 1 where contrast increases."""
    mean = image.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
    return lambda factor: to_pixels(mean + np.float32(factor) * (image - mean))


def saturation(image: Pixels, rng: np.random.Generator) -> At:
    """Differences from the luminance multiplied by a factor; the luminance stays as it is."""
    grey = luma(image)[..., None]
    return lambda factor: to_pixels(grey + np.float32(factor) * (image - grey))


def quantization(image: Pixels, rng: np.random.Generator) -> At:
    """A palette of ``256 / strength`` colours (median cut) with Floyd and Steinberg's dithering."""
    source = Image.fromarray(image)

    def at(strength: float) -> Pixels:
        palette = source.quantize(max(round(_MOST_COLOURS / strength), 2), method=Image.Quantize.MEDIANCUT)
        return np.asarray(source.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB"))

    return at


def aberration(image: Pixels, rng: np.random.Generator) -> At:
    """Red and blue moved against green, by as many pixels to the left and to the right; bilinear between pixels."""

    def at(distance: float) -> Pixels:
        out = image.copy()
        for channel, side in ((0, -1), (2, 1)):
            moved = ndimage.shift(image[..., channel].astype(np.float32), (0, side * distance), order=1, mode="nearest")
            out[..., channel] = to_pixels(moved)
        return out

    return at
