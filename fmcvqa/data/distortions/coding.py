"""Lossy coding, errors on the way, and what a coder makes of noise."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import fft

from fmcvqa.data.distortions.base import At, Floats, normal
from fmcvqa.data.distortions.ycbcr import to_rgb, to_ycbcr
from fmcvqa.data.pixels import Pixels, to_pixels

_STEP_OVER_NOISE = 4.0  # where a coder of noisy images works best, see lossy_noisy
_SENT_QUALITY, _RESTART = 90, 8  # JPEG that is sent: quality, and blocks between restart markers
_SENT_PSNR = 38.0  # JPEG 2000 that is sent, in dB
_SIDE = 8


def jpeg(image: Pixels, rng: np.random.Generator) -> At:
    """JPEG of a quality as libjpeg counts it, colour at half size (4:2:0)."""
    return lambda quality: decoded(encoded(image, "JPEG", quality=round(quality)))


def jpeg2000(image: Pixels, rng: np.random.Generator) -> At:
    """JPEG 2000 (irreversible wavelet) at one part in ``strength`` of the raw size."""
    options: dict[str, Any] = {"quality_mode": "rates", "irreversible": True}
    return lambda rate: decoded(encoded(image, "JPEG2000", quality_layers=[rate], **options))


def jpeg_errors(image: Pixels, rng: np.random.Generator) -> At:
    """So many wrong bits in the scan of a JPEG of quality 90; each spoils its strip up to the next restart marker."""
    data = np.frombuffer(encoded(image, "JPEG", quality=_SENT_QUALITY, restart_marker_blocks=_RESTART), np.uint8)
    scan = data.tobytes().index(b"\xff\xda")
    start = scan + 2 + int.from_bytes(data[scan + 2 : scan + 4].tobytes())
    return _with_errors(data, start, rng)


def jpeg2000_errors(image: Pixels, rng: np.random.Generator) -> At:
    """So many wrong bits in the packets of a JPEG 2000 of 38 dB; each spoils a block of wavelet coefficients."""
    options: dict[str, Any] = {"quality_mode": "dB", "quality_layers": [_SENT_PSNR], "irreversible": True}
    data = np.frombuffer(encoded(image, "JPEG2000", no_jp2=True, **options), np.uint8)
    return _with_errors(data, data.tobytes().index(b"\xff\x93") + 2, rng)


def comfort_noise(image: Pixels, rng: np.random.Generator) -> At:
    """8 x 8 DCT coding in Y, Cb and Cr with a step, where coefficients that became 0 return with a random sign.

    They keep their magnitude, and with it the energy of texture that plain coding loses: comfort noise for the eye.
    """
    coefficients = _dct(image)
    signs = np.where(rng.random(coefficients.shape, np.float32) < 0.5, np.float32(-1), np.float32(1))

    def at(step: float) -> Pixels:
        rounded = np.round(coefficients / np.float32(step)) * np.float32(step)
        rounded = np.where(rounded == 0, signs * np.abs(coefficients), rounded)
        rounded[..., 0, 0] = coefficients[..., 0, 0]  # the mean of a block is never noise
        return _undct(rounded, image.shape)

    return at


def lossy_noisy(image: Pixels, rng: np.random.Generator) -> At:
    """White Gaussian noise of a standard deviation, then JPEG whose step is four times it for every coefficient.

    Near the step at which coding takes out most of the noise (Ponomarenko, Krivenko, Lukin, Egiazarian and Astola,
    "Lossy compression of noisy images based on visual quality", 2010).
    """
    noise = normal(image, rng)

    def at(sigma: float) -> Pixels:
        step = min(max(round(_STEP_OVER_NOISE * sigma), 1), 255)
        noisy = to_pixels(image + np.float32(sigma) * noise)
        return decoded(encoded(noisy, "JPEG", qtables=[[step] * _SIDE**2] * 2, subsampling=0))

    return at


def encoded(image: Pixels, codec: str, **options: Any) -> bytes:
    """The image as a file of a codec Pillow writes."""
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, codec, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> Pixels:
    """The RGB pixels of an image file."""
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def _with_errors(data: npt.NDArray[np.uint8], start: int, rng: np.random.Generator) -> At:
    """Flip bits of the coded data from ``start`` on, never so that a marker (0xFF) comes or goes.

    A flip that leaves nothing to be decoded is no picture anybody has seen, so it is taken back.
    """
    places = start + rng.permutation(len(data) - 2 - start)
    masks = np.left_shift(1, rng.integers(8, size=len(places))).astype(np.uint8)
    usable = (data[places] != 255) & (data[places - 1] != 255) & ((data[places] ^ masks) != 255)
    flips = list(zip(places[usable].tolist(), masks[usable].tolist(), strict=True))

    def received(count: int) -> Pixels | None:
        sent = bytearray(data.tobytes())
        for place, mask in flips[:count]:
            sent[place] ^= mask
        try:
            return decoded(bytes(sent))
        except OSError:
            return None

    def at(count: float) -> Pixels:
        while (picture := received(round(count))) is None:
            good, bad = 0, round(count)
            while bad - good > 1:
                middle = (good + bad) // 2
                good, bad = (middle, bad) if received(middle) is not None else (good, middle)
            del flips[bad - 1]
        return picture

    return at


def _dct(image: Pixels) -> Floats:
    """Coefficients [rows, columns, 3, 8, 8] of Y, Cb and Cr; the image is continued to whole blocks."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % _SIDE), (0, -width % _SIDE), (0, 0)), "edge")
    planes = to_ycbcr(padded)
    rows, columns = padded.shape[0] // _SIDE, padded.shape[1] // _SIDE
    split = planes.reshape(rows, _SIDE, columns, _SIDE, 3).transpose(0, 2, 4, 1, 3)
    coefficients: Floats = fft.dctn(split, axes=(3, 4), norm="ortho")
    return coefficients


def _undct(coefficients: Floats, shape: tuple[int, ...]) -> Pixels:
    rows, columns = coefficients.shape[:2]
    split = fft.idctn(coefficients, axes=(3, 4), norm="ortho").transpose(0, 3, 1, 4, 2)
    planes = split.reshape(rows * _SIDE, columns * _SIDE, 3)
    return to_pixels(to_rgb(planes)[: shape[0], : shape[1]])
