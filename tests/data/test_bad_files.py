"""Every file a user may point at is read or refused with one code, in one line."""

from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from badfiles import CASES, PLAYLISTS
from barcode import read_barcode, write_clip
from bombs import h264, vp8
from damage import moving
from hostile import opens_of_other_files

from fmcvqa.data.decoding import MEMORY_BYTES, DecodePool, FailedVideo, PyAVDecoder
from fmcvqa.data.decoding.base import OnDamage
from fmcvqa.errors import DAMAGE_CODES, VideoError

GIB = 2**20  # in kB, as /proc counts


@dataclass(frozen=True)
class Hungry(PyAVDecoder):
    """Asks for two gigabytes."""

    def frames(self, path: str | Path, *, stride: int = 1) -> Iterator[tuple[int, np.ndarray]]:
        yield 0, np.zeros((64, 96, 3), np.uint8)
        yield 1, np.ones((2**31 // 64 // 96 // 3, 64, 96, 3), np.uint8)[0]


def peak_of_children() -> list[int]:
    """Most memory each decoding process ever had, in kB."""
    status = [Path(f"/proc/{child.pid}/status").read_text() for child in multiprocessing.active_children()]
    return [int(re.findall(r"VmHWM:\s+(\d+)", text)[0]) for text in status]


def test_each_gets_its_code(tmp_path: Path) -> None:
    videos = []
    for number, (name, (make, _)) in enumerate(CASES.items()):
        path = tmp_path / str(number) / "bad.mp4"
        path.parent.mkdir()
        make(path)
        videos.append((name, path))
    assert len(videos) >= 60
    codes, peaks = {}, [0]
    for item in DecodePool(PyAVDecoder(), num_workers=2).decode(videos):
        if isinstance(item, FailedVideo):
            codes[item.video_id] = item.error.code
            assert "\n" not in str(item.error)
            assert "Traceback" not in str(item.error)
        peaks += peak_of_children()
    assert codes == {name: code for name, (_, code) in CASES.items()}
    assert max(peaks) < GIB


def test_a_decoder_has_only_its_memory(tmp_path: Path) -> None:
    items = DecodePool(Hungry(), num_workers=1).decode([("hungry", tmp_path / "x"), ("hungrier", tmp_path / "y")])
    errors = [str(item.error) for item in items if isinstance(item, FailedVideo)]
    assert errors == [
        f"E_TOO_LARGE: decoding {str(tmp_path / name)!r} took more memory than it may have. "
        "Try: scale the video down, or raise loader.memory_bytes"
        for name in ("x", "y")
    ]


@pytest.mark.parametrize("ending", ["h264", "mpegts", "webm"])
def test_memory_holds_where_the_limit_of_pixels_was_lifted(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"bomb.{ending}"
    (vp8(16383, 16383) if ending == "webm" else h264(16384, ending))(path)
    pool = DecodePool(PyAVDecoder(max_pixels=2**30), num_workers=1, memory_bytes=2**28)
    codes, peaks = [], [0]
    for item in pool.decode([("bomb", path)]):
        assert isinstance(item, FailedVideo)
        codes.append(item.error.code)
        peaks += peak_of_children()
    assert codes in (["E_TOO_LARGE"], ["E_CORRUPT"], ["E_DECODER_CRASH"])
    assert max(peaks) < GIB // 2


@pytest.mark.parametrize("memory_bytes", [1 << 20, 3 << 20, 10 << 20, 20 << 20, 30 << 20, 50 << 20])
@pytest.mark.parametrize("damage", ["reject", "mark"])
def test_a_healthy_video_that_memory_does_not_suffice_for_is_not_called_damaged(
    memory_bytes: int, damage: OnDamage, tmp_path: Path
) -> None:
    """FFmpeg says of a frame it has no room for, by where it asks: no memory, invalid data, no such colours."""
    path = write_clip(tmp_path / "large.mp4", 6, size=(2560, 1440), options={"preset": "ultrafast", "refs": "4"})
    pool = DecodePool(PyAVDecoder(), num_workers=1, memory_bytes=memory_bytes, damage=damage)
    last = list(pool.decode([("large", path)]))[-1]
    assert isinstance(last, FailedVideo)
    assert last.error.code == "E_TOO_LARGE"


def test_damage_is_told_where_memory_suffices(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "large.mp4", 6, size=(2560, 1440), options={"preset": "ultrafast", "refs": "4"})
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)
    for memory_bytes in (MEMORY_BYTES, 256 << 20):
        last = list(DecodePool(PyAVDecoder(), num_workers=1, memory_bytes=memory_bytes).decode([("large", path)]))[-1]
        assert isinstance(last, FailedVideo)
        assert last.error.code in DAMAGE_CODES


def test_no_playlist_is_followed(tmp_path: Path) -> None:
    """Neither is a socket opened nor another file, whoever would open it: Python or FFmpeg."""
    (tmp_path / "secret").mkdir()
    secret = write_clip(tmp_path / "secret" / "clip.mp4")
    said, opened, connections = opens_of_other_files(tmp_path / "hostile", secret, PLAYLISTS)
    assert len(said) >= 60
    assert {code for code in said.values() if code != "E_FORBIDDEN"} <= {"E_NO_VIDEO", "E_NOT_FOUND", "read"}
    assert [name for name, code in said.items() if code == "read"] == ["mov with its data elsewhere"]
    assert opened == []
    assert connections == 0


NAMES = [
    "two words.mp4",
    "line\nbreak.mp4",
    "'single' \"double\".mp4",
    "%d.mp4",
    "%s%n.mp4",
    "-i.mp4",
    "--help",
    "emoji \U0001f3ac.mp4",
    "..mp4",
    "...",
    "tab\t.mp4",
    "back\\slash.mp4",
    "$(touch x).mp4",
    "`x`;rm.mp4",
    "star*[1]?.mp4",
    "colon:.mp4",
    "http:",
    "concat:a|b.mp4",
    "trailing .mp4 ",
    "\u202egnp.mp4",
    "CON",
    "x" * 251 + ".mp4",
    os.fsdecode(b"\xff\xfe\x80.mp4"),
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clip(tmp_path / "clip.mp4", 4).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / name, Path(name), f"../{tmp_path.name}/{name}"):
        assert [read_barcode(frame) for _, frame in PyAVDecoder().frames(path)] == [0, 1, 2, 3]
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_names_that_are_too_long_or_hold_nothing(tmp_path: Path) -> None:
    for name in ("x" * 256, "x" * 5000, "a\0b", ""):
        with pytest.raises(VideoError, match=r"^(E_NOT_FOUND|E_NOT_REGULAR): "):
            list(PyAVDecoder().frames(str(tmp_path / name)))


def test_a_cover_is_no_video_and_does_not_hide_one(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    plain = write_clip(tmp_path / "plain.mp4", 12)
    with av.open(str(plain)) as origin, av.open(str(path), "w") as target:
        cover = target.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 640, 480, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        copy = target.add_stream_from_template(origin.streams.video[0])
        frame = av.VideoFrame.from_ndarray(moving(1, 640, 480)[0], format="rgb24")
        frame.pts = 0
        target.mux(cover.encode(frame))
        for packet in origin.demux(video=0):
            if packet.size:
                packet.stream = copy
                target.mux(packet)
    assert [read_barcode(image) for _, image in PyAVDecoder().frames(path)] == list(range(12))
