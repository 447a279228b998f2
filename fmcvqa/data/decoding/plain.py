"""Files in which every packet is one frame shown as coded: what other decoders than PyAV are trusted with."""

from __future__ import annotations

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from fmcvqa.data.decoding.reading import display_matrix

EIGHT_BIT = {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"}
_ROTATIONS = {(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)}  # and no mirror


def count_plain(container: InputContainer, stream: VideoStream) -> int:
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
