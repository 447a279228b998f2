"""Frames by PyAV: the reader an untrusted file meets, and the measure the others are compared with."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fmcvqa.data.decoding.base import MAX_FRAMES, MAX_PIXELS, Frame, out_of_memory, shown, too_many
from fmcvqa.data.decoding.clock import Clock
from fmcvqa.data.decoding.opening import check_size, opened, reason
from fmcvqa.data.decoding.reading import Matrix, Reading
from fmcvqa.data.decoding.structure import Fault
from fmcvqa.errors import ConfigError, VideoError


@dataclass(frozen=True)
class PyAVDecoder:
    """Reads frames in order with PyAV and notices damage.

    Args:
        max_pixels: Refuse larger frames (width x height).
        max_frames: Refuse longer videos.

    Raises:
        ConfigError: If a number is not positive.
    """

    max_pixels: int = MAX_PIXELS
    max_frames: int = MAX_FRAMES

    def __post_init__(self) -> None:
        for name in ("max_pixels", "max_frames"):
            if getattr(self, name) < 1:
                problem = f"decoder.{name} is {getattr(self, name)}"
                raise ConfigError(problem, advice="give a number of at least 1")

    @property
    def name(self) -> str:
        """``pyav``."""
        return "pyav"

    def version(self) -> str:
        """PyAV and the FFmpeg in it."""
        return f"pyav {av.__version__} (FFmpeg {av.ffmpeg_version_info})"

    def reader_for(self, path: str | Path) -> str:
        """Always ``pyav``."""
        return self.name

    def frames(self, path: str | Path, *, stride: int = 1) -> Iterator[tuple[int, Frame]]:
        """Yields every ``stride``-th frame as uint8 RGB ``[h, w, 3]``, rotated as the file says; see `Decoder`."""
        yield from self._read(path, stride, None)

    def _read(
        self, path: str | Path, stride: int, faults: list[Fault] | None, unsure: int = 0
    ) -> Iterator[tuple[int, Frame]]:
        """The frames; with ``faults``, of a file with a damaged skeleton too, up to where that begins.

        The last ``unsure`` frames in front of damage are not given.
        """
        limits = {"max_pixels": self.max_pixels, "max_frames": self.max_frames}
        with opened(path, **limits, faults=faults) as (container, stream):
            clock = Clock(stream.average_rate)
            fault = faults[0] if faults else None
            reading = Reading(path, container, stream, max_pixels=self.max_pixels, fault=fault)
            for count, frame in enumerate(_held_back(reading.frames(), unsure)):
                if count == self.max_frames:
                    raise too_many(path, "more frames than it declares", self.max_frames)
                check_size(path, frame.width, frame.height, self.max_pixels)
                stamp = clock.stamp(count, _seconds(frame, stream))
                if count % stride == 0:
                    yield stamp, _rgb(path, frame, reading.matrix(frame))


def _held_back(frames: Iterator[VideoFrame], count: int) -> Iterator[VideoFrame]:
    """The same frames, each when ``count`` more are there or all have come."""
    held: deque[VideoFrame] = deque()
    for frame in frames:
        held.append(frame)
        if len(held) > count:
            yield held.popleft()
    yield from held


def _seconds(frame: VideoFrame, stream: VideoStream) -> float | None:
    """Its presentation time; not ``frame.time``, NaN where the decoder held the frame back until the file's end."""
    if frame.pts is None or stream.time_base is None:
        return None
    return float(frame.pts * stream.time_base)


def _rgb(path: str | Path, frame: VideoFrame, matrix: Matrix) -> Frame:
    try:
        return to_rgb(frame, matrix)
    except MemoryError as error:
        raise out_of_memory(path) from error
    except (av.FFmpegError, OSError) as error:
        problem = f"the colours of {shown(path)} are of a kind that is not converted here"
        found = f"{frame.format.name} with the matrix number {int(frame.colorspace)}: {reason(error)}"
        advice = "correct the file's colour tags, or convert it to BT.709"
        raise VideoError("E_NO_VIDEO", problem, found=found, advice=advice) from error


def to_rgb(frame: VideoFrame, matrix: Matrix) -> Frame:
    """A decoded frame as upright uint8 RGB ``[h, w, 3]``; a view of memory that lives as long as the array.

    Conversion is swscale's with the matrix and range the frame carries, which gives decord's bytes on 8-bit 4:2:0.
    """
    rgb = frame.reformat(format="rgb24", threads=1)
    plane = rgb.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    image = rows[: rgb.height, : 3 * rgb.width].reshape(rgb.height, rgb.width, 3)
    return _upright(image, matrix)


def _upright(image: Frame, matrix: Matrix) -> Frame:
    a, b, c, d = matrix
    if a == 0:
        image, (mirror_x, mirror_y) = image.transpose(1, 0, 2), (c < 0, b < 0)
    else:
        mirror_x, mirror_y = a < 0, d < 0
    image = image[:, ::-1] if mirror_x else image
    return image[::-1] if mirror_y else image
