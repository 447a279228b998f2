"""Barcodes in every codec and container that PyAV's FFmpeg can write: read right, or refused by a code; never wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import pytest
from barcode import read_barcode, write_clip

from fmcvqa.data.decoding import Decoder, DecordDecoder, PyAVDecoder, TorchCodecDecoder
from fmcvqa.errors import ConfigError, VideoError

pytestmark = pytest.mark.release
CONTAINERS = ["mp4", "mov", "m4v", "3gp", "mkv", "webm", "avi", "ts", "m2ts", "mpg", "vob", "flv", "asf", "wmv", "ogv"]
CONTAINERS += ["nut", "mxf", "ivf", "obu", "h264", "hevc", "y4m", "gif", "apng", "webp"]
FRAMES = 12


def encoders() -> dict[str, str]:
    """Every video encoder with a pixel format that it takes."""
    found = {}
    for name in sorted(av.codecs_available):
        try:
            codec = av.Codec(name, "w")
        except (ValueError, av.FFmpegError):
            continue
        if codec.type == "video":
            formats = [each.name for each in codec.video_formats or []]
            liked = [each for each in ("yuv420p", "yuvj420p") if each in formats]
            found[name] = [*liked, *formats, "yuv420p"][0]
    return found


def read(path: Path, decoder: Decoder) -> str:
    """How a decoder fares: "right", a code, or what it said instead."""
    try:
        said = [(int(index), read_barcode(image)) for index, image in decoder.frames(path)]
    except VideoError as error:
        return error.code
    return "right" if said == [(k, k) for k in range(FRAMES)] else f"WRONG {said}"


def test_no_frame_is_ever_wrong(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    decoders: list[Decoder] = []
    for decoder in (PyAVDecoder(), DecordDecoder(), TorchCodecDecoder()):
        try:
            decoder.version()
        except ConfigError:
            continue
        decoders.append(decoder)
    counts = {decoder.name: {"right": 0, "refused": 0} for decoder in decoders}
    wrong = []
    for codec, pixels in encoders().items():
        for container in CONTAINERS:
            path = tmp_path / f"{codec}.{container}"
            options = {"x265-params": "log-level=none:pools=1"} if codec == "libx265" else {}
            try:
                write_clip(path, FRAMES, codec=codec, pix_fmt=pixels, options=options)
            except (av.FFmpegError, ValueError, MemoryError):
                continue  # this FFmpeg cannot write that
            for decoder in decoders:
                outcome = read(path, decoder)
                counts[decoder.name]["right" if outcome == "right" else "refused"] += 1
                if outcome.startswith("WRONG"):
                    wrong.append(f"{path.name} by {decoder.name}: {outcome}")
            path.unlink(missing_ok=True)
    record_property("counts", counts)
    assert wrong == []
    assert all(count["right"] >= 200 for count in counts.values()), counts
