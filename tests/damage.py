"""Damage as files really get it, from a seed; and what became of the pictures."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from barcode import Image, write_clip

from fmcvqa.data.decoding import PyAVDecoder
from fmcvqa.data.decoding.salvage import SalvagingDecoder
from fmcvqa.errors import DAMAGE_CODES, VideoError

SECTOR = 512


def _cut(data: bytearray, rng: np.random.Generator) -> None:
    """The end is missing."""
    del data[int(rng.integers(len(data) // 20, len(data) * 19 // 20)) :]


def _zero(data: bytearray, rng: np.random.Generator) -> None:
    """One to four sectors were never written."""
    start, length = _sectors(data, rng)
    data[start : start + length] = bytes(length)


def _overwrite(data: bytearray, rng: np.random.Generator) -> None:
    """One to four sectors hold something else."""
    start, length = _sectors(data, rng)
    data[start : start + length] = rng.bytes(length)


def _lose(data: bytearray, rng: np.random.Generator) -> None:
    """One to four sectors, or transport packets, are gone and the rest moved up."""
    if data[0] == 0x47 and data[188] == 0x47:
        start, length = 188 * int(rng.integers(len(data) // 188 - 4)), 188 * int(rng.integers(1, 5))
    else:
        start, length = _sectors(data, rng)
    del data[start : start + length]


def _burst(data: bytearray, rng: np.random.Generator) -> None:
    """Thirty-two bytes in a row are noise."""
    start = int(rng.integers(len(data) - 32))
    data[start : start + 32] = rng.bytes(32)


def _flip(data: bytearray, rng: np.random.Generator) -> None:
    """One bit is the other way round."""
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))


def _sectors(data: bytearray, rng: np.random.Generator) -> tuple[int, int]:
    length = SECTOR * int(rng.integers(1, 5))
    return SECTOR * int(rng.integers((len(data) - length) // SECTOR)), length


KINDS: dict[str, Callable[[bytearray, np.random.Generator], None]] = {
    "cut": _cut,
    "zero": _zero,
    "overwrite": _overwrite,
    "lose": _lose,
    "burst": _burst,
    "flip": _flip,
}
LARGE = ("cut", "zero", "overwrite", "lose")  # what disks, copies and networks do


def damaged(data: bytes, kind: str, seed: int) -> bytes:
    """A copy of a file with one piece of damage."""
    copy = bytearray(data)
    KINDS[kind](copy, np.random.default_rng([seed, *kind.encode()]))
    return bytes(copy)


def moving(count: int, width: int = 192, height: int = 128, seed: int = 0) -> list[Image]:
    """Frames of two textures that move against each other, with a little noise, so that packets are not trivial."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    picture = np.kron(noise, np.ones((8, 8, 1), np.uint8))
    frames = []
    for k in range(count):
        frame = np.roll(picture, 3 * k, axis=1)
        frame[height // 3 : -height // 3, width // 3 : -width // 3] = np.roll(picture, -2 * k, axis=0)[
            height // 3 : -height // 3, width // 3 : -width // 3
        ]
        frames.append(np.clip(frame + rng.integers(-6, 7, frame.shape), 0, 255).astype(np.uint8))
    return frames


X265 = {"x265-params": "log-level=none:pools=1"}
HASHED = {"x265-params": "log-level=none:pools=1:hash=1"}
VPX = {"deadline": "realtime", "cpu-used": "8"}
# What FAULTS counts: six containers with the codec most often found in them.
CONTAINERS = {
    "h264.mp4": {},
    "h264.mkv": {},
    "h264.ts": {},
    "h264.mov": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "mpeg4.avi": {"codec": "mpeg4"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": VPX},
}
# The other codecs, told apart because what can be noticed depends on the codec more than on the container.
OTHERS = {
    "h264.flv": {},
    "hevc.mp4": {"codec": "libx265", "options": X265},
    "hevc_hash.mp4": {"codec": "libx265", "options": HASHED},
    "mpeg2.ts": {"codec": "mpeg2video"},
    "mpeg2.mpg": {"codec": "mpeg2video"},
    "vp8.webm": {"codec": "libvpx", "options": VPX},
    "wmv2.asf": {"codec": "wmv2"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


def source(folder: Path, name: str) -> Path:
    """The healthy clip of that name."""
    path = folder / name
    return path if path.exists() else write_clip(path, moving(48), **{**CONTAINERS, **OTHERS}[name])


def digest(frame: Image) -> bytes:
    """Of one frame."""
    return hashlib.sha256(frame.tobytes()).digest()


def digests(path: Path) -> list[bytes]:
    """A digest of each frame; raises like the decoder."""
    return [digest(frame) for _, frame in PyAVDecoder().frames(path)]


def salvaged(path: Path) -> tuple[list[bytes], VideoError | None]:
    """A digest of each frame that is used where damage is allowed, and what is wrong behind them."""
    given: list[bytes] = []
    try:
        for _, frame in SalvagingDecoder().frames(path):
            given.append(digest(frame))
    except VideoError as error:
        return given if error.located and error.code in DAMAGE_CODES else [], error
    return given, None


def outcome(path: Path, whole: list[bytes]) -> str:
    """``found`` if the file is refused, ``harmless`` if every frame is as it was, else ``missed``."""
    try:
        return "harmless" if digests(path) == whole else "missed"
    except VideoError:
        return "found"


def cut_clip(path: Path, whole: Path | None = None, *, keep: float = 0.7) -> Path:
    """A clip of 48 frames, or ``whole``, that ends early with many of its frames; Matroska or transport stream."""
    data = (whole or write_clip(path, moving(48))).read_bytes()
    path.write_bytes(data[: int(len(data) * keep) | 1])  # never between two transport packets, where nothing tells
    return path


def tally(folder: Path, name: str, kind: str, seeds: range) -> Counter[str]:
    """Outcomes over seeds."""
    data, whole = source(folder, name).read_bytes(), digests(source(folder, name))
    path = folder / f"damaged_{name}"
    counts: Counter[str] = Counter()
    for seed in seeds:
        path.write_bytes(damaged(data, kind, seed))
        counts[outcome(path, whole)] += 1
    return counts
