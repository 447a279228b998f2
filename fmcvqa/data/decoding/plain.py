"""Files in which every packet is one frame shown as coded: what other decoders than PyAV are trusted with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from fmcvqa.data.decoding.opening import opened
from fmcvqa.data.decoding.reading import display_matrix

_EIGHT_BIT = {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"}
_ROTATIONS = {(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)}  # and no mirror


@dataclass(frozen=True)
class Kinds:
    """What a decoder reads byte for byte as PyAV does, which the tests certify.

    Attributes:
        codecs: FFmpeg's names.
        containers: Beginnings of FFmpeg's names.
        declared: Whether the container must state the number of frames that are in it.
    """

    codecs: frozenset[str]
    containers: tuple[str, ...]
    declared: bool


class Plain(NamedTuple):
    """Number of frames of a plain file, and bytes of one as RGB; zeros for a file that is not plain."""

    frames: int
    frame_bytes: int


def look(path: str | Path, kinds: Kinds, *, max_pixels: int, max_frames: int) -> Plain:
    """Look whether a file is of these kinds and plain; zeros too where its name is none that other libraries take.

    Raises:
        VideoError: If the file cannot be opened as a video, or is larger than the limits allow.
    """
    try:
        status = Path(path).stat()
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        str(path).encode()
    except (OSError, ValueError):
        return Plain(0, 0)  # PyAV says why, or reads it
    return _look(Path(path).absolute(), stamp, kinds, max_pixels, max_frames)


@lru_cache(maxsize=8)
def _look(path: Path, stamp: tuple[int, ...], kinds: Kinds, max_pixels: int, max_frames: int) -> Plain:
    """Reads all packets and decodes one frame with PyAV, 5-70 ms (ECOSYSTEM, "Decoding")."""
    with opened(path, max_pixels=max_pixels, max_frames=max_frames) as (container, stream):
        context = stream.codec_context
        pixels = context.pix_fmt or ""
        even = context.width % 2 == 0 and context.height % 2 == 0
        plain = (
            container.format.name.startswith(kinds.containers)
            and context.name in kinds.codecs
            and pixels in _EIGHT_BIT
            and (even or "444" in pixels)
            and bool(stream.frames or not kinds.declared)
        )
        count = _count(container, stream) if plain else 0
        if 0 < count <= max_frames and (count == stream.frames or not kinds.declared):
            return Plain(count, 3 * context.width * context.height)
    return Plain(0, 0)


def _count(container: InputContainer, stream: VideoStream) -> int:
    """Number of packets if each is one frame to be shown as coded, in a file that starts with a key frame; else 0."""
    count, first_key, frame = 0, None, None
    try:
        for packet in container.demux(stream):
            frame = frame or next(iter(packet.decode()), None)
            if packet.size == 0:
                continue
            first_key = packet.pts if first_key is None and packet.is_keyframe else first_key
            if packet.is_discard or packet.is_corrupt or packet.pts is None or first_key is None:
                return 0
            if packet.pts < first_key:
                return 0
            count += 1
    except av.FFmpegError:
        return 0  # PyAV will say what is wrong
    return count if frame is not None and display_matrix(frame) in _ROTATIONS else 0
