"""Small files whose headers promise more than any machine should hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
from barcode import write_clip

HUGE = 10**9


def _exp_golomb(value: int) -> str:
    bits = f"{value + 1:b}"
    return "0" * (len(bits) - 1) + bits


def h264_parameters(width: int, height: int) -> bytes:
    """A sequence parameter set of the baseline profile for pictures of that size (ITU-T H.264, 7.3.2.1)."""
    bits = _exp_golomb(0) + _exp_golomb(0) + _exp_golomb(2) + _exp_golomb(1) + "0"
    bits += _exp_golomb(width // 16 - 1) + _exp_golomb(height // 16 - 1) + "1" + "1" + "0" + "0" + "1"
    bits += "0" * (-len(bits) % 8)
    body = bytes([66, 0, 62]) + int(bits, 2).to_bytes(len(bits) // 8)
    return b"\0\0\0\1\x67" + body.replace(b"\0\0\1", b"\0\0\3\1").replace(b"\0\0\0", b"\0\0\3\0")


def h264(size: int, ending: str) -> Callable[[Path], None]:
    """A stream whose parameters say ``size`` x ``size``, with the coded pictures of a small clip behind them."""

    def make(path: Path) -> None:
        small = write_clip(path.with_name("small.h264"), 8, options={"bf": "0", "g": "1", "profile": "baseline"})
        parts = small.read_bytes().split(b"\0\0\0\1")
        kept = [part for part in parts[1:] if part[0] & 31 != 7]
        raw = path.with_name("huge.h264")
        raw.write_bytes(h264_parameters(size, size) + b"".join(b"\0\0\0\1" + part for part in kept))
        if ending == "h264":
            raw.replace(path)
            return
        with av.open(str(raw)) as origin, av.open(str(path), "w", format=ending) as target:
            copy = target.add_stream_from_template(origin.streams.video[0])
            for k, packet in enumerate(origin.demux(video=0)):
                if packet.size:
                    packet.stream, packet.pts, packet.dts = copy, k * 3600, k * 3600
                    target.mux(packet)

    return make


def vp8(width: int, height: int) -> Callable[[Path], None]:
    """A WebM file whose key frames say that size (RFC 6386, 9.1)."""

    def make(path: Path) -> None:
        clip = write_clip(path.with_name("small.webm"), 8, codec="libvpx", options={"deadline": "realtime"})
        size = width.to_bytes(2, "little") + height.to_bytes(2, "little")
        start = b"\x9d\x01\x2a"
        small = (96).to_bytes(2, "little") + (64).to_bytes(2, "little")
        path.write_bytes(clip.read_bytes().replace(start + small, start + size))

    return make


def motion_jpeg(size: int) -> Callable[[Path], None]:
    """An AVI file whose pictures say that size (ITU-T T.81, B.2.2); the container tells another."""

    def make(path: Path) -> None:
        small = write_clip(path.with_name("small.avi"), 4, codec="mjpeg", pix_fmt="yuvj420p")
        data = bytearray(small.read_bytes())
        at = data.find(b"\xff\xc0")
        while at >= 0:
            data[at + 5 : at + 9] = size.to_bytes(2) + size.to_bytes(2)
            at = data.find(b"\xff\xc0", at + 2)
        path.write_bytes(data)

    return make


def mp4_frames(path: Path) -> None:
    """An index that says a thousand million frames of one byte each."""
    data = bytearray(write_clip(path.with_name("small.mp4"), 8).read_bytes())
    at = data.index(b"stsz") + 8
    data[at : at + 8] = (1).to_bytes(4) + HUGE.to_bytes(4)
    path.write_bytes(data)


def avi_frames(path: Path) -> None:
    """A stream header that says as many."""
    data = bytearray(write_clip(path.with_name("small.avi"), 8, codec="mpeg4").read_bytes())
    at = data.index(b"strh") + 8 + 32
    data[at : at + 4] = HUGE.to_bytes(4, "little")
    path.write_bytes(data)


BOMBS: dict[str, Callable[[Path], None]] = {
    "8K, vp8": vp8(7680, 4320),
    "16k x 16k, vp8": vp8(16383, 16383),
    "16k x 16k, motion jpeg": motion_jpeg(16384),
    "16k x 16k, h264": h264(16384, "h264"),
    "16k x 16k, h264 in ts": h264(16384, "mpegts"),
    "10^9 frames, mp4": mp4_frames,
    "10^9 frames, avi": avi_frames,
}
