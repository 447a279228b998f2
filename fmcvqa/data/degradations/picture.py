"""Degradations of every frame by itself: lost resolution, blur, noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image
from scipy import ndimage

from fmcvqa.data.degradations.base import Shape, Values
from fmcvqa.data.pixels import Pixels, to_pixels

_LEAST_SCALE = 1 / 3  # a Gaussian far narrower than a pixel would change nothing in small frames


def scaling(frames: Iterable[Pixels], values: Values, shape: Shape, rng: np.random.Generator) -> Iterator[Pixels]:
    """Shrunk by a factor and brought back to size, bicubic both ways."""
    height, width = shape.size
    for frame, factor in zip(frames, values, strict=True):
        if factor == 1:
            yield frame
            continue
        small = (max(round(width / factor), 1), max(round(height / factor), 1))
        shrunk = Image.fromarray(frame).resize(small, Image.Resampling.BICUBIC)
        yield np.asarray(shrunk.resize((width, height), Image.Resampling.BICUBIC))


def blur(frames: Iterable[Pixels], values: Values, shape: Shape, rng: np.random.Generator) -> Iterator[Pixels]:
    """Gaussian blur; the value is its deviation in pixels at 540 lines, and below 180 lines what it is there."""
    for frame, value in zip(frames, values, strict=True):
        sigma = value * max(shape.scale, _LEAST_SCALE)
        yield to_pixels(ndimage.gaussian_filter(frame.astype(np.float32), (sigma, sigma, 0))) if sigma else frame


def noise(frames: Iterable[Pixels], values: Values, shape: Shape, rng: np.random.Generator) -> Iterator[Pixels]:
    """White Gaussian noise of a standard deviation in grey levels, four fifths of it common to R, G and B."""
    for frame, sigma in zip(frames, values, strict=True):
        grey = rng.standard_normal((*shape.size, 1), dtype=np.float32)
        colour = rng.standard_normal((*shape.size, 3), dtype=np.float32)
        yield to_pixels(frame + np.float32(sigma) * (np.float32(0.8) * grey + np.float32(0.6) * colour))
