"""Decoding of genuine clips: KoNViD-1k as both decoders see it, and a folder of awkward files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fmcvqa.data.decoding import DecodedChunk, DecodePool, DecordDecoder, FailedVideo, PyAVDecoder, TorchCodecDecoder
from fmcvqa.errors import ConfigError, VideoError

pytestmark = pytest.mark.real

# Name: frames, height, width as shown; counted by decoding with PyAV and, where it can read them, with decord.
CLIPS = {
    "av1_video.mkv": (125, 360, 640),
    "bikes.mp4": (250, 272, 640),
    "bt709_full_range.mp4": (30, 720, 1280),
    "carphone_distorted.mp4": (120, 144, 176),
    "carphone_pristine.mp4": (120, 144, 176),
    "flipping_a_pancake.mkv": (310, 240, 426),
    "h264_10bits.mp4": (30, 200, 200),
    "h265_10bits.mp4": (30, 200, 200),
    "nasa_13013.mp4": (390, 270, 480),
    "nasa_13013_hdr.mp4": (325, 180, 320),
    "nasa_13013_rotated.mp4": (17, 480, 270),
    "test_non_zero_start.mp4": (12, 112, 200),
    "testsrc2_mpeg4.avi": (30, 720, 1280),
    "testsrc2_mpeg4.mp4": (1, 64, 64),
    "testsrc2_odd_height_and_width_444_10bit.mp4": (25, 241, 321),
    "testsrc2_odd_height_and_width_vp9.mp4": (25, 241, 321),
    "unordered.mov": (4, 50, 50),
    "vfr_skeleton.mp4": (72, 1080, 1920),
    "video_0.mov": (3, 320, 568),
    "video_90.mov": (3, 568, 320),
}
LEFT_TO_PYAV = {
    "av1_video.mkv",
    "flipping_a_pancake.mkv",
    "h264_10bits.mp4",
    "h265_10bits.mp4",
    "nasa_13013.mp4",  # two videos
    "nasa_13013_hdr.mp4",
    "testsrc2_odd_height_and_width_444_10bit.mp4",
    "testsrc2_odd_height_and_width_vp9.mp4",
}


@pytest.mark.parametrize("clip", ["3339962845", "10053703034", "5115335471"])
def test_konvid_clips_give_equal_bytes(clip: str, real_data: Path) -> None:
    path = real_data / "konvid1k_clips" / f"{clip}.mp4"
    assert DecordDecoder().reader_for(path) == "decord"
    pairs = zip(PyAVDecoder().frames(path), DecordDecoder().frames(path), strict=True)
    count = 0
    for (index, ours), (same, theirs) in pairs:
        assert index == same == count
        assert ours.shape == (540, 960, 3)
        assert np.array_equal(ours, theirs)
        count += 1
    assert count == 240


@pytest.mark.parametrize("decoder", [PyAVDecoder(), DecordDecoder()], ids=["pyav", "decord"])
def test_awkward_clips_are_read_or_refused(decoder: PyAVDecoder | DecordDecoder, real_data: Path) -> None:
    folder = real_data / "clips"
    videos = [(path.name, path) for path in sorted(folder.iterdir())]
    read: dict[str, list[int]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    readers: dict[str, str] = {}
    failed: dict[str, str] = {}
    for item in DecodePool(decoder, num_workers=2).decode(videos):
        if isinstance(item, FailedVideo):
            failed[item.video_id] = str(item.error)
            read.pop(item.video_id, None)
            continue
        assert isinstance(item, DecodedChunk)
        read.setdefault(item.video_id, []).extend(item.frame_indices)
        shapes[item.video_id], readers[item.video_id] = item.frames.shape[1:3], item.reader
    assert {name: (len(found), *shapes[name]) for name, found in read.items()} == CLIPS
    assert all(found == list(range(len(found))) for found in read.values())
    left = LEFT_TO_PYAV if decoder.name == "decord" else set(CLIPS)
    assert {name for name in CLIPS if readers[name] == "pyav"} == left
    found = {
        "pyav": "28 good frames, then: Invalid data found when processing input",
        "decord": "decord could not read it to its end",
    }[decoder.name]
    path = str(folder / "corrupted.mp4")
    assert failed == {
        "corrupted.mp4": f"E_CORRUPT: the video {path!r} is damaged. Found: {found}. "
        "Try: take the file from its source again, or leave it out"
    }


def test_decord_equals_pyav_where_it_reads(real_data: Path) -> None:
    for name in sorted(set(CLIPS) - LEFT_TO_PYAV):
        pairs = zip(
            PyAVDecoder().frames(real_data / "clips" / name),
            DecordDecoder().frames(real_data / "clips" / name),
            strict=True,
        )
        assert all(np.array_equal(ours, theirs) for (_, ours), (_, theirs) in pairs), name


def test_torchcodec_equals_pyav_or_leaves_the_clip_to_it(real_data: Path) -> None:
    decoder = TorchCodecDecoder()
    try:
        decoder.version()
    except ConfigError as error:  # an extra, which needs FFmpeg's libraries on the system
        pytest.skip(str(error))
    genuine = sorted((real_data / "konvid1k_clips").glob("*.mp4"))
    readers = {}
    for path in [*genuine, *(real_data / "clips" / name for name in sorted(CLIPS))]:
        readers[path.name] = decoder.reader_for(path)
        pairs = zip(PyAVDecoder().frames(path), decoder.frames(path), strict=True)
        assert all(np.array_equal(ours, theirs) for (_, ours), (_, theirs) in pairs), path.name
    assert {readers[path.name] for path in genuine} == {"torchcodec"}
    assert sum(reader == "torchcodec" for reader in readers.values()) > len(genuine) + len(CLIPS) // 2
    with pytest.raises(VideoError) as failure:
        list(decoder.frames(real_data / "clips" / "corrupted.mp4"))
    assert failure.value.code == "E_CORRUPT"
