"""The 24 distortions of TID2013 at their five levels, for any image."""

from fmcvqa.data.distortions.base import LEVELS, NOMINAL, TOLERANCE, Distorted, Distortion, psnr
from fmcvqa.data.distortions.kinds import DISTORTIONS, distort, unknown_numbers

__all__ = [
    "DISTORTIONS",
    "LEVELS",
    "NOMINAL",
    "TOLERANCE",
    "Distorted",
    "Distortion",
    "distort",
    "psnr",
    "unknown_numbers",
]
