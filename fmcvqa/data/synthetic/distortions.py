"""Distortions of TID2013 under their numbers there, each at five levels; every level lies farther from the original.

The strengths are ours: chosen so that on small synthetic scenes level 1 is just visible and level 5 is severe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from fmcvqa.errors import ConfigError

LEVELS = (1, 2, 3, 4, 5)

Pixels = npt.NDArray[np.uint8]
_Distort = Callable[[Pixels, int, np.random.Generator], Pixels]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class Distortion:
    """One type of distortion.

    Attributes:
        number: Its number in TID2013, the ``TT`` of ``iRR_TT_L.bmp``.
        name: What it is.
        apply: (pixels [height, width, 3], level 1-5, source of chance) to pixels of the same shape.
    """

    number: int
    name: str
    apply: _Distort


def distort(image: Pixels, number: int, level: int, rng: np.random.Generator) -> Pixels:
    """Distort one image.

    Args:
        image: RGB pixels [height, width, 3].
        number: The distortion's number in TID2013.
        level: 1 (just visible) to 5 (severe).
        rng: Source of chance; the same state gives the same bytes.

    Raises:
        ConfigError: If there is no such distortion or level.
    """
    if number not in DISTORTIONS:
        known = ", ".join(f"{kind.number} {kind.name}" for kind in DISTORTIONS.values())
        raise ConfigError(f"no distortion has the number {number}", found=known, advice="one of these numbers")
    if level not in LEVELS:
        raise ConfigError(f"no distortion has a level {level}", found="levels 1 to 5", advice="one of these")
    return DISTORTIONS[number].apply(image, level, rng)


def additive_noise(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """White Gaussian noise of standard deviation 6 to 36 grey levels."""
    sigma = (6, 11, 17, 25, 36)[level - 1]
    return _pixels(image + sigma * _normal(image, rng))


def colour_noise(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Gaussian noise that is three times stronger in colour than in luminance."""
    sigma, noise = (8, 14, 22, 32, 46)[level - 1], _normal(image, rng)
    grey = (noise @ _LUMA)[..., None]
    return _pixels(image + sigma * ((noise - grey) + grey / 3))


