"""What a decoder is, what it may spend on one file, and how frames become chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from fmcvqa.errors import DAMAGE_CODES, ConfigError, Damage, VideoError
from fmcvqa.memory import has_room

Frame = npt.NDArray[np.uint8]
OnDamage = Literal["reject", "mark"]

# 16 frames of KoNViD-1k (960x540) or one frame of 3840x2160; two such slots fit the 64 MB a container gives.
CHUNK_BYTES = 24 * 2**20
_LARGE, _FEW = 4 * 2**20, 2  # of 1080p frames two a chunk, since it is there up to five times at once
MAX_PIXELS = CHUNK_BYTES // 3
MAX_FRAMES = 500_000
_PIXEL_BYTES, _FRAME_BYTES = 8, 16 << 20  # three planes of 16 bits and a quarter more; and what no pixel counts for
MEMORY_BYTES = 768 * 2**20  # with what Python, FFmpeg and the chunks take, a child stays below 1 GiB
VIDEO_SECONDS = 10_800.0

ADVICE = "take the file from its source again, or leave it out"


class Decoder(Protocol):
    """Reads the frames of one file after the other; small and picklable, as it crosses to our child processes."""

    @property
    def name(self) -> str:
        """The decoder's name in configs and recipes."""
        ...

    def version(self) -> str:
        """The libraries that decide about pixel values, FFmpeg included.

        Raises:
            ConfigError: If this machine cannot run the decoder.
        """
        ...

    def reader_for(self, path: str | Path) -> str:
        """Which library will read this file (``pyav``, ``decord`` or ``torchcodec``), for the record kept per video."""
        ...

    def frames(self, path: str | Path, *, stride: int = 1) -> Iterator[tuple[int, Frame]]:
        """Yields every ``stride``-th coded frame with its index, in presentation order.

        Args:
            path: The video file.
            stride: Keep the frames whose index is a multiple of this.

        Yields:
            Index in presentation order from 0 (a `FrameIndex`, which knows when the frame is shown), and the frame:
            uint8 RGB ``[height, width, 3]``, upright.

        Raises:
            VideoError: As soon as the file turns out unreadable or damaged; after the last frame at the latest.
        """
        ...


def shown(path: str | Path) -> str:
    """The path as one printable line, whatever bytes are in it."""
    return repr(str(path))


def short_of_memory(pixels: int) -> bool:
    """Whether a decoder that fails now may do so for want of memory: FFmpeg's call that damage as often as not.

    Args:
        pixels: Of a frame. What the decoder could not have is no more than a frame's planes and tables.
    """
    return not has_room(_PIXEL_BYTES * pixels + _FRAME_BYTES)


def out_of_memory(path: str | Path) -> VideoError:
    """What a file is refused with that asks for more memory than a decoding process may have."""
    return VideoError(
        "E_TOO_LARGE",
        f"decoding {shown(path)} took more memory than it may have",
        advice="scale the video down, or raise loader.memory_bytes",
    )


def too_many(path: str | Path, found: str, max_frames: int) -> VideoError:
    """What a video of too many frames is refused with."""
    return VideoError(
        "E_TOO_LARGE",
        f"the video {shown(path)} has {found}, more than max_frames={max_frames}",
        advice="cut it into parts, or raise decoder.max_frames",
    )


def check_on_damage(name: str, value: str) -> None:
    """Refuses a setting that is none of ``OnDamage``.

    Raises:
        ConfigError: Naming the setting.
    """
    if value not in get_args(OnDamage):
        raise ConfigError(f"{name} is {value!r}", advice=f"{name} = {' or '.join(get_args(OnDamage))}")


class _Source:
    """Frames one after the other, and the damage they end with where that is to be marked."""

    def __init__(self, frames: Iterator[tuple[int, Frame]], damage: OnDamage) -> None:
        self.damage: Damage | None = None
        self._frames, self._mark, self._any = frames, damage == "mark", False

    def next(self) -> tuple[int, Frame] | None:
        try:
            frame = next(self._frames, None)
        except VideoError as error:
            if not (self._mark and self._any and error.located and error.code in DAMAGE_CODES):
                raise
            self.damage = Damage(error.code, error.found or error.problem)
            return None
        self._any = True
        return frame


def chunks(
    frames: Iterator[tuple[int, Frame]],
    acquire: Callable[[], Frame],
    *,
    chunk_frames: int,
    chunk_bytes: int,
    damage: OnDamage = "reject",
) -> Iterator[tuple[Frame, list[int], bool, Damage | None]]:
    """Copies frames into buffers, equal sizes together; how many is a function of the frame size alone.

    A chunk is handed out only after the frame behind it was asked for, so a video that turns out damaged at its end
    never has a last chunk, unless that is to be marked.

    Args:
        frames: Index and frame ``[h, w, 3]``.
        acquire: Gives a flat uint8 buffer of at least ``chunk_bytes`` to write into.
        chunk_frames: At most so many frames a chunk.
        chunk_bytes: At most so many bytes a chunk.
        damage: ``reject`` raises what the frames raise; ``mark`` ends the video where there was a frame before
            damage whose place is known, with the damage.

    Yields:
        Frames ``[n, h, w, 3]`` inside the buffer, their indices, whether the video ends with them, and the damage it
        ends with.

    Raises:
        VideoError: E_TOO_LARGE if one frame is larger than ``chunk_bytes``.
    """
    source = _Source(frames, damage)
    pending = source.next()
    while pending is not None:
        shape, size = pending[1].shape, pending[1].nbytes
        room = min(chunk_frames, chunk_bytes // size, _FEW if size > _LARGE else chunk_frames)
        if room == 0:
            raise VideoError(
                "E_TOO_LARGE",
                f"a frame of {shape[1]}x{shape[0]} takes {size} bytes, more than chunk_bytes={chunk_bytes}",
                advice=f"set chunk_bytes to at least {size}",
            )
        block = acquire()[: room * size].reshape(room, *shape)
        indices: list[int] = []
        while pending is not None and len(indices) < room and pending[1].shape == shape:
            block[len(indices)] = pending[1]
            indices.append(pending[0])
            pending = source.next()
        yield block[: len(indices)], indices, pending is None, source.damage


@dataclass(frozen=True)
class Order:
    """What is read of each video, and how it is handed on; it crosses to the children.

    Attributes:
        decoder: What reads the files.
        stride: Keep the frames whose index is a multiple of this.
        chunk_frames: At most so many frames a chunk.
        damage: ``reject`` or ``mark``.
    """

    decoder: Decoder
    stride: int
    chunk_frames: int
    damage: OnDamage

    def chunks(
        self, frames: Iterator[tuple[int, Frame]], acquire: Callable[[], Frame], chunk_bytes: int
    ) -> Iterator[tuple[Frame, list[int], bool, Damage | None]]:
        """The frames in chunks, see :func:`chunks`."""
        return chunks(frames, acquire, chunk_frames=self.chunk_frames, chunk_bytes=chunk_bytes, damage=self.damage)
