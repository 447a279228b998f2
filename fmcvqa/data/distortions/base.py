"""What a distortion is, and how its strength is brought to a nominal PSNR."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from fmcvqa.data.pixels import Pixels, to_pixels

LEVELS = (1, 2, 3, 4, 5)
NOMINAL = (33.0, 30.0, 27.0, 24.0, 21.0)
"""PSNR in dB of TID2013's levels 1 to 5, for the types whose strength is fitted to each image."""
TOLERANCE = 0.05
"""Difference from the nominal PSNR in dB at which a fit ends."""

Floats = npt.NDArray[np.float32]
At = Callable[[float], Pixels]
Prepare = Callable[[Pixels, np.random.Generator], At]

_EVALUATIONS = 14
_BEYOND = 100.0  # dB; an image without any change counts as this far off


@dataclass(frozen=True, slots=True)
class Distortion:
    """One type of distortion.

    Attributes:
        number: Its number in TID2013, the ``TT`` of ``iRR_TT_L.bmp``.
        name: What it is.
        prepare: (pixels [height, width, 3], source of chance) to a function of the strength alone. Chance is drawn
            once there, so that the strength changes nothing but how much of it is seen.
        unit: What the strength counts.
        strengths: The strength of each level where it is the same for every image.
        psnr: The PSNR of each level in dB where the strength is fitted to each image.
        bounds: Where such a strength is sought.
    """

    number: int
    name: str
    prepare: Prepare
    unit: str
    strengths: tuple[float, ...] | None = None
    psnr: tuple[float, ...] | None = None
    bounds: tuple[float, float] = (0.5, 200.0)


@dataclass(frozen=True, slots=True, eq=False)
class Distorted:
    """One distorted image.

    Attributes:
        pixels: RGB [height, width, 3].
        strength: In the distortion's unit.
        psnr: Of the pixels against the original, in dB; infinite where nothing changed.
    """

    pixels: Pixels
    strength: float
    psnr: float


def psnr(reference: Pixels, image: Pixels) -> float:
    """Peak signal-to-noise ratio in dB over all three channels, peak 255; infinite for equal images."""
    error = float(np.mean((reference.astype(np.float32) - image) ** 2, dtype=np.float64))
    return 10 * math.log10(255**2 / error) if error else math.inf


def fitted(image: Pixels, at: At, target: float, bounds: tuple[float, float]) -> Distorted:
    """The strength whose PSNR comes nearest to a target, sought by Brent's method over its logarithm.

    The PSNR falls with the strength; where that goes in steps (whole numbers) or not quite steadily (wrong bits) the
    nearest of the strengths that were tried is taken, and a bound where none within them reaches the target.

    Args:
        image: RGB pixels [height, width, 3].
        at: Strength to pixels.
        target: PSNR in dB.
        bounds: Lowest and highest strength, both above 0.
    """
    tried: dict[float, Distorted] = {}

    def miss(place: float) -> float:
        if place not in tried:
            pixels = at(math.exp(place))
            tried[place] = Distorted(pixels, math.exp(place), psnr(image, pixels))
        off = min(tried[place].psnr, _BEYOND) - target
        return 0.0 if abs(off) <= TOLERANCE else off  # near enough ends the search

    low, high = (math.log(bound) for bound in bounds)
    if miss(low) * miss(high) < 0:
        brentq(miss, low, high, maxiter=_EVALUATIONS, disp=False)
    return min(tried.values(), key=lambda one: abs(min(one.psnr, _BEYOND) - target))


def scaled(image: Pixels, pattern: Floats) -> At:
    """Adds ``strength`` times a pattern of the image's shape."""
    return lambda strength: to_pixels(image + np.float32(strength) * pattern)


def normal(image: Pixels, rng: np.random.Generator) -> Floats:
    """White Gaussian noise of the image's shape, standard deviation 1."""
    return rng.standard_normal(image.shape, dtype=np.float32)
