"""FFmpeg made to refuse what it would conceal: strict decoders, and its log as a sign of damage.

Measured per codec by ``make test-faults`` (docs/faults.md, "Silent damage").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import av
import av.logging
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

# Every checksum and syntax check FFmpeg has, the picture hashes of HEVC included; the first that fails is an error.
_CHECKS = "crccheck+bitstream+buffer+explode"
_MARGINS = 2**18  # widths are rounded up to 64 or more
_TOO_LARGE = re.compile(r"Picture size (\d+x\d+) ")

Log = list[tuple[int, str, str]]


def strict_decoder(stream: VideoStream, *, max_pixels: int) -> VideoCodecContext:
    """A decoder for a stream that makes an error of damage, where the codec allows to notice it.

    VP9 is read by libvpx, which notices a picture that needs more bytes than it has; FFmpeg's own decoder returns such
    pictures. Both give the same bytes for a healthy stream. libvpx as PyAV carries it reads 8 bits a sample only.

    Args:
        stream: The stream, not yet decoded.
        max_pixels: Much larger pictures are refused before they take memory, whatever the container says of their
            size; FFmpeg counts the margins it adds, so those a little larger are for the caller to refuse.
    """
    context = stream.codec_context
    options = {"err_detect": _CHECKS, "max_pixels": str(2 * max_pixels + _MARGINS)}
    if context.name == "vp9" and not re.search(r"p1[0-6]", context.pix_fmt or ""):
        own = VideoCodecContext.create("libvpx-vp9", "r")
        own.extradata = context.extradata
        context = own
    elif context.name == "libdav1d":
        options["strict"] = "strict"  # dav1d then checks that each tile ends where it should
    context.options = options
    context.flags |= Flags.unaligned  # else pictures that are cropped on their left keep some columns of that
    context.thread_type = "SLICE"  # frame threads would hide a cut file
    context.thread_count = 1  # several make other pictures of damage, other ones in each run, and notice less of it
    return context


@contextmanager
def listening(log: Log) -> Iterator[None]:
    """Adds FFmpeg's warnings of this thread to ``log`` instead of printing them; leaves no setting behind."""
    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_skip_repeated(False)
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as heard:
            yield
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skips)
        log.extend(heard)


def complaint(log: Log, speaker: str, stream: int) -> str:
    """The first error of that demuxer, or its first warning that a packet of that stream is damaged, or nothing."""
    damaged = f"Packet corrupt (stream = {stream},"
    texts = (text for level, name, text in log if name == speaker and (level <= av.logging.ERROR or damaged in text))
    return " ".join(next(texts, "").split())


def ended_early(text: str) -> bool:
    """Whether this error of a demuxer is about a file that is too short."""
    return "ended prematurely" in text


def too_large(log: Log) -> str:
    """The size of a picture that FFmpeg refused for its size, or nothing."""
    return next((match[1] for _, _, text in log if (match := _TOO_LARGE.match(text))), "")
