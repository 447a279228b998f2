"""Silent damage: what came out of a container, balanced against what it declared (FAULTS, "silent damage")."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from fmcvqa.data.decoding.base import ADVICE, shown
from fmcvqa.errors import VideoError

_DECODED_SHARE = 0.95  # of the declared time; less is a file that ends early


@dataclass
class Ledger:
    """What came out of a container, to be balanced against what it declared.

    Attributes:
        packets: Coded frames read.
        discarded: Those the file itself marks as not to be shown (edit lists).
        leading: Those behind the first key frame and shown before it: nobody can decode them where the recording
            starts (open GOP).
        headless: Those in front of the first key frame, where there is one: the beginning of the file is lost.
        hidden: VP8 reference frames that are never shown.
        corrupt: Those the container marks as damaged.
        first_key: Presentation time of the first key frame.
        first_pts: The earliest presentation time.
    """

    packets: int = 0
    discarded: int = 0
    leading: int = 0
    headless: int = 0
    hidden: int = 0
    corrupt: int = 0
    first_key: int | None = None
    first_pts: int | None = None

    def add(self, packet: av.Packet[VideoStream]) -> None:
        """Counts one packet."""
        self.packets += 1
        self.corrupt += packet.is_corrupt
        if packet.pts is not None and (self.first_pts is None or packet.pts < self.first_pts):
            self.first_pts = packet.pts
        if packet.is_keyframe and self.first_key is None and packet.pts is not None:
            self.first_key, self.headless = packet.pts, self.packets - 1
        if packet.is_discard:
            self.discarded += 1
        elif packet.pts is not None and self.first_key is not None and packet.pts < self.first_key:
            self.leading += 1
        elif packet.stream.codec_context.name in ("vp8", "libvpx") and not bytes(packet)[0] & 0x10:
            self.hidden += 1


def check_index(path: str | Path, container: InputContainer, stream: VideoStream, ledger: Ledger) -> None:
    """Compares the packets that were read with those that an MP4's index names.

    Raises:
        VideoError: E_TRUNCATED if packets are missing.
    """
    # After edit lists the index, not the sample count in the header, says what is to be read.
    declared = len(stream.index_entries) if container.format.name.startswith("mov") else 0
    if declared > ledger.packets:
        found = f"{ledger.packets} of {declared} coded frames"
        raise VideoError("E_TRUNCATED", f"the video {shown(path)} is cut off", found=found, advice=ADVICE)


def check_balance(path: str | Path, ledger: Ledger, count: int, interlaced: bool) -> None:
    """Compares what was decoded with what was read.

    Raises:
        VideoError: E_CORRUPT if frames are missing.
    """
    expected = ledger.packets - ledger.discarded - ledger.hidden
    fewest = expected - ledger.leading
    if interlaced:  # a packet may hold a field, half of a frame
        fewest = fewest // 2
    if count == 0 or not fewest <= count <= expected:
        found = f"{count} of {expected} frames could be decoded"
        error = VideoError("E_CORRUPT", f"the video {shown(path)} is damaged", found=found, advice=ADVICE)
        error.located = False  # any of those that refer to a lost one may be wrong
        raise error


def check_time(
    path: str | Path, container: InputContainer, stream: VideoStream, ledger: Ledger, end: int, count: int
) -> None:
    """Compares the time decoded with the time declared, where no index is there to be exact.

    Raises:
        VideoError: E_TRUNCATED if less than 95 % was there.
    """
    if container.format.name.startswith("mov") or count < 2 or not stream.time_base or not stream.average_rate:
        return
    from_zero = container.format.name.startswith(("matroska", "flv"))  # there, end times are written
    begin = 0 if from_zero else ledger.first_pts or 0
    decoded = float((end - begin) * stream.time_base)
    declared = _declared_seconds(container, stream)
    if decoded + float(1 / stream.average_rate) < declared * _DECODED_SHARE:
        found = f"{decoded:.2f} of {declared:.2f} seconds"
        raise VideoError("E_TRUNCATED", f"the video {shown(path)} is cut off", found=found, advice=ADVICE)


def _declared_seconds(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    written = stream.metadata.get("DURATION", "")
    if written.count(":") == 2:
        try:
            hours, minutes, seconds = (float(part) for part in written.split(":"))
        except ValueError:
            return 0.0
        return hours * 3600 + minutes * 60 + seconds
    alone = len(container.streams) == 1  # else it may be the sound that lasts
    return container.duration / av.time_base if alone and container.duration else 0.0
