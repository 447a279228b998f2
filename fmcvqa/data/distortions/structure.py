"""Blur, denoising, misplaced patches, blocks and lost samples."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from av import VideoFormat, VideoFrame
from av.filter import Graph
from scipy import ndimage

from fmcvqa.data.distortions.base import At, Floats, normal
from fmcvqa.data.pixels import Pixels, to_pixels

_AREA = 384 * 512  # pixels of TID2013's images, which counts and sides of patches and blocks are stated for
_PATCH, _REACH = 15, 8
_BLOCK = 32
_DCT = 8  # side of the blocks of FFmpeg's denoiser with its default of 2^3
_GUESS_NOISE = 12.0  # grey levels a smooth guess is off by, about


def gaussian_blur(image: Pixels, rng: np.random.Generator) -> At:
    """Gaussian blur of a standard deviation in pixels."""
    source = image.astype(np.float32)
    return lambda sigma: to_pixels(ndimage.gaussian_filter(source, (sigma, sigma, 0)))


def denoising(image: Pixels, rng: np.random.Generator) -> At:
    """White Gaussian noise of a standard deviation, then taken out by a sliding DCT threshold of three times it."""
    noise = normal(image, rng)
    return lambda sigma: denoised(to_pixels(image + np.float32(sigma) * noise), sigma)


def denoised(image: Pixels, sigma: float) -> Pixels:
    """FFmpeg's ``dctdnoiz``: every 8 x 8 block's DCT coefficients below ``3 * sigma`` set to 0, blocks averaged.

    It treats a block's mean like any coefficient, which takes faint colours away: what is broader than a block is put
    back, as no denoiser is meant to touch it.
    """
    height, width = image.shape[:2]
    # The filter leaves the right and lower margin as it is where blocks do not fit, so the picture is continued.
    padded = np.pad(image, ((_DCT, 2 * _DCT), (_DCT, 2 * _DCT), (0, 0)), "reflect")
    graph = Graph()
    source = graph.add_buffer(
        width=padded.shape[1], height=padded.shape[0], format=VideoFormat("rgb24"), time_base=Fraction(1)
    )
    filtered, sink = graph.add("dctdnoiz", f"sigma={sigma:.6f}"), graph.add("buffersink")
    source.link_to(filtered)
    filtered.link_to(sink)
    graph.configure()
    frame = VideoFrame.from_ndarray(padded, format="rgb24")
    frame.pts = 0
    graph.push(frame)
    graph.push(None)
    pulled = graph.pull()
    assert isinstance(pulled, VideoFrame)  # noqa: S101 - a graph of pictures gives pictures
    out = pulled.to_ndarray(format="rgb24").astype(np.float32)
    lost = ndimage.gaussian_filter(padded - out, (_DCT, _DCT, 0))
    return to_pixels(out + lost)[_DCT : _DCT + height, _DCT : _DCT + width]


def pattern(image: Pixels, rng: np.random.Generator) -> At:
    """Patches of 15 x 15 pixels put up to 8 pixels beside where they belong, so many in 512 x 384 pixels.

    Each patch is plausible by itself: a noise that eyes away from it do not find.
    """
    height, width = image.shape[:2]
    side = min(_PATCH, height, width)
    seeds = rng.integers(2**32, size=4096, dtype=np.int64)

    def at(count: float) -> Pixels:
        out = image.copy()
        for seed in seeds[: max(round(count * height * width / _AREA), 1)]:
            draw = np.random.default_rng(seed)
            limit = np.array([height - side, width - side])
            to = draw.integers(limit + 1)
            y, x = np.clip(to + draw.integers(-_REACH, _REACH + 1, 2), 0, limit)
            out[to[0] : to[0] + side, to[1] : to[1] + side] = image[y : y + side, x : x + side]
        return out

    return at


def local_blocks(image: Pixels, rng: np.random.Generator) -> At:
    """So many squares of 32 x 32 pixels (in 512 x 384) moved off their colour, the fewer the farther.

    The squared error is the same for every count, about 26 dB: TID2013's levels 1 to 5 differ in how it is spread, and
    raters mind the few strong blocks of level 1 more.
    """
    height, width = image.shape[:2]
    side = max(round(_BLOCK * math.sqrt(height * width / _AREA)), 2)
    rows, columns = height // side, width // side
    order = rng.permutation(rows * columns)

    def at(count: float) -> Pixels:
        out, number = image.copy(), min(round(count), rows * columns)
        offset = 255 * math.sqrt(height * width / (number * side * side)) / 10 ** (26 / 20)
        for cell in order[:number]:
            y, x = side * (int(cell) // columns), side * (int(cell) % columns)
            block = out[y : y + side, x : x + side]
            sign = np.where(block.mean(axis=(0, 1)) < 128, 1.0, -1.0)
            block[:] = to_pixels(block + offset * sign)
        return out

    return at


def sparse_sampling(image: Pixels, rng: np.random.Generator) -> At:
    """Pixels kept at random, ``strength`` lost for each, and the lost ones reconstructed from them.

    One round of filtering after Egiazarian, Foi and Katkovnik ("Compressed sensing image reconstruction via recursive
    spatially adaptive filtering", 2007) with the sliding DCT as the filter: a smooth guess is denoised, and the kept
    pixels are put back.
    """
    chance = rng.random(image.shape[:2], np.float32)

    def at(strength: float) -> Pixels:
        kept = chance <= max(1 / (1 + strength), chance.min())
        guess = np.where(kept[..., None], image, _interpolated(image, kept))
        return np.where(kept[..., None], image, denoised(guess, _GUESS_NOISE))

    return at


def _interpolated(image: Pixels, kept: npt.NDArray[np.bool_]) -> Pixels:
    """Missing pixels as the mean of the kept ones about them, weighted by a Gaussian as wide as they are apart."""
    sigma = 0.5 / math.sqrt(float(kept.mean()))
    weight: Floats = ndimage.gaussian_filter(kept.astype(np.float32), sigma) + np.float32(1e-6)
    known = image * kept[..., None].astype(np.float32)
    fallback = known.sum(axis=(0, 1)) / kept.sum()
    smooth = ndimage.gaussian_filter(known, (sigma, sigma, 0)) + np.float32(1e-6) * fallback
    return to_pixels(smooth / weight[..., None])
