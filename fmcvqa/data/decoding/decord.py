"""Frames by decord for the files it reads right, by PyAV for the rest.

decord 0.6.0 carries FFmpeg 4.1.6 and returns wrong frames without an error on healthy MPEG-TS, open-GOP and trimmed
files, cannot read AV1 and decodes ahead without bound; a look at the packets finds such files beforehand (ECOSYSTEM,
"Decoding"). Damage inside a packet it may conceal in silence: use it for corpora you trust.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmcvqa.data.decoding.base import ADVICE, CHUNK_BYTES, MAX_FRAMES, MAX_PIXELS, Frame, shown
from fmcvqa.data.decoding.clock import FrameIndex
from fmcvqa.data.decoding.plain import Kinds, Plain, look
from fmcvqa.data.decoding.pyav import PyAVDecoder
from fmcvqa.errors import ConfigError, VideoError

_EOF_RETRIES = "2048"  # without a limit a file that ends early is read for ever
_FFMPEG = {"0.6.0": "4.1.6"}  # what the wheels carry; decord itself does not tell


@dataclass(frozen=True)
class DecordDecoder:
    """Reads frames with decord where a look at the packets says it is right, with PyAV elsewhere.

    Args:
        max_pixels: Refuse larger frames (width x height).
        max_frames: Refuse longer videos.
        memory_bytes: Leave videos that take more than this as RGB to PyAV: decord decodes ahead without bound.

    Raises:
        ConfigError: If a number is not positive.
    """

    max_pixels: int = MAX_PIXELS
    max_frames: int = MAX_FRAMES
    memory_bytes: int = 2**30

    def __post_init__(self) -> None:
        if self.memory_bytes < 1:
            raise ConfigError(f"decoder.memory_bytes is {self.memory_bytes}", advice="give a number of at least 1")
        self._pyav  # noqa: B018 - checks the other numbers

    @property
    def _pyav(self) -> PyAVDecoder:
        return PyAVDecoder(self.max_pixels, self.max_frames)

    @property
    def name(self) -> str:
        """``decord``."""
        return "decord"

    def version(self) -> str:
        """Library versions: decord with its FFmpeg, and what reads the other files.

        Raises:
            ConfigError: If decord is not installed.
        """
        found = str(_import_decord().__version__)
        return f"decord {found} (FFmpeg {_FFMPEG.get(found, 'unknown')}), else {self._pyav.version()}"

    def reader_for(self, path: str | Path) -> str:
        """``decord`` or ``pyav``.

        Raises:
            VideoError: If the file cannot be opened at all.
        """
        return "decord" if self._look(path).frames else "pyav"

    def frames(self, path: str | Path, *, stride: int = 1) -> Iterator[tuple[int, Frame]]:
        """Yields every ``stride``-th frame as uint8 RGB ``[h, w, 3]``; see `Decoder`."""
        count, frame_bytes = self._look(path)
        if not count:
            yield from self._pyav.frames(path, stride=stride)
            return
        decord = _import_decord()
        try:
            # An absolute path cannot be an address.
            reader = decord.VideoReader(str(Path(path).absolute()), ctx=decord.cpu(0), num_threads=1)
            try:
                yield from _read(reader, path, count, stride, max(1, CHUNK_BYTES // frame_bytes))
            finally:
                del reader
        except decord.DECORDError as error:  # its only one, whatever went wrong
            found = "decord could not read it to its end"
            raise VideoError("E_CORRUPT", f"the video {shown(path)} is damaged", found=found, advice=ADVICE) from error

    def _look(self, path: str | Path) -> Plain:
        found = look(path, _KINDS, max_pixels=self.max_pixels, max_frames=self.max_frames)
        return found if found.frames * found.frame_bytes <= self.memory_bytes else Plain(0, 0)


def _first(path: Path) -> Frame | None:
    decord = _import_decord()
    try:
        frame: Frame = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)[0].asnumpy()
    except decord.DECORDError:
        return None
    return frame


_KINDS = Kinds(frozenset({"h264", "mpeg4"}), ("mov", "avi"), declared=True, first=_first)


def _read(reader: Any, path: str | Path, count: int, stride: int, step: int) -> Iterator[tuple[int, Frame]]:
    """Reads everything in increasing order and keeps what is asked for: sparse reads may never return."""
    if len(reader) != count:
        found = f"{len(reader)} of {count} frames"
        raise VideoError("E_CORRUPT", f"the video {shown(path)} is damaged", found=found, advice=ADVICE)
    for start in range(0, count, step):
        batch = reader.get_batch(list(range(start, min(start + step, count)))).asnumpy()
        for k, frame in enumerate(batch, start):
            if k % stride == 0:
                yield FrameIndex(k, float(reader.get_frame_timestamp(k)[0])), frame  # after the first frame


def _import_decord() -> Any:
    os.environ.setdefault("DECORD_EOF_RETRY_MAX", _EOF_RETRIES)
    try:
        import decord
    except (ImportError, OSError) as error:
        raise _no_decord() from error
    decord.logging.set_level(decord.logging.FATAL)
    return decord


def _no_decord() -> ConfigError:
    return ConfigError(
        "decoder=decord asks for decord, which is not installed",
        found="decord has packages for Linux on x86-64 and for Windows only",
        advice="decoder=pyav, which reads the same frames everywhere",
    )
