"""Frames by PyAV: the reader an untrusted file meets, and the measure the others are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import av
import numpy as np
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fmcvqa.data.decoding.base import ADVICE, MAX_FRAMES, MAX_PIXELS, Frame, shown
from fmcvqa.data.decoding.clock import Clock
from fmcvqa.data.decoding.damage import Ledger, check_balance, check_time
from fmcvqa.data.decoding.probe import open_video
from fmcvqa.errors import ConfigError, VideoError

# Containers that hold video in the file itself. Playlists (hls, dash, concat, sdp) and image patterns are not here;
# the audio formats are, so that a song is told from rubbish.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,obu,ivf,flv,asf,ogg,mxf,nut,rm,dv,"
    "yuv4mpegpipe,wav,mp3,aac,flac,aiff,amr,ac3,eac3,dts,w64,caf"
)


def _refuse_io(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError("a video may not open other files or addresses")


@contextmanager
def opened(path: str | Path, *, max_pixels: int, max_frames: int) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Opens the container and picks its best video stream (FFmpeg's choice; cover art does not count).

    Raises:
        VideoError: If there is no video in the file, or more of it than the limits allow.
    """
    with open_video(path) as (file, kind):
        try:
            container = av.open(
                file,
                mode="r",
                options={"max_pixels": str(max_pixels)},
                container_options={"format_whitelist": _FORMATS, "protocol_whitelist": "none"},
                metadata_errors="replace",
                io_open=_refuse_io,
            )
        except (av.FFmpegError, ValueError) as error:
            if not kind:
                problem = f"{shown(path)} is not in a video format that is read here"
                raise VideoError("E_NO_VIDEO", problem, advice="name a video file, or convert it to MP4") from error
            problem = f"the video {shown(path)} is damaged"
            raise VideoError("E_CORRUPT", problem, found=_reason(error), advice=ADVICE) from error
        with container:
            yield container, _video_stream(container, path, max_pixels, max_frames)


def _video_stream(container: InputContainer, path: str | Path, max_pixels: int, max_frames: int) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        kinds = sorted({other.type for other in container.streams if other is not stream})
        raise VideoError(
            "E_NO_VIDEO",
            f"{shown(path)} has no video in it",
            found=f"{', '.join(kinds)} only" if kinds else "",
            advice="name a video file",
        )
    context: av.VideoCodecContext | None = stream.codec_context
    if context is None:  # PyAV's types do not say so: FFmpeg knows the stream, not its codec
        problem = f"the video in {shown(path)} is coded in a way that is not read here"
        raise VideoError("E_NO_VIDEO", problem, advice="convert it to H.264 in MP4")
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    _check_size(path, context.width, context.height, max_pixels)
    if stream.frames > max_frames:
        _too_many(path, f"{stream.frames} frames", max_frames)
    return stream


def _check_size(path: str | Path, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise VideoError(
            "E_TOO_LARGE",
            f"the frames of {shown(path)} are {width}x{height}, more than max_pixels={max_pixels}",
            advice="scale the video down, or raise decoder.max_pixels",
        )


def _too_many(path: str | Path, found: str, max_frames: int) -> NoReturn:
    raise VideoError(
        "E_TOO_LARGE",
        f"the video {shown(path)} has {found}, more than max_frames={max_frames}",
        advice="cut it into parts, or raise decoder.max_frames",
    )


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error).splitlines()[0]


@dataclass(frozen=True)
class PyAVDecoder:
    """Reads frames in order with PyAV and notices damage.

    Args:
        threads: Slice threads of the decoder; frame threads would hide a cut file.
        max_pixels: Refuse larger frames (width x height).
        max_frames: Refuse longer videos.

    Raises:
        ConfigError: If a number is not positive.
    """

    threads: int = 1
    max_pixels: int = MAX_PIXELS
    max_frames: int = MAX_FRAMES

    def __post_init__(self) -> None:
        for name in ("threads", "max_pixels", "max_frames"):
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
        with opened(path, max_pixels=self.max_pixels, max_frames=self.max_frames) as (container, stream):
            stream.codec_context.thread_type = "SLICE"
            stream.codec_context.thread_count = self.threads
            ledger, count, interlaced = Ledger(), 0, False
            clock, end = Clock(stream.average_rate), 0
            for frame in self._decode(path, container, stream, ledger):
                if count == self.max_frames:
                    _too_many(path, "more frames than it declares", self.max_frames)
                _check_size(path, frame.width, frame.height, self.max_pixels)
                interlaced |= frame.interlaced_frame
                end = end if frame.pts is None else frame.pts + (frame.duration or 0)
                stamp = clock.stamp(count, frame.time)
                if count % stride == 0:
                    yield stamp, to_rgb(frame)
                count += 1
            check_balance(path, container, stream, ledger, count, interlaced)
            check_time(path, container, stream, ledger, end, count)

    def _decode(
        self, path: str | Path, container: InputContainer, stream: VideoStream, ledger: Ledger
    ) -> Iterator[VideoFrame]:
        """The decoder's frames as they come; the first sign of damage ends them."""
        count, trouble = 0, ""
        try:
            for packet in container.demux(stream):
                if packet.size:
                    ledger.add(packet)
                for frame in packet.decode():
                    trouble = "a frame with decoding errors" if frame.is_corrupt else trouble
                    if trouble:
                        break
                    yield frame
                    count += 1
                trouble = "a damaged packet" if ledger.corrupt else trouble
                if trouble:
                    break
        except (av.FFmpegError, PermissionError) as error:
            trouble = _reason(error)
            cause: BaseException | None = error
        else:
            cause = None
        if trouble:
            found = f"{count} good frames, then: {trouble}"
            raise VideoError("E_CORRUPT", f"the video {shown(path)} is damaged", found=found, advice=ADVICE) from cause


def to_rgb(frame: VideoFrame) -> Frame:
    """A decoded frame as upright uint8 RGB ``[h, w, 3]``; a view of memory that lives as long as the array.

    Conversion is swscale's with the matrix and range the frame carries, which gives decord's bytes on 8-bit 4:2:0.
    """
    rgb = frame.reformat(format="rgb24", threads=1)
    plane = rgb.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    image = rows[: rgb.height, : 3 * rgb.width].reshape(rgb.height, rgb.width, 3)
    return _upright(image, frame)


def display_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    """Signs of the display matrix ``(a, b, c, d)``: x' = a x + c y, y' = b x + d y; (1, 0, 0, 1) shows as coded."""
    if "DISPLAYMATRIX" not in frame.side_data:
        return 1, 0, 0, 1
    found = frame.side_data["DISPLAYMATRIX"]  # type: ignore[typeddict-item]  # a key PyAV's types forget
    matrix = np.frombuffer(bytes(found)[:36], np.int32)
    a, b, c, d = (int(matrix[k]) for k in (0, 1, 3, 4))
    if abs(a) >= abs(b):
        return (1 if a >= 0 else -1), 0, 0, (1 if d >= 0 else -1)
    return 0, (1 if b >= 0 else -1), (1 if c >= 0 else -1), 0


def _upright(image: Frame, frame: VideoFrame) -> Frame:
    a, b, c, d = display_matrix(frame)
    if a == 0:
        image, (mirror_x, mirror_y) = image.transpose(1, 0, 2), (c < 0, b < 0)
    else:
        mirror_x, mirror_y = a < 0, d < 0
    image = image[:, ::-1] if mirror_x else image
    return image[::-1] if mirror_y else image
