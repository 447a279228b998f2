"""Degradations that only time shows: frozen frames, a shaking camera, flickering exposure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image
from scipy import ndimage

from fmcvqa.data.degradations.base import LINES, Shape, Values
from fmcvqa.data.pixels import Pixels, to_pixels

FEWEST_FRAMES = 12  # below that, five shares of frozen frames are no longer five different numbers
_FREEZE_SECONDS = 0.2
_REACH = 2.2  # standard deviations; a path is cut off there
_SHAKE_MOST = 16.0  # pixels at 540 lines; the margin that is cut away leaves room for it
_GAMMA = 2.2  # exposure works on light, pixels are its 2.2th root


def freeze(frames: Iterable[Pixels], values: Values, shape: Shape, rng: np.random.Generator) -> Iterator[Pixels]:
    """A share of the time the last frame stays; what a smaller share freezes, a larger one freezes too."""
    block = max(1, min(round(_FREEZE_SECONDS * float(shape.rate)), (shape.frames - 1) // (FEWEST_FRAMES - 1)))
    blocks = -(-(shape.frames - 1) // block)
    rank = (rng.permutation(blocks) + 0.5) / blocks
    kept: Pixels | None = None
    for index, (frame, share) in enumerate(zip(frames, values, strict=True)):
        if kept is None or rank[(index - 1) // block] >= share:
            kept = frame
        yield kept


def shake(frames: Iterable[Pixels], values: Values, shape: Shape, rng: np.random.Generator) -> Iterator[Pixels]:
    """The picture moves as in an unsteady hand, without smear; the value is the deviation in pixels at 540 lines.

    A margin as wide as the widest movement is cut away and the rest enlarged, at every strength alike.
    """
    path = np.stack([_path(shape, rng, 1 / 12) for _ in range(2)], axis=1)
    height, width = shape.size
    share = 1 - 2 * _REACH * _SHAKE_MOST / LINES
    corner = np.array([width, height]) * (1 - share) / 2
    for frame, value, step in zip(frames, values, path, strict=True):
        x, y = corner + value * shape.scale * step
        view = (share, 0, float(x), 0, share, float(y))
        moved = Image.fromarray(frame).transform(
            (width, height), Image.Transform.AFFINE, view, Image.Resampling.BICUBIC
        )
        yield np.asarray(moved)


def flicker(frames: Iterable[Pixels], values: Values, shape: Shape, rng: np.random.Generator) -> Iterator[Pixels]:
    """The exposure wanders; the value is the deviation in photographic stops."""
    for frame, stops, step in zip(frames, values, _path(shape, rng, 1 / 25), strict=True):
        gain = 2 ** (stops * step / _GAMMA)
        yield to_pixels(np.arange(256) * gain)[frame]


def _path(shape: Shape, rng: np.random.Generator, seconds: float) -> Values:
    """A smooth random course [n] of mean 0 and standard deviation 1, cut off at ``_REACH``."""
    course = ndimage.gaussian_filter1d(rng.standard_normal(shape.frames), max(seconds * float(shape.rate), 0.5))
    course = course - course.mean()
    return np.asarray(np.clip(course / max(float(course.std()), 1e-6), -_REACH, _REACH))
