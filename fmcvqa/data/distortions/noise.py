"""Noises of TID2013: each is the image plus a strength times a pattern drawn once, unless it says otherwise."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from fmcvqa.data.distortions.base import At, Floats, normal, scaled
from fmcvqa.data.distortions.ycbcr import luma, to_rgb
from fmcvqa.data.pixels import Pixels, to_pixels

_CHROMA_OVER_LUMA = 2.0
_SMOOTH = 3  # pixels of the window of correlated noise


def additive(image: Pixels, rng: np.random.Generator) -> At:
    """White Gaussian noise, independent in R, G and B."""
    return scaled(image, normal(image, rng))


def in_colour(image: Pixels, rng: np.random.Generator) -> At:
    """White Gaussian noise in Y, Cb and Cr, twice as strong in the colour components.

    Twice: what makes the luminance PSNR published with TID2013 (43.6 dB at level 1) out of 33 dB over R, G and B.
    """
    noise = normal(image, rng) * np.array([1, _CHROMA_OVER_LUMA, _CHROMA_OVER_LUMA], np.float32)
    return scaled(image, to_rgb(noise))


def correlated(image: Pixels, rng: np.random.Generator) -> At:
    """White Gaussian noise averaged over 3 x 3 pixels, brought back to standard deviation 1."""
    return scaled(image, _SMOOTH * ndimage.uniform_filter(normal(image, rng), (_SMOOTH, _SMOOTH, 0), mode="wrap"))


def masked(image: Pixels, rng: np.random.Generator) -> At:
    """White Gaussian noise in proportion to the local contrast, which hides it."""
    y = luma(image)
    mean = ndimage.gaussian_filter(y, 2.0)
    contrast = np.sqrt(np.maximum(ndimage.gaussian_filter(y**2, 2.0) - mean**2, 0)) + np.float32(0.5)
    weight = contrast / np.sqrt(np.mean(contrast**2))
    return scaled(image, normal(image, rng) * weight[..., None])


def high_frequency(image: Pixels, rng: np.random.Generator) -> At:
    """White Gaussian noise without its low frequencies, brought back to standard deviation 1."""
    noise = normal(image, rng)
    sharp: Floats = noise - ndimage.gaussian_filter(noise, (1.0, 1.0, 0), mode="wrap")
    return scaled(image, sharp / sharp.std())


def impulse(image: Pixels, rng: np.random.Generator) -> At:
    """Salt and pepper: the strength is the share of samples, of R, G and B each by itself, that become 0 or 255."""
    chance, white = rng.random(image.shape, np.float32), rng.random(image.shape) < 0.5
    return lambda share: np.where(chance < share, np.where(white, 255, 0), image).astype(np.uint8)


def quantization(image: Pixels, rng: np.random.Generator) -> At:
    """Samples rounded to multiples of a step."""
    return lambda step: to_pixels(np.round(image / np.float32(step)) * np.float32(step))


def multiplicative(image: Pixels, rng: np.random.Generator) -> At:
    """White Gaussian noise in proportion to the sample itself, strength 1 for a deviation as large as it."""
    return scaled(image, normal(image, rng) * image)
