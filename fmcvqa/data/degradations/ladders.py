"""Codecs at given qualities: MP4 files whose bytes the frames and settings decide."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from typing import cast

import av
from av.video.stream import VideoStream

from fmcvqa.data.degradations.base import Shape, Values
from fmcvqa.data.pixels import Pixels
from fmcvqa.data.synthetic.clips import ASSEMBLY
from fmcvqa.errors import ConfigError

STORED_QP = 10
"""H.264 quantiser of clips that no codec degrades: visually lossless."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """One encoder of FFmpeg.

    Attributes:
        name: FFmpeg's name of it.
        options: From the value of each frame [n] to its options, one thread.
    """

    name: str
    options: Callable[[Values], dict[str, str]]


def _x264(values: Values) -> dict[str, str]:
    """A quantiser for every frame; runs of equal ones are one zone."""
    zones, start = [], 0
    for value, run in groupby(values.round().astype(int).tolist()):
        stop = start + len(list(run))
        zones.append(f"{start},{stop - 1},q={value}")
        start = stop
    params = f"threads=1:lookahead-threads=1:asm={ASSEMBLY}:zones={'/'.join(zones)}"
    return {"preset": "veryfast", "crf": f"{values[0]:.0f}", "bf": "2", "x264-params": params}


def _x265(values: Values) -> dict[str, str]:
    params = f"qp={values[0]:.0f}:pools=none:frame-threads=1:wpp=0:log-level=error"
    return {"preset": "veryfast", "x265-params": params}


def _vpx(values: Values) -> dict[str, str]:
    return {"crf": f"{values[0]:.0f}", "b": "0", "deadline": "good", "cpu-used": "5", "threads": "1", "row-mt": "0"}


def _svt(values: Values) -> dict[str, str]:
    os.environ.setdefault("SVT_LOG", "1")  # errors only; it would fill stderr for each file
    return {"crf": f"{values[0]:.0f}", "preset": "8", "svtav1-params": "lp=1"}


def _aom(values: Values) -> dict[str, str]:
    return {"crf": f"{values[0]:.0f}", "b": "0", "cpu-used": "8", "threads": "1", "row-mt": "0"}


CODECS = {
    "h264": (Encoder("libx264", _x264),),
    "hevc": (Encoder("libx265", _x265),),
    "vp9": (Encoder("libvpx-vp9", _vpx),),
    "av1": (Encoder("libsvtav1", _svt), Encoder("libaom-av1", _aom)),
}


def encoder_for(codec: str) -> Encoder:
    """The first encoder of a codec that this PyAV has.

    Raises:
        ConfigError: If it has none.
    """
    for encoder in CODECS[codec]:
        if _has(encoder.name):
            return encoder
    there = [name for name, encoders in CODECS.items() if any(_has(encoder.name) for encoder in encoders)]
    raise ConfigError(
        f"PyAV {av.__version__} has no encoder of {codec} ({', '.join(e.name for e in CODECS[codec])})",
        found=f"encoders of {', '.join(there) or 'none of the codecs'}",
        advice=f"--types without {codec}, or a PyAV built with it",
    )


def encode(frames: Iterable[Pixels], codec: str, values: Values, shape: Shape) -> bytes:
    """The frames as an MP4 file, 8 bit 4:2:0.

    Args:
        frames: RGB [height, width, 3], in order.
        codec: A key of ``CODECS``.
        values: Quality of each frame [n]; only ``h264`` follows its changes.
        shape: Their number, size and rate.

    Raises:
        ConfigError: If this PyAV has no such encoder.
    """
    encoder = encoder_for(codec)
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        added = container.add_stream(encoder.name, rate=shape.rate, options=encoder.options(values))
        stream = cast(VideoStream, added)  # every name in CODECS is a video encoder's
        stream.height, stream.width = shape.size
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def _has(name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except (ValueError, LookupError):
        return False
    return True
