"""Damage that a decoder conceals is noticed; what cannot be noticed is in docs/faults.md, with its measure."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from barcode import read_barcode, write_clip
from damage import CONTAINERS, LARGE, X265, damaged, digests, moving, outcome, source, tally

from fmcvqa.data.decoding import PyAVDecoder
from fmcvqa.data.decoding.bitstream import forbidden_bytes
from fmcvqa.errors import VideoError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage")


@pytest.mark.parametrize("name", CONTAINERS)
def test_large_damage_is_found(name: str, folder: Path) -> None:
    """Forty-two runs over six containers; each found unless every frame is as it was."""
    data, whole = source(folder, name).read_bytes(), digests(source(folder, name))
    path = folder / f"bad_{name}"
    for seed in range(7):
        path.write_bytes(damaged(data, LARGE[seed % len(LARGE)], seed))
        assert outcome(path, whole) != "missed", (LARGE[seed % len(LARGE)], seed)


def test_flipped_bits_in_vp9_are_found(folder: Path) -> None:
    """FFmpeg's own decoder notices none of these, libvpx all."""
    assert tally(folder, "vp9.webm", "flip", range(5))["found"] == 5


def test_flipped_bits_in_hevc_are_found_where_pictures_have_hashes(folder: Path) -> None:
    plain, hashed = (tally(folder, name, "flip", range(4)) for name in ("hevc.mp4", "hevc_hash.mp4"))
    assert hashed["missed"] == 0
    assert hashed["found"] > plain["found"]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("ending", ["mp4", "ts"])
def test_bytes_that_no_encoder_writes(codec: str, ending: str, tmp_path: Path) -> None:
    """A few zeros where entropy-coded data should be, which the decoder reads as pictures."""
    settings = {"codec": "libx265", "options": X265} if codec == "hevc" else {}
    path = write_clip(tmp_path / f"clip.{ending}", moving(8), **settings)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        has = forbidden_bytes(stream)
        packet = next(bytes(packet) for packet in container.demux(stream))
    assert not has(packet)
    middle = len(packet) * 3 // 4
    assert has(packet[:middle] + bytes(4) + packet[middle + 4 :])
    assert has(packet[:middle] + b"\x5a\0\0\2\x5a" + packet[middle + 5 :])
    assert has(packet[:middle] + b"\x5a\0\0\3\4" + packet[middle + 5 :])
    assert not has(packet[:middle] + b"\x5a\0\0\3\3" + packet[middle + 5 :])
    assert not has(packet + bytes(4))


def test_vp9_is_turned_upright(tmp_path: Path) -> None:
    """libvpx is not told the orientation by the container."""
    path = write_clip(tmp_path / "turned.mp4", 12, codec="libvpx-vp9", options={"cpu-used": "8"}, rotation=180)
    with pytest.raises(ValueError, match="not upright"):
        [read_barcode(image) for _, image in PyAVDecoder().frames(path)]


def test_a_recording_that_lost_its_first_key_frame(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.ts")
    path = tmp_path / "late.ts"
    with av.open(str(whole)) as origin, av.open(str(path), "w") as target:
        stream = origin.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in list(origin.demux(stream))[3:-1]:
            packet.stream = copy
            target.mux(packet)
    with pytest.raises(VideoError) as caught:
        digests(path)
    assert str(caught.value) == (
        f"E_CORRUPT: the video {str(path)!r} is damaged. Found: 0 good frames, then: its first key frame as number 2. "
        "Try: take the file from its source again, or leave it out"
    )


@pytest.mark.parametrize("ending", ["flv", "mkv", "ts", "mp4"])
@pytest.mark.parametrize("count", [2, 6, 20])
def test_short_clips_with_delayed_frames_are_whole(count: int, ending: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / f"short.{ending}", moving(count, 64, 64), rate=24, options={"bf": "3", "g": "30"})
    assert len(digests(path)) == count
