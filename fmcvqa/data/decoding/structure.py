"""Walks the skeleton of a container before FFmpeg opens it: each part must begin where the one before it ends.

FFmpeg looks for the next part that makes sense when it meets one that does not, and says nothing. What is lost in
between shows here: parts that are cut off, overwritten or missing, and indices that promise more than any video has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np


@dataclass(frozen=True)
class Fault:
    """What is wrong with a skeleton.

    Attributes:
        code: Of its error.
        found: What was found.
        at: From this byte on nothing is to be trusted, the part in front of the place included, as it may be what ends
            wrong; None for a file that only ends early.
    """

    code: str
    found: str
    at: int | None = None


def _at(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


ATOMS = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"moof", b"sidx", b"uuid", b"meta"}


def _atoms(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin and end of the content of each atom; ends with a name of no bytes where there is none."""
    position = begin
    while position + 8 <= end:
        header = _at(file, position, 16)
        length, name, skip = int.from_bytes(header[:4]), header[4:8], 8
        if length == 1:
            length, skip = int.from_bytes(header[8:16]), 16
        if length == 0:  # the last atom, open-ended
            length = end - position
        if length < skip or not (name in ATOMS or name.isalnum()):
            yield b"", position, end
            return
        yield name, position + skip, position + length
        position += length


def _mov(file: BinaryIO, size: int, max_frames: int) -> Fault | None:
    """The index (moov) must be there, no atom may end behind the file, and nothing may lie between fragments."""
    names, before = set(), 0
    for name, begin, end in _atoms(file, 0, size):
        if not name and b"moof" in names:
            return Fault("E_CORRUPT", f"no part of an MP4 file at byte {begin}", before)
        if not name:
            break  # padding or somebody's trailer: the decoder decides
        frames = _most_frames(file, begin, end) if name == b"moov" else 0
        if frames > max_frames:
            return Fault("E_TOO_LARGE", f"{frames} frames")
        if end > size:
            return Fault("E_TRUNCATED", f"{size} bytes, but its part {name.decode()!r} ends at byte {end}")
        names.add(name)
        before = begin
    return None if b"moov" in names else Fault("E_TRUNCATED", "no index (moov) in it")


def _most_frames(file: BinaryIO, begin: int, end: int) -> int:
    """Frames of the longest video track; FFmpeg would fill memory with an entry for each."""
    most = 0
    for name, track, track_end in _atoms(file, begin, end):
        if name == b"trak":
            found = dict(_leaves(file, track, min(track_end, end)))
            if found.get(b"hdlr", b"")[8:12] == b"vide":
                most = max(most, int.from_bytes(found.get(b"stsz", found.get(b"stz2", b""))[8:12]))
    return most