def correlated_noise(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Gaussian noise smoothed over about two pixels, as left by a bad demosaicking."""
    sigma = (6, 11, 17, 25, 36)[level - 1]
    smooth = ndimage.gaussian_filter(_normal(image, rng), (1.0, 1.0, 0))
    return _pixels(image + sigma * smooth / smooth.std())


def high_frequency_noise(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Gaussian noise with its low frequencies taken out."""
    sigma, noise = (7, 13, 20, 30, 44)[level - 1], _normal(image, rng)
    sharp = noise - ndimage.gaussian_filter(noise, (1.0, 1.0, 0))
    return _pixels(image + sigma * sharp / sharp.std())


def impulse_noise(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Salt and pepper on 0.6 to 16 % of all samples."""
    share, chance = (0.006, 0.015, 0.035, 0.08, 0.16)[level - 1], rng.uniform(size=image.shape)
    out = image.copy()
    out[chance < share] = 0
    out[chance < share / 2] = 255
    return out


def quantization_noise(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Grey levels rounded to steps of 16 to 96."""
    step = (16, 28, 44, 66, 96)[level - 1]
    return _pixels(np.round(image / np.float32(step)) * step)


def gaussian_blur(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Gaussian blur of standard deviation 0.6 to 4.2 pixels."""
    sigma = (0.6, 1.0, 1.6, 2.6, 4.2)[level - 1]
    return _pixels(ndimage.gaussian_filter(image.astype(np.float32), (sigma, sigma, 0)))


def denoising(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Noise, then an adaptive (local Wiener) filter that takes it out together with fine detail."""
    sigma = (9, 15, 23, 34, 50)[level - 1]
    noisy = image + sigma * _normal(image, rng)
    window = (5, 5, 1)
    mean = ndimage.uniform_filter(noisy, window)
    variance = np.maximum(ndimage.uniform_filter(noisy**2, window) - mean**2, 1e-3)
    # Twice the true variance is taken for noise, which is what makes denoised pictures look smeared.
    gain = np.maximum(variance - 2 * sigma**2, 0) / variance
    return _pixels(mean + gain * (noisy - mean))


def jpeg(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """JPEG of quality 55 to 4."""
    return _through(image, "JPEG", quality=(55, 28, 15, 8, 4)[level - 1])


def jpeg2000(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """JPEG 2000 at one 10th to one 200th of the raw size."""
    rate = (10, 20, 42, 90, 200)[level - 1]
    return _through(image, "JPEG2000", quality_mode="rates", quality_layers=[rate], irreversible=True)


def pattern_noise(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Small patches put a few pixels beside where they belong; each is plausible, the whole is not."""
    count, side = (30, 80, 180, 400, 900)[level - 1], 9
    out, (height, width) = image.copy(), image.shape[:2]
    for _ in range(max(round(count * height * width / 49152), 1)):
        y, x = int(rng.integers(height - side)), int(rng.integers(width - side))
        from_y, from_x = np.clip(np.array([y, x]) + rng.integers(-8, 9, 2), 0, (height - side, width - side))
        out[y : y + side, x : x + side] = image[from_y : from_y + side, from_x : from_x + side]
    return out


def block_distortion(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Flat blocks of 16 x 16 pixels, 1 to 16 % of the image, a little off the colour below."""
    share, side = (0.01, 0.02, 0.04, 0.08, 0.16)[level - 1], 16
    out, (height, width) = image.copy(), image.shape[:2]
    rows, columns = height // side, width // side
    for cell in rng.permutation(rows * columns)[: max(round(share * rows * columns), level)]:
        y, x = side * (int(cell) // columns), side * (int(cell) % columns)
        block = out[y : y + side, x : x + side]
        mean = block.mean(axis=(0, 1))
        block[:] = _pixels(mean + np.where(mean < 128, 45, -45))
    return out


def mean_shift(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """All brighter or all darker by 12 to 75 grey levels, towards where there is room."""
    shift = (12, 24, 38, 55, 75)[level - 1]
    return _pixels(image.astype(np.float32) + (shift if image.mean() < 128 else -shift))


def contrast_change(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Contrast cut to 80 to 20 % about the mean."""
    factor, mean = (0.8, 0.62, 0.46, 0.32, 0.2)[level - 1], np.float32(image.mean())
    return _pixels(mean + factor * (image - mean))


def saturation_change(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Colour taken down to 75 % and on to grey."""
    factor, grey = (0.75, 0.5, 0.3, 0.12, 0.0)[level - 1], (image @ _LUMA)[..., None]
    return _pixels(grey + factor * (image - grey))


def multiplicative_noise(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Gaussian noise in proportion to the signal, 5 to 30 % of it."""
    sigma = (0.05, 0.09, 0.14, 0.21, 0.30)[level - 1]
    return _pixels(image * (1 + sigma * _normal(image, rng)))


def colour_quantization(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """A palette of 64 to 4 colours with dithering."""
    colours = (64, 32, 16, 8, 4)[level - 1]
    source = Image.fromarray(image)
    palette = source.quantize(colours, method=Image.Quantize.MEDIANCUT)
    return np.asarray(source.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB"))


DISTORTIONS: dict[int, Distortion] = {
    kind.number: kind
    for kind in (
        Distortion(1, "additive Gaussian noise", additive_noise),
        Distortion(2, "noise in colour", colour_noise),
        Distortion(3, "spatially correlated noise", correlated_noise),
        Distortion(5, "high frequency noise", high_frequency_noise),
        Distortion(6, "impulse noise", impulse_noise),
        Distortion(7, "quantization noise", quantization_noise),
        Distortion(8, "Gaussian blur", gaussian_blur),
        Distortion(9, "denoising", denoising),
        Distortion(10, "JPEG compression", jpeg),
        Distortion(11, "JPEG 2000 compression", jpeg2000),
        Distortion(14, "pattern noise", pattern_noise),
        Distortion(15, "block-wise distortions", block_distortion),
        Distortion(16, "mean shift", mean_shift),
        Distortion(17, "contrast change", contrast_change),
        Distortion(18, "change of colour saturation", saturation_change),
        Distortion(19, "multiplicative noise", multiplicative_noise),
        Distortion(22, "colour quantization with dither", colour_quantization),
    )
}


def _normal(image: Pixels, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    return rng.standard_normal(image.shape, dtype=np.float32)


def _pixels(values: npt.NDArray[np.floating]) -> Pixels:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _through(image: Pixels, codec: str, **options: object) -> Pixels:
    """The image after one trip through a codec."""
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, codec, **options)
    return np.asarray(Image.open(buffer).convert("RGB"))
