"""The 24 distortions of TID2013 under their numbers there, each at five levels.

Ponomarenko et al., "Image database TID2013: Peculiarities, results and perspectives", Signal Processing: Image
Communication 30 (2015), name the types and nominal levels. Where the paper leaves a parameter open it is the one that
gives the PSNR published per image with the database (its ``metrics_values/PSNR.txt``) on references whose pixels are
known, or ours; docs/distortions.md says which is which.
"""

from __future__ import annotations

import numpy as np

from fmcvqa.data.distortions import coding, colour, noise, structure
from fmcvqa.data.distortions.base import LEVELS, NOMINAL, Distorted, Distortion, fitted, psnr
from fmcvqa.data.pixels import Pixels
from fmcvqa.errors import ConfigError

_SHARE = (1e-4, 0.9)
_COUNT = (1.0, 4000.0)

DISTORTIONS: dict[int, Distortion] = {
    kind.number: kind
    for kind in (
        Distortion(1, "additive Gaussian noise", noise.additive, "standard deviation", psnr=NOMINAL),
        Distortion(2, "noise in colour components", noise.in_colour, "standard deviation of luminance", psnr=NOMINAL),
        Distortion(3, "spatially correlated noise", noise.correlated, "standard deviation", psnr=NOMINAL),
        Distortion(4, "masked noise", noise.masked, "standard deviation", psnr=NOMINAL),
        # Not nominal: the published PSNR of this type falls by 3, 5, 5 and 5 dB.
        Distortion(5, "high frequency noise", noise.high_frequency, "standard deviation", psnr=(33, 30, 25, 20, 15)),
        Distortion(6, "impulse noise", noise.impulse, "share of samples", psnr=NOMINAL, bounds=_SHARE),
        Distortion(7, "quantization noise", noise.quantization, "step", psnr=NOMINAL, bounds=(2, 255)),
        Distortion(8, "Gaussian blur", structure.gaussian_blur, "pixels", strengths=(0.51, 0.68, 1.1, 2.0, 4.0)),
        Distortion(
            9, "denoising", structure.denoising, "standard deviation of the noise", strengths=(9, 13.5, 23, 43, 85)
        ),
        Distortion(10, "JPEG compression", coding.jpeg, "quality", strengths=(80, 60, 23, 8, 4)),
        Distortion(11, "JPEG2000 compression", coding.jpeg2000, "compression", psnr=NOMINAL, bounds=(1.5, 4000)),
        Distortion(12, "JPEG transmission errors", coding.jpeg_errors, "wrong bits", psnr=NOMINAL, bounds=_COUNT),
        Distortion(
            13, "JPEG2000 transmission errors", coding.jpeg2000_errors, "wrong bits", psnr=NOMINAL, bounds=_COUNT
        ),
        Distortion(
            14, "non-eccentricity pattern noise", structure.pattern, "patches", strengths=(15, 40, 80, 120, 180)
        ),
        Distortion(15, "local block-wise distortions", structure.local_blocks, "blocks", strengths=(2, 4, 8, 16, 32)),
        Distortion(16, "mean shift", colour.mean_shift, "grey levels", strengths=(-6, 10, -20, 30, -40)),
        Distortion(17, "contrast change", colour.contrast, "factor", strengths=(0.9, 1.2, 0.75, 1.45, 0.5)),
        Distortion(
            18, "change of colour saturation", colour.saturation, "factor", strengths=(0.75, 0.5, 0.3, 0.12, 0.0)
        ),
        Distortion(19, "multiplicative Gaussian noise", noise.multiplicative, "share", psnr=NOMINAL, bounds=(1e-3, 20)),
        Distortion(20, "comfort noise", coding.comfort_noise, "step", psnr=NOMINAL, bounds=(1, 2000)),
        Distortion(
            21, "lossy compression of noisy images", coding.lossy_noisy, "standard deviation of the noise", psnr=NOMINAL
        ),
        Distortion(
            22, "colour quantization with dither", colour.quantization, "256 / colours", psnr=NOMINAL, bounds=(1, 128)
        ),
        # Not nominal: what the published luminance PSNR comes to over R, G and B.
        Distortion(
            23, "chromatic aberrations", colour.aberration, "pixels", psnr=(33, 28, 25, 22, 19), bounds=(0.02, 16)
        ),
        Distortion(
            24,
            "sparse sampling and reconstruction",
            structure.sparse_sampling,
            "pixels lost per pixel kept",
            psnr=NOMINAL,
            bounds=(0.05, 1000),
        ),
    )
}


def distort(image: Pixels, number: int, level: int, rng: np.random.Generator) -> Distorted:
    """Distort one image.

    Args:
        image: RGB pixels [height, width, 3].
        number: The distortion's number in TID2013, 1 to 24.
        level: 1 to 5; the PSNR falls from level to level except where the type says otherwise (14 to 18).
        rng: Source of chance; the same state gives the same bytes.

    Raises:
        ConfigError: If there is no such distortion or level.
    """
    if number not in DISTORTIONS:
        raise unknown_numbers([number])
    if level not in LEVELS:
        raise ConfigError(f"no distortion has a level {level}", found="levels 1 to 5", advice="one of these")
    kind = DISTORTIONS[number]
    at = kind.prepare(image, rng)
    if kind.strengths is None:
        if kind.psnr is None:
            raise ValueError(f"{kind.name} has neither strengths nor PSNR")
        return fitted(image, at, kind.psnr[level - 1], kind.bounds)
    pixels = at(kind.strengths[level - 1])
    return Distorted(pixels, kind.strengths[level - 1], psnr(image, pixels))


def unknown_numbers(numbers: list[int]) -> ConfigError:
    """An error for distortions that do not exist, which lists those that do."""
    known = ", ".join(f"{kind.number} {kind.name}" for kind in DISTORTIONS.values())
    listed = ", ".join(map(str, numbers))
    return ConfigError(f"no distortion has the number {listed}", found=known, advice="one of these numbers")
