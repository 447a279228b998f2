"""Files in which every packet is one frame shown as coded: what other decoders than PyAV are trusted with."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fmcvqa.data.decoding.base import Frame
from fmcvqa.data.decoding.opening import opened
from fmcvqa.data.decoding.pyav import to_rgb
from fmcvqa.data.decoding.reading import display_matrix, is_exact
from fmcvqa.files import file_state

_EIGHT_BIT = {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"}
_ROTATIONS = {(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)}  # and no mirror
_MATRICES = {1, 2, 4, 5, 6, 7, 9}  # of colours (ITU-T H.273, table 4), which all convert alike
_LAYER = re.compile(rb"\x00\x00\x01[\x20-\x2f].*?(?=\x00\x00\x01)", re.DOTALL)  # ISO/IEC 14496-2, 6.2.3


@dataclass(frozen=True)
class Kinds:
    """What a decoder reads byte for byte as PyAV does, which the tests certify.

    Attributes:
        codecs: FFmpeg's names.
        containers: Beginnings of FFmpeg's names.
        declared: Whether the container must state the number of frames that are in it.
        first: Reads the first frame of a file with that decoder; the file is its own only if it is PyAV's. No array
            where it cannot.
    """

    codecs: frozenset[str]
    containers: tuple[str, ...]
    declared: bool
    first: Callable[[Path], Frame | None]


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
        str(path).encode()
    except UnicodeEncodeError:
        return Plain(0, 0)
    state = file_state(Path(path))
    if not state:
        return Plain(0, 0)  # PyAV says why
    return _look(Path(path).absolute(), state, kinds, max_pixels, max_frames)


@lru_cache(maxsize=8)
def _look(path: Path, state: tuple[int, ...], kinds: Kinds, max_pixels: int, max_frames: int) -> Plain:
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
            and len(container.streams.video) == 1  # of several each library takes another
        )
        count, first = _count(container, stream) if plain else (0, None)
        if first is not None and 0 < count <= max_frames and (count == stream.frames or not kinds.declared):
            theirs = kinds.first(path)
            if theirs is not None and np.array_equal(theirs, to_rgb(first, display_matrix(first))):
                return Plain(count, theirs.nbytes)
    return Plain(0, 0)


def _count(container: InputContainer, stream: VideoStream) -> tuple[int, VideoFrame | None]:
    """Number of packets and the first frame, if each is one to be shown as coded and the first is a key frame; else 0.

    No field of two, no second size or orientation of pictures, no time twice, and in AVI, which has no times of its
    own, no order but the coded one.
    """
    count, first_key, frame, times, headers = 0, None, None, set[int](), set[bytes]()
    try:
        for packet in container.demux(stream):
            frame = frame or next(iter(packet.decode()), None)
            if packet.size == 0:
                continue
            first_key = packet.pts if first_key is None and packet.is_keyframe else first_key
            if packet.is_discard or packet.is_corrupt or packet.pts is None or first_key is None:
                return 0, None
            if packet.pts < first_key or packet.pts in times or packet.has_sidedata("new_extradata"):
                return 0, None
            times.add(packet.pts)
            headers |= _headers(packet) if packet.is_keyframe else set()
            if len(headers) > 1:
                return 0, None
            count += 1
    except av.FFmpegError:
        return 0, None  # PyAV will say what is wrong
    if frame is None or frame.interlaced_frame or int(frame.colorspace) not in _MATRICES:
        return 0, None
    reorders = stream.codec_context.name == "h264" or stream.codec_context.has_b_frames
    if container.format.name == "avi" and reorders:
        return 0, None
    return (count, frame) if display_matrix(frame) in _ROTATIONS and is_exact(frame) else (0, None)


def _headers(packet: Packet[VideoStream]) -> set[bytes]:
    """What a packet says of all pictures to come, such as their size; of H.264 and HEVC behind lengths, not in AVI."""
    data, name = bytes(packet), packet.stream.codec_context.name
    if name == "mpeg4":
        return set(_LAYER.findall(data))
    found, position = set(), 0
    while name in ("h264", "hevc") and position + 4 < len(data):
        length, unit = int.from_bytes(data[position : position + 4]), data[position + 4]
        if (unit & 31 == 7) if name == "h264" else (unit >> 1 & 63 == 33):  # sequence parameters
            found.add(data[position + 4 : position + 4 + length])
        position += 4 + length
    return found
