"""Opens a container without letting it open anything else, and picks the video in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import av
import av.subtitles.stream  # PyAV would at the first file, beyond the limit of a child's memory
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from fmcvqa.data.decoding.base import ADVICE, out_of_memory, short_of_memory, shown, too_many
from fmcvqa.data.decoding.probe import open_video
from fmcvqa.data.decoding.structure import WALKED, Fault
from fmcvqa.errors import VideoError

# Containers that hold video in the file itself. Playlists (hls, dash, concat, sdp) and image patterns are not here;
# the audio formats are, so that a song is told from rubbish.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,obu,ivf,flv,asf,ogg,mxf,nut,rm,dv,"
    "yuv4mpegpipe,wav,mp3,aac,flac,aiff,amr,ac3,eac3,dts,w64,caf"
)


def _refuse_io(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError("a video may not open other files or addresses")


@contextmanager
def opened(
    path: str | Path, *, max_pixels: int, max_frames: int, faults: list[Fault] | None = None
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Opens the container and picks its best video stream (FFmpeg's choice; cover art does not count).

    Args:
        path: The file.
        max_pixels: Larger pictures are refused.
        max_frames: Longer videos are refused.
        faults: Where given, a damaged skeleton is put here instead of refused.

    Raises:
        VideoError: If there is no video in the file, or more of it than the limits allow.
    """
    with open_video(path, max_frames=max_frames, faults=faults) as (file, kind):
        try:
            container = av.open(
                file,
                mode="r",
                options={"max_pixels": str(max_pixels)},
                container_options={"format_whitelist": _FORMATS, "protocol_whitelist": "none"},
                metadata_errors="replace",
                io_open=_refuse_io,
            )
        except MemoryError as error:
            raise out_of_memory(path) from error
        except (av.FFmpegError, OSError, ValueError) as error:
            if short_of_memory(0):
                raise out_of_memory(path) from error
            if not kind:
                problem = f"{shown(path)} is not in a video format that is read here"
                raise VideoError("E_NO_VIDEO", problem, advice="name a video file, or convert it to MP4") from error
            problem = f"the video {shown(path)} is damaged"
            raise VideoError("E_CORRUPT", problem, found=reason(error), advice=ADVICE) from error
        with container:
            _check_kind(path, container.format.name, kind)
            yield container, _video_stream(container, path, max_pixels, max_frames)


def _check_kind(path: str | Path, name: str, kind: str) -> None:
    """FFmpeg searches for the beginning of a container; we know it by its first bytes, which must then be damaged."""
    if name.split(",")[0] in WALKED and not kind:
        found = f"{name} behind bytes that do not belong to it"
        raise VideoError("E_CORRUPT", f"the video {shown(path)} is damaged", found=found, advice=ADVICE)


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
    check_size(path, context.width, context.height, max_pixels)
    if stream.frames > max_frames:
        raise too_many(path, f"{stream.frames} frames", max_frames)
    return stream


def check_size(path: str | Path, width: int, height: int, max_pixels: int) -> None:
    """Refuses pictures of too many pixels.

    Raises:
        VideoError: E_TOO_LARGE.
    """
    if width * height > max_pixels:
        raise VideoError(
            "E_TOO_LARGE",
            f"the frames of {shown(path)} are {width}x{height}, more than max_pixels={max_pixels}",
            advice="scale the video down, or raise decoder.max_pixels",
        )


def reason(error: BaseException) -> str:
    """FFmpeg's words for an error, one line."""
    return str(getattr(error, "strerror", None) or error).splitlines()[0]
