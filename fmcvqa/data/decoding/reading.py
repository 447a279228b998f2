"""Decodes one video stream from its first packet to its last and ends at the first sign of damage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fmcvqa.data.decoding.base import ADVICE, out_of_memory, short_of_memory, shown
from fmcvqa.data.decoding.bitstream import forbidden_bytes
from fmcvqa.data.decoding.damage import Ledger, check_balance, check_index, check_time
from fmcvqa.data.decoding.opening import reason
from fmcvqa.data.decoding.strict import Log, complaint, ended_early, listening, strict_decoder, too_large
from fmcvqa.data.decoding.structure import Fault
from fmcvqa.errors import VideoError

Matrix = tuple[int, int, int, int]


class Reading:
    """One pass over a stream; the sum of the signs of damage of FAULTS, "silent damage".

    Args:
        path: The file, for messages.
        container: The open container.
        stream: Its video.
        max_pixels: Larger pictures are refused.
        fault: What is known to be wrong with the file: reading ends where that begins.
    """

    def __init__(
        self,
        path: str | Path,
        container: InputContainer,
        stream: VideoStream,
        *,
        max_pixels: int,
        fault: Fault | None = None,
    ) -> None:
        self.path, self.container, self.stream, self.max_pixels = path, container, stream, max_pixels
        self.fault = fault
        self.decoder = strict_decoder(stream, max_pixels=max_pixels)
        self.has_forbidden_bytes = forbidden_bytes(stream)
        self.ledger = Ledger()
        self.log: Log = []
        self._own_matrix: Matrix | None = None
        self._seen: tuple[int, Matrix] | None = None

    def frames(self) -> Iterator[VideoFrame]:
        """All frames in presentation order.

        Raises:
            VideoError: E_CORRUPT at the first sign of damage, E_TRUNCATED at the end if there should have been more,
                E_TOO_LARGE if a picture is larger than it may be.
        """
        count, end, interlaced = 0, 0, False
        for frame in self._decoded():
            interlaced |= bool(frame.interlaced_frame)
            end = end if frame.pts is None else frame.pts + (frame.duration or 0)
            count += 1
            yield frame
        check_balance(self.path, self.ledger, count, interlaced)
        check_time(self.path, self.container, self.stream, self.ledger, end, count)

    def matrix(self, frame: VideoFrame) -> Matrix:
        """How a frame is turned upright.

        PyAV's ``side_data`` refers back to its frame, which then stays in memory until Python looks for such circles:
        asking each frame for it held a hundred of them. The rotation is asked for free.
        """
        if self._own_matrix is not None:
            return self._own_matrix
        if self._seen is None or frame.rotation not in (self._seen[0], 0):  # a stream may say it with one frame alone
            self._seen = frame.rotation, display_matrix(frame)
        return self._seen[1]

    def _decoded(self) -> Iterator[VideoFrame]:
        count = 0
        packets = self.container.demux(self.stream)
        while True:
            frames: list[VideoFrame] = []
            trouble, cause = "", None
            try:
                with listening(self.log):
                    packet = next(packets, None)
                    if packet is not None:
                        trouble = self._add(packet, frames)
            except MemoryError as error:
                raise out_of_memory(self.path) from error
            except (av.FFmpegError, OSError) as error:
                trouble, cause = reason(error), error
            trouble = trouble or complaint(self.log, self.container.format.name, self.stream.index)
            if trouble:  # what came with it is not to be trusted
                raise self._error(count, trouble) from cause
            yield from frames
            count += len(frames)
            if packet is None:
                return

    def _add(self, packet: Packet[VideoStream], frames: list[VideoFrame]) -> str:
        """Decodes a packet into ``frames``; gives the first sign of damage.

        What the decoder still holds at the end is not asked for where packets are missing: it may lack its neighbours.
        """
        if self.fault is not None and (not packet.size or _reaches(packet, self.fault)):
            return self.fault.found
        if not packet.size:
            check_index(self.path, self.container, self.stream, self.ledger)
        else:
            self.ledger.add(packet)
            if self.ledger.corrupt:
                return "a damaged packet"
            if self.ledger.headless:
                return f"its first key frame as number {self.ledger.headless + 1}"
            if self.has_forbidden_bytes(bytes(packet)):
                return "a coded picture with bytes that no encoder writes"
        self._orient(packet)
        for frame in self.decoder.decode(packet if packet.size else None):
            if frame.is_corrupt:
                return "a frame with decoding errors"
            frames.append(frame)
        return ""

    def _orient(self, packet: Packet[VideoStream]) -> None:
        """Learns the orientation from a frame of the stream's own decoder, the only one that the container tells it."""
        if self._own_matrix is None and self.decoder is not self.stream.codec_context and packet.size:
            self._own_matrix = next((display_matrix(frame) for frame in packet.decode()), None)

    def _error(self, count: int, trouble: str) -> VideoError:
        if short_of_memory(max(one.width * one.height for one in (self.stream, self.decoder))):
            return out_of_memory(self.path)
        if size := too_large(self.log):
            problem = f"the frames of {shown(self.path)} are {size}, more than max_pixels={self.max_pixels}"
            return VideoError("E_TOO_LARGE", problem, advice="scale the video down, or raise decoder.max_pixels")
        found = f"{count} good frames, then: {trouble}"
        if ended_early(trouble):
            return VideoError("E_TRUNCATED", f"the video {shown(self.path)} is cut off", found=found, advice=ADVICE)
        return VideoError("E_CORRUPT", f"the video {shown(self.path)} is damaged", found=found, advice=ADVICE)


def _reaches(packet: Packet[VideoStream], fault: Fault) -> bool:
    """Whether a packet has bytes from where a file is known to be damaged."""
    return fault.at is not None and packet.pos is not None and packet.pos + packet.size > fault.at


def is_exact(frame: VideoFrame) -> bool:
    """Whether the display matrix turns by quarters alone; other libraries turn by no other, and no nearly such one."""
    a, b, c, d = _display_matrix(frame)
    return (a == d == 0 or b == c == 0) and len({abs(a) + abs(b), abs(c) + abs(d)}) == 1


def display_matrix(frame: VideoFrame) -> Matrix:
    """Signs of the display matrix ``(a, b, c, d)``: x' = a x + c y, y' = b x + d y; (1, 0, 0, 1) shows as coded."""
    a, b, c, d = _display_matrix(frame)
    if abs(a) >= abs(b):
        return (1 if a >= 0 else -1), 0, 0, (1 if d >= 0 else -1)
    return 0, (1 if b >= 0 else -1), (1 if c >= 0 else -1), 0


def _display_matrix(frame: VideoFrame) -> Matrix:
    if "DISPLAYMATRIX" not in frame.side_data:
        return 1, 0, 0, 1
    found = frame.side_data["DISPLAYMATRIX"]  # type: ignore[typeddict-item]  # a key PyAV's types forget
    matrix = np.frombuffer(bytes(found)[:36], np.int32)
    return int(matrix[0]), int(matrix[1]), int(matrix[3]), int(matrix[4])