def _leaves(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    for name, start, stop in _atoms(file, begin, end):
        if name in (b"mdia", b"minf", b"stbl"):
            yield from _leaves(file, start, min(stop, end))
        elif name in (b"hdlr", b"stsz", b"stz2"):
            yield name, _at(file, start, 12)


_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
# Parts of a Segment and of a Cluster (RFC 9559, 5.1); none is inside another of them, so one level is enough.
_ELEMENTS = {0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1043A770, 0x1254C367, 0x1941A469, 0xEC, 0xBF}
_ELEMENTS |= {0xE7, 0xA3, 0xA0, 0xAB, 0xA7, 0x5854, 0xAF}


def _matroska(file: BinaryIO, size: int, max_frames: int) -> Fault | None:
    """Every element of the Segment and of its Clusters must be one that belongs there and end inside the file."""
    head, known, wrong = _at(file, 4, 8), False, None
    header = _vint(head)
    position = before = 4 + header[1] + (header[0] or 0)
    end = size
    while position < end:
        head = _at(file, position, 12)
        width = 9 - head[0].bit_length()
        name, (length, took) = int.from_bytes(head[:width]), _vint(head[width:])
        begin = position + width + took
        if name not in (_SEGMENT, _CLUSTER, *_ELEMENTS) or not took:
            return replace(wrong or Fault("E_CORRUPT", f"no part of a Matroska file at byte {position}"), at=before)
        if length is not None and begin + length > end:
            found = f"{size} bytes, but a part ends at byte {begin + length}"
            wrong = wrong or (Fault("E_CORRUPT", found, before) if known else Fault("E_TRUNCATED", found))
            if name not in (_SEGMENT, _CLUSTER):
                return replace(wrong, at=before)
        if name == _SEGMENT and length is not None:
            known, end = True, min(begin + length, size)
        before = position
        position = begin if name in (_SEGMENT, _CLUSTER) or length is None else begin + length
    return wrong


def _vint(data: bytes) -> tuple[int | None, int]:
    """A number and how many bytes it takes; None where all its bits are set: unknown, as live recordings have it."""
    if not data or not data[0]:
        return 0, 0
    width = 9 - data[0].bit_length()
    if len(data) < width:
        return 0, 0
    ones = (1 << 7 * width) - 1
    value = int.from_bytes(data[:width]) & ones
    return (None if value == ones else value), width


_CHUNK = re.compile(rb"\d\d(dc|db|wb|pc|tx|sb|iv)|ix\d\d|LIST|JUNK|junk|idx1|RIFF", re.DOTALL)


def _avi(file: BinaryIO, size: int, max_frames: int) -> Fault | None:
    """Chunks of the data must have names of chunks and follow each other without a gap."""
    end = int.from_bytes(_at(file, 4, 4), "little") + 8
    if end <= 8:
        return None  # a recorder that was not closed leaves 0
    # Beyond 2 GB it may be anything.
    wrong = Fault("E_TRUNCATED", f"{size} bytes of {end}") if size < end < 2**31 else None
    position, before, odd, data = 12, 12, 0, False
    while position + 8 <= min(size, end):
        head = _at(file, position, 12)
        length = int.from_bytes(head[4:8], "little")
        if not _CHUNK.match(head) and odd and _CHUNK.match(_at(file, position - 1, 4)):
            position, odd = position - 1, 0  # a writer that forgets to pad
            continue
        if data and not _CHUNK.match(head):
            return replace(wrong or Fault("E_CORRUPT", f"no part of an AVI file at byte {position}"), at=before)
        enter = head[:4] == b"LIST" and head[8:12] in (b"movi", b"rec ")
        data |= enter
        odd = 0 if enter else length % 2
        before = position
        position += 12 if enter else 8 + length + odd
    return wrong if data else replace(wrong or Fault("E_CORRUPT", "no data (movi) in it"), at=0)


def _mpegts(file: BinaryIO, size: int, max_frames: int) -> Fault | None:
    """Each transport packet begins with its sync byte (ISO/IEC 13818-1, 2.4.3.2); a recording may end within one."""
    packet, offset = (188, 0) if _at(file, 0, 1) == b"G" else (192, 4)
    rest = size % packet
    wrong = Fault("E_TRUNCATED", f"{rest} bytes behind the last whole transport packet", size - rest) if rest else None
    step = packet * 4096
    for start in range(0, size, step):
        block = np.frombuffer(_at(file, start, step), np.uint8)
        lost = np.flatnonzero(block[offset::packet] != 0x47)
        if len(lost):
            at = start + packet * int(lost[0])
            return replace(wrong or Fault("E_CORRUPT", f"no transport packet at byte {at}"), at=at)
    return wrong


_WALKS: dict[str, Callable[[BinaryIO, int, int], Fault | None]] = {
    "mov": _mov,
    "matroska": _matroska,
    "avi": _avi,
    "mpegts": _mpegts,
}

WALKED = frozenset(_WALKS)


def fault(file: BinaryIO, kind: str, size: int, max_frames: int) -> Fault | None:
    """What is wrong with the skeleton of a file, as far as its kind of container has one.

    Args:
        file: The open file.
        kind: The container seen in its first bytes.
        size: Its bytes.
        max_frames: More frames in an index are refused before it is read.
    """
    return _WALKS[kind](file, size, max_frames) if kind in _WALKS else None
