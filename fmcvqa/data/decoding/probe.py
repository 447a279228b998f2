"""What a file is, told from its size and first bytes before any decoder opens it.

FFmpeg gives one identical error for empty, text, cut and playlist files, and follows playlists; so they are told apart
and refused here (FAULTS "Input").
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fmcvqa.data.decoding.base import ADVICE, shown, too_many
from fmcvqa.data.decoding.structure import ATOMS, Fault, fault
from fmcvqa.errors import DAMAGE_CODES, VideoError

_HEAD = 4096
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:")
_PLAYLIST = re.compile(
    rb"\s*(#EXTM3U|ffconcat\b|file\s|\[playlist\]|\[InternetShortcut\]|<asx|<smil|v=0\r?\n|[a-z][a-z0-9+.\-]{1,15}://"
    rb"|(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(MPD|smil|playlist|SmoothStreamingMedia)\b)",
    re.IGNORECASE | re.DOTALL,
)
_IMAGES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"\x00\x00\x01\x00": "icon",
}
_IMAGE_BRANDS = {b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis"}


@contextmanager
def open_video(
    path: str | Path, *, max_frames: int, faults: list[Fault] | None = None
) -> Iterator[tuple[BinaryIO, str]]:
    """Opens a file that may be a video, as a plain descriptor: no name ever reaches a decoder.

    Args:
        path: The file.
        max_frames: A video whose index has more is refused.
        faults: Where given, a damaged skeleton is put here instead of refused.

    Yields:
        The open file at its start, and the container seen in its first bytes (empty where not recognised).

    Raises:
        VideoError: E_NOT_FOUND, E_PERMISSION, E_NOT_REGULAR, E_EMPTY, E_FORBIDDEN, E_NO_VIDEO,
            E_TRUNCATED, E_CORRUPT or E_TOO_LARGE.
    """
    with _open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise VideoError("E_EMPTY", f"the video {shown(path)} has 0 bytes", advice=ADVICE)
        head = file.read(_HEAD)
        _refuse_other_content(path, head)
        kind = _container(head)
        if wrong := fault(file, kind, size, max_frames):
            if faults is None or wrong.code not in DAMAGE_CODES:
                raise refusal(path, wrong, max_frames)
            faults.append(wrong)
        file.seek(0)
        yield file, kind


def refusal(path: str | Path, wrong: Fault, max_frames: int) -> VideoError:
    """What a file with such a skeleton is refused with."""
    if wrong.code == "E_TOO_LARGE":
        return too_many(path, wrong.found, max_frames)
    what = "is cut off" if wrong.code == "E_TRUNCATED" else "is damaged"
    return VideoError(wrong.code, f"the video {shown(path)} {what}", found=wrong.found, advice=ADVICE)


def _open_regular(path: str | Path) -> BinaryIO:
    try:
        _refuse_irregular(path, Path(path).stat().st_mode)  # before open(): opening a FIFO waits, opening a device acts
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except PermissionError as error:
        raise VideoError(
            "E_PERMISSION", f"the video {shown(path)} may not be read", advice="give this user the right to read it"
        ) from error
    except (OSError, ValueError) as error:
        if _ADDRESS.match(str(path)):
            raise VideoError(
                "E_FORBIDDEN", f"{shown(path)} is an address, not a file", advice="download it and name the file"
            ) from error
        link = "\0" not in str(path) and os.path.islink(path)  # noqa: PTH114 - Path's raises for a name too long
        problem = f"the video {shown(path)} " + ("is a link to nothing" if link else "does not exist")
        raise VideoError("E_NOT_FOUND", problem, advice="check the path") from error
    file = os.fdopen(descriptor, "rb")
    try:
        _refuse_irregular(path, os.fstat(descriptor).st_mode)
    except VideoError:
        file.close()
        raise
    return file


def _refuse_irregular(path: str | Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    what = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device or socket"
    raise VideoError("E_NOT_REGULAR", f"{shown(path)} is {what}, not a video file", advice="name a video file")


def _refuse_other_content(path: str | Path, head: bytes) -> None:
    if _PLAYLIST.match(head.removeprefix(b"\xef\xbb\xbf")):
        raise VideoError(
            "E_FORBIDDEN",
            f"{shown(path)} is a playlist or address that points at other files",
            advice="name the video files themselves",
        )
    image = next((name for magic, name in _IMAGES.items() if head.startswith(magic)), "")
    if head[8:12] == b"WEBP":
        image = "WebP"
    if head[4:8] == b"ftyp" and head[8:12] in _IMAGE_BRANDS:
        image = "HEIF"
    if image or _is_text(head):
        what = f"a {image} image" if image else "a text file"
        raise VideoError("E_NO_VIDEO", f"{shown(path)} is {what}, not a video", advice="name a video file")


def _is_text(head: bytes) -> bool:
    try:
        # The last bytes may be half a character.
        text = head.decode() if len(head) < _HEAD else head[: _HEAD - 4].decode(errors="ignore")
    except UnicodeDecodeError:
        return False
    if len(head) == _HEAD and len(text.encode()) < _HEAD - 8:
        return False
    return all(character.isprintable() or character in "\t\n\r\f\v" for character in text)


def _container(head: bytes) -> str:
    if head[4:8] in ATOMS:
        return "mov"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head.startswith(b"RIFF") and head[8:12] in (b"AVI ", b"AVIX"):
        return "avi"
    known = {b"FLV\x01": "flv", b"OggS": "ogg", b"\x30\x26\xb2\x75": "asf", b"\x00\x00\x01\xba": "mpeg", b"DKIF": "ivf"}
    if head[:4] in known:
        return known[head[:4]]
    for size, offset in ((188, 0), (192, 4)):
        if head[offset::size][:8].count(b"G") >= min(8, max(2, (len(head) - offset) // size)):
            return "mpegts"
    return ""
