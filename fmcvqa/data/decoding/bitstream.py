"""Bytes that no encoder writes, looked for in the coded pictures of H.264 and HEVC.

Both standards forbid 00 00 00, 00 00 01 and 00 00 02 inside a picture's data and put a 03 in their way (ITU-T H.264,
7.4.1; H.265, 7.4.2). A range of zeros from a lost block therefore shows, which FFmpeg's arithmetic decoders read
without an error. A few cheap cameras forget the rule in their headers: only coded slices are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from av.video.stream import VideoStream

Check = Callable[[bytes], bool]
Spans = Iterator[tuple[int, int]]


def forbidden_bytes(stream: VideoStream) -> Check:
    """What tells whether a packet of this stream has bytes in it that its standard forbids."""
    context = stream.codec_context
    if context.name not in ("h264", "hevc"):
        return lambda packet: False
    extradata = bytes(context.extradata or b"")
    is_slice = _is_h264_slice if context.name == "h264" else _is_hevc_slice
    place = 4 if context.name == "h264" else 21  # of the length's size in avcC and hvcC (ISO/IEC 14496-15)
    prefix = (extradata[place] & 3) + 1 if len(extradata) > place and extradata[0] == 1 else 0

    def check(packet: bytes) -> bool:
        spans = _after_lengths(packet, prefix) if prefix else _after_start_codes(packet)
        return any(is_slice(packet[start]) and _breaks_rule(packet, start, end) for start, end in spans)

    return check


def _is_h264_slice(header: int) -> bool:
    return 1 <= header & 31 <= 5


def _is_hevc_slice(header: int) -> bool:
    return header >> 1 & 63 < 32


def _after_lengths(packet: bytes, prefix: int) -> Spans:
    """Units as MP4 and Matroska hold them; a length that does not fit is left to FFmpeg, which refuses it."""
    at = 0
    while at + prefix < len(packet):
        start = at + prefix
        at = start + int.from_bytes(packet[at:start])
        if at > len(packet):
            return
        if at > start:
            yield start, at


def _after_start_codes(packet: bytes) -> Spans:
    at = packet.find(b"\0\0\1")
    while at >= 0:
        start = at + 3
        at = packet.find(b"\0\0\1", start)
        end = at if at >= 0 else len(packet)
        if end > start:
            yield start, end


def _breaks_rule(packet: bytes, start: int, end: int) -> bool:
    at = packet.find(b"\0\0", start, end)
    while 0 <= at < end - 2:
        after = packet[at + 2]
        if after == 0:
            return any(packet[at:end])  # zeros behind a unit are padding
        if after == 2 or (after == 3 and at + 3 < end and packet[at + 3] > 3):
            return True
        at = packet.find(b"\0\0", at + 3, end)
    return False
