"""Clips whose blur, noise, shake and H.264 quality change over time."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from io import BytesIO

import av
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fmcvqa.data.pixels import Pixels
from fmcvqa.data.synthetic.mos import SEVERITIES
from fmcvqa.data.synthetic.scenes import Scene

_BLUR, _NOISE, _COMPRESSION, _SHAKE = range(len(SEVERITIES))
_COURSES = ("steady", "rising", "falling", "episode")
_CHIEF = (0.3, 0.2, 0.3, 0.2)  # how often each is the chief fault
_SHORT_SIDE = 180  # blur and shake are stated for frames of this height and grow with the frame
_BLUR_SIGMA = 3.2  # pixels
_NOISE_SIGMA = 32.0  # grey levels
_SHAKE_REACH = 8.0  # pixels
_QP_BEST, _QP_WORST = 18, 50
_ONSET = 0.7  # a fault grows with severity ** 0.7: the score counts it from where it is first seen
# x264 165 with AVX-512 gives other bytes in one run of four. With SSE2 it gives those of plain C, three times as fast.
ASSEMBLY = "SSE2" if platform.machine() in ("x86_64", "AMD64") else "0"
_EXPOSURES = 3  # looks per frame while the hand shakes, which smear it as an open shutter does


def plan_severities(frames: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw what goes wrong in a clip and when: one chief fault, now and then others, and a course over time.

    Returns:
        [frames, 4] severities in [0, 1], columns as in ``SEVERITIES``.
    """
    mixture = np.where(rng.uniform(size=len(SEVERITIES)) < 0.25, rng.uniform(0.2, 0.8, len(SEVERITIES)), 0.0)
    mixture[int(rng.choice(len(SEVERITIES), p=_CHIEF))] = 1.0
    overall, course, when = rng.uniform(), _COURSES[int(rng.integers(len(_COURSES)))], np.linspace(0, 1, frames)
    if course == "steady":
        strength = np.ones(frames)
    elif course == "episode":
        start = rng.uniform(0, 0.6)
        strength = np.where((when >= start) & (when <= start + 0.4), 1.0, 0.35)
    else:
        ramp = 0.3 + 0.7 * when
        strength = ramp if course == "rising" else ramp[::-1]
    return np.asarray(overall * strength[:, None] * mixture[None, :])


def quantisers(compression: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """H.264 quantisation parameter (QP) per frame for compression severities in [0, 1]."""
    return np.round(_QP_BEST + (_QP_WORST - _QP_BEST) * compression**_ONSET).astype(np.int64)


def render(scene: Scene, severities: npt.NDArray[np.float64], fps: int, rng: np.random.Generator) -> Iterator[Pixels]:
    """The frames of a clip before encoding: shaken, blurred and noisy as planned.

    Args:
        scene: What is filmed.
        severities: [frames, 4], columns as in ``SEVERITIES``.
        fps: Frames per second.
        rng: Source of chance.
    """
    scale = min(scene.size) / _SHORT_SIDE
    strengths = severities**_ONSET
    path = _hand(len(strengths), rng) * _SHAKE_REACH * scale * strengths[:, _SHAKE].repeat(_EXPOSURES)[:, None]
    for index, row in enumerate(strengths):
        looks = [
            scene.frame((index + 0.5 * look / _EXPOSURES) / fps, (float(x), float(y)))
            for look, (x, y) in enumerate(path[index * _EXPOSURES : (index + 1) * _EXPOSURES])
            if look == 0 or row[_SHAKE] > 0.02
        ]
        pixels: npt.NDArray[np.float32] = np.mean(looks, axis=0, dtype=np.float32)
        sigma = _BLUR_SIGMA * scale * row[_BLUR]
        if sigma > 0.2:
            pixels = np.asarray(ndimage.gaussian_filter(pixels, (sigma, sigma, 0)), np.float32)
        if row[_NOISE] > 0:
            grey = rng.standard_normal((*scene.size, 1), dtype=np.float32)
            colour = rng.standard_normal((*scene.size, 3), dtype=np.float32)
            pixels += np.float32(_NOISE_SIGMA * row[_NOISE]) * (np.float32(0.8) * grey + np.float32(0.6) * colour)
        yield np.clip(np.round(pixels), 0, 255).astype(np.uint8)


def encode(frames: Iterable[Pixels], qp: npt.NDArray[np.int64], fps: int, size: tuple[int, int]) -> bytes:
    """Encode frames as H.264 in MP4, 8 bit 4:2:0; the same frames give the same bytes.

    Args:
        frames: RGB pixels [height, width, 3], in order.
        qp: Quantisation parameter of each frame; a change is a change of the bit rate.
        fps: Frames per second.
        size: Height and width, both even.
    """
    zones = "/".join(f"{index},{index},q={value}" for index, value in enumerate(qp.tolist()))
    options = {"preset": "veryfast", "crf": str(int(qp[0])), "bf": "2"}
    options["x264-params"] = f"threads=1:lookahead-threads=1:asm={ASSEMBLY}:zones={zones}"
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def _hand(frames: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """The path of an unsteady hand, [frames * exposures, 2], standard deviation near 1."""
    steps = rng.standard_normal((frames * _EXPOSURES, 2))
    path = ndimage.gaussian_filter1d(steps, 1.5, axis=0)
    return np.asarray(path / max(float(path.std()), 1e-6))
