"""Frame i says i, whatever the container; a bad file says what is wrong with it."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from barcode import barcode, read_barcode, write_clip

from fmcvqa.data.decoding import DecordDecoder, PyAVDecoder, make_decoder
from fmcvqa.errors import ConfigError, VideoError

X265 = {"x265-params": "log-level=none:pools=1"}
HEALTHY = {
    "plain.mp4": {},
    "plain.mov": {},
    "plain.mkv": {},
    "plain.ts": {},
    "plain.flv": {},
    "fast_start.mp4": {"container_options": {"movflags": "faststart"}},
    "fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "b_frames.mp4": {"options": {"bf": "3"}},
    "open_gop.mp4": {"options": {"bf": "3", "x264-params": "open-gop=1"}},
    "open_gop.ts": {"options": {"bf": "3", "x264-params": "open-gop=1"}},
    "interlaced.mp4": {"options": {"flags": "+ilme+ildct", "x264-params": "tff=1"}},
    "interlaced.ts": {"options": {"flags": "+ilme+ildct", "x264-params": "tff=1"}},
    "variable.mp4": {"times": [40 * k + 7 * (k % 5) for k in range(24)]},
    "variable.mkv": {"times": [40 * k + 7 * (k % 5) for k in range(24)]},
    "late.mp4": {"shift": lambda time: time + 5},
    "late.mkv": {"shift": lambda time: time + 30},
    "fast_tag.mp4": {"rate": 120},
    "ten_bit.mp4": {"pix_fmt": "yuv420p10le"},
    "odd.mp4": {"size": (97, 65), "pix_fmt": "yuv444p"},
    "full_range.mp4": {"pix_fmt": "yuvj420p"},
    "hevc.mp4": {"codec": "libx265", "options": X265},
    "hevc_ten_bit.mkv": {"codec": "libx265", "options": X265, "pix_fmt": "yuv420p10le"},
    "vp8.webm": {"codec": "libvpx", "options": {"deadline": "realtime", "auto-alt-ref": "1", "lag-in-frames": "10"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "10"}},
    "vp9_odd.mp4": {"codec": "libvpx-vp9", "size": (97, 65), "options": {"cpu-used": "8"}},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg4_b.mp4": {"codec": "mpeg4", "options": {"bf": "2"}},
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"bf": "2"}},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"bf": "2"}},
    "motion_jpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "windows.asf": {"codec": "wmv2"},
    "a name with spaces, 'quotes' %d é😀\n.mp4": {},
    "-dash.mp4": {},
    "http:.mp4": {},
}


def indices(path: Path, decoder: PyAVDecoder | DecordDecoder | None = None, stride: int = 1) -> list[tuple[int, int]]:
    return [(index, read_barcode(image)) for index, image in (decoder or PyAVDecoder()).frames(path, stride=stride)]


def refusal(path: Path | str, decoder: PyAVDecoder | DecordDecoder | None = None) -> str:
    with pytest.raises(VideoError) as caught:
        list((decoder or PyAVDecoder()).frames(path))
    return str(caught.value)


def textured(count: int = 24, width: int = 192, height: int = 128) -> list[np.ndarray]:
    noise = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    picture = np.kron(noise, np.ones((8, 8, 1), np.uint8))
    return [np.roll(picture, 3 * k, axis=1) for k in range(count)]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4")


@pytest.mark.parametrize("name", HEALTHY)
def test_frame_i_says_i(name: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / name, **HEALTHY[name])
    assert indices(path) == [(k, k) for k in range(24)]


def test_av1(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from barcode import write_clip; from pathlib import Path;"
        "write_clip(Path(sys.argv[1]), codec='libsvtav1', options={'preset': '8', 'crf': '20'})"
    )
    path = tmp_path / "av1.mkv"  # SVT-AV1 writes to stderr beyond Python's reach
    subprocess.run(
        [sys.executable, "-c", code, str(path), str(Path(__file__).parents[1])], check=True, capture_output=True
    )
    assert indices(path) == [(k, k) for k in range(24)]


def test_stride_keeps_the_index(clip: Path) -> None:
    assert indices(clip, stride=7) == [(0, 0), (7, 7), (14, 14), (21, 21)]


def test_relative_path(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clip.parent)
    assert len(indices(Path("clip.mp4"))) == 24
    assert len(indices(Path("clip.mp4"), DecordDecoder())) == 24


def test_name_that_is_not_utf8(clip: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(clip.parent) + b"/\xff\xfe.mp4"))
    clip.rename(path)
    assert len(indices(path)) == 24
    assert len(indices(path, DecordDecoder())) == 24
    assert DecordDecoder().reader_for(path) == "pyav"


@pytest.mark.parametrize(("rotation", "turns"), [(90, -1), (180, 2), (-90, 1)])
@pytest.mark.parametrize("decoder", [PyAVDecoder(), DecordDecoder()], ids=["pyav", "decord"])
def test_rotation_is_applied_once(
    rotation: int, turns: int, decoder: PyAVDecoder | DecordDecoder, tmp_path: Path
) -> None:
    coded = [np.ascontiguousarray(np.rot90(barcode(k), turns)) for k in range(24)]
    path = write_clip(tmp_path / "turned.mp4", coded, rotation=rotation)
    assert indices(path, decoder) == [(k, k) for k in range(24)]
    assert next(iter(decoder.frames(path)))[1].shape == (64, 96, 3)


@pytest.mark.parametrize(("rotation", "turns"), [(0, 0), (90, -1), (180, 2), (-90, 1)])
def test_mirror_is_applied_after_the_rotation(rotation: int, turns: int, tmp_path: Path) -> None:
    coded = [np.ascontiguousarray(np.rot90(barcode(k)[:, ::-1], turns)) for k in range(24)]
    path = write_clip(tmp_path / "mirrored.mp4", coded, rotation=rotation, hflip=True)
    assert indices(path) == [(k, k) for k in range(24)]
    assert DecordDecoder().reader_for(path) == "pyav"


@pytest.mark.parametrize("cut", [5, 13])
def test_frames_cut_off_by_an_edit_list_are_not_shown(cut: int, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "cut.mp4", options={"bf": "3"}, shift=lambda time: time - cut)
    assert indices(path) == [(k - cut, k) for k in range(cut, 24)]
    assert DecordDecoder().reader_for(path) == "pyav"


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv", "cut.ts"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_recording_that_starts_inside_an_open_gop(name: str, codec: str, tmp_path: Path) -> None:
    options = {"x264-params": "open-gop=1"} if codec == "libx264" else {"x265-params": "log-level=none:open-gop=1"}
    whole = write_clip(tmp_path / "whole.ts", codec=codec, options={"bf": "3", "g": "8", **options})
    with av.open(str(whole)) as source, av.open(str(tmp_path / name), "w") as target:
        stream = source.streams.video[0]
        copy, keys = target.add_stream_from_template(stream), 0
        for packet in source.demux(stream):
            keys += packet.is_keyframe and packet.size > 0
            if keys > 1 and packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    said = [code for _, code in indices(tmp_path / name)]
    assert said == list(range(said[0], 24))
    assert 1 < said[0] <= 16


def test_rgb_order(tmp_path: Path) -> None:
    red = np.zeros((64, 96, 3), np.uint8)
    red[..., 0] = 255
    path = write_clip(tmp_path / "red.mp4", [red] * 3)
    for decoder in (PyAVDecoder(), DecordDecoder()):
        _, image = next(iter(decoder.frames(path)))
        assert image.dtype == np.uint8
        assert np.abs(image.reshape(-1, 3).mean(0) - [255, 0, 0]).max() < 4


def test_size_change_in_mid_stream(tmp_path: Path) -> None:
    small, large = write_clip(tmp_path / "a.ts", 12), write_clip(tmp_path / "b.ts", 12, size=(128, 96))
    path = tmp_path / "both.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    frames = [(image.shape, read_barcode(image)) for _, image in PyAVDecoder().frames(path)]
    assert frames == [((64, 96, 3), k) for k in range(12)] + [((96, 128, 3), k) for k in range(12)]


def test_only_the_default_one_of_two_streams_is_read(tmp_path: Path) -> None:
    path = tmp_path / "two.mp4"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25, options={"threads": "1"}) for _ in range(2)]
        for stream, (width, height) in zip(streams, ((96, 64), (128, 96)), strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for k in range(8):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(barcode(k, stream.width, stream.height), format="rgb24")
                frame.pts, frame.time_base = k, Fraction(1, 25)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    shapes = {image.shape for _, image in PyAVDecoder().frames(path)}
    assert shapes == {(64, 96, 3)}
    assert indices(path) == [(k, k) for k in range(8)]


def _song(path: Path) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))


def _cut(name: str, keep: float, **settings: object) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        whole = write_clip(path.with_name(name), textured(), **settings).read_bytes()
        path.write_bytes(whole[: int(len(whole) * keep)])

    return make


def _zeroed(name: str, **settings: object) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        data = bytearray(write_clip(path.with_name(name), textured(), **settings).read_bytes())
        middle = len(data) // 2
        data[middle : middle + 1500] = bytes(1500)
        path.write_bytes(data)

    return make


def _bytes(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


NAME_A_FILE = "Try: name a video file"
THEMSELVES = "Try: name the video files themselves"
AGAIN = "Try: take the file from its source again, or leave it out"
FAST = {"container_options": {"movflags": "faststart"}}
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "E_NOT_FOUND: the video {path} does not exist. Try: check the path"),
    "in a file": (
        lambda path: path.parent.rmdir() or path.parent.write_bytes(b"x"),
        "E_NOT_FOUND: the video {path} does not exist. Try: check the path",
    ),
    "broken link": (
        lambda path: path.symlink_to("nowhere"),
        "E_NOT_FOUND: the video {path} is a link to nothing. Try: check the path",
    ),
    "endless link": (
        lambda path: path.symlink_to(path),
        "E_NOT_FOUND: the video {path} is a link to nothing. Try: check the path",
    ),
    "folder": (Path.mkdir, "E_NOT_REGULAR: {path} is a folder, not a video file. " + NAME_A_FILE),
    "pipe": (os.mkfifo, "E_NOT_REGULAR: {path} is a pipe, not a video file. " + NAME_A_FILE),
    "device": (
        lambda path: path.symlink_to("/dev/zero"),
        "E_NOT_REGULAR: {path} is a device or socket, not a video file. " + NAME_A_FILE,
    ),
    "empty": (Path.touch, "E_EMPTY: the video {path} has 0 bytes. " + AGAIN),
    "text": (_bytes(b"not a video\n" * 900), "E_NO_VIDEO: {path} is a text file, not a video. " + NAME_A_FILE),
    "utf-8 text": (
        _bytes("ein Märchen, 物語\n".encode() * 500),
        "E_NO_VIDEO: {path} is a text file, not a video. " + NAME_A_FILE,
    ),
    "html": (_bytes(b"<html><body>404</body>"), "E_NO_VIDEO: {path} is a text file, not a video. " + NAME_A_FILE),
    "one byte": (_bytes(b"x"), "E_NO_VIDEO: {path} is a text file, not a video. " + NAME_A_FILE),
    "png": (
        _bytes(b"\x89PNG\r\n\x1a\n" + bytes(99)),
        "E_NO_VIDEO: {path} is a PNG image, not a video. " + NAME_A_FILE,
    ),
    "jpeg": (
        _bytes(b"\xff\xd8\xff\xe0" + bytes(99)),
        "E_NO_VIDEO: {path} is a JPEG image, not a video. " + NAME_A_FILE,
    ),
    "heif": (
        _bytes(b"\0\0\0\x18ftypheic" + bytes(99)),
        "E_NO_VIDEO: {path} is a HEIF image, not a video. " + NAME_A_FILE,
    ),
    "webp": (
        _bytes(b"RIFF\x64\0\0\0WEBPVP8 " + bytes(99)),
        "E_NO_VIDEO: {path} is a WebP image, not a video. " + NAME_A_FILE,
    ),
    "sound": (_song, "E_NO_VIDEO: {path} has no video in it. Found: audio only. " + NAME_A_FILE),
    "rubbish": (
        _bytes(np.random.default_rng(0).bytes(5000)),
        "E_NO_VIDEO: {path} is not in a video format that is read here. Try: name a video file, or convert it to MP4",
    ),
    "hls": (
        _bytes(b"#EXTM3U\n#EXTINF:1,\nclip.mp4\n"),
        "E_FORBIDDEN: {path} is a playlist or address that points at other files. " + THEMSELVES,
    ),
    "concat": (
        _bytes(b"ffconcat version 1.0\nfile clip.mp4\n"),
        "E_FORBIDDEN: {path} is a playlist or address that points at other files. " + THEMSELVES,
    ),
    "dash": (
        _bytes(b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>'),
        "E_FORBIDDEN: {path} is a playlist or address that points at other files. " + THEMSELVES,
    ),
    "address inside": (
        _bytes(b"http://127.0.0.1:9/clip.mp4\n"),
        "E_FORBIDDEN: {path} is a playlist or address that points at other files. " + THEMSELVES,
    ),
    "no index": (
        _cut("whole.mp4", 0.5),
        "E_TRUNCATED: the video {path} is cut off. Found: {size} bytes, but its part 'mdat' ends at byte {end}. "
        + AGAIN,
    ),
    "index only": (
        _bytes(b"\0\0\0\x14ftypisom\0\0\0\0isom\0\0\0\x08free"),
        "E_TRUNCATED: the video {path} is cut off. Found: no index (moov) in it. " + AGAIN,
    ),
    "cut behind its index": (
        _cut("whole.mp4", 0.5, **FAST),
        "E_TRUNCATED: the video {path} is cut off. Found: {size} bytes, but its part 'mdat' ends at byte {end}. "
        + AGAIN,
    ),
    "cut mkv": (
        _cut("whole.mkv", 0.9),
        "E_TRUNCATED: the video {path} is cut off. Found: {size} bytes, but a part ends at byte {whole}. " + AGAIN,
    ),
    "cut avi": (
        _cut("whole.avi", 0.9, codec="mpeg4"),
        "E_TRUNCATED: the video {path} is cut off. Found: {size} bytes of {whole}. " + AGAIN,
    ),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("decoder", [PyAVDecoder(), DecordDecoder()], ids=["pyav", "decord"])
def test_bad_file(case: str, decoder: PyAVDecoder | DecordDecoder, tmp_path: Path) -> None:
    make, expected = BAD[case]
    path = tmp_path / "folder" / "bad.mp4"
    path.parent.mkdir()
    make(path)
    said = refusal(path, decoder)
    whole = next(iter(path.parent.glob("whole.*")), None) if path.parent.is_dir() else None
    wanted = expected.format(
        path=repr(str(path)),
        size=path.stat().st_size if path.is_file() else 0,
        whole=whole.stat().st_size if whole else 0,
        end=_end_of_mdat(whole) if whole and whole.suffix == ".mp4" else 0,
    )
    assert said == wanted


def _end_of_mdat(path: Path) -> int:
    data = path.read_bytes()
    at = data.index(b"mdat") - 4
    return at + int.from_bytes(data[at : at + 4])


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/a.mp4", "concat:a.mp4|b.mp4", "pipe:0", "file:///etc/passwd"])
def test_an_address_is_not_opened(address: str) -> None:
    assert refusal(address) == f"E_FORBIDDEN: {address!r} is an address, not a file. Try: download it and name the file"


def test_null_byte_in_a_name() -> None:
    assert refusal("a\0b") == "E_NOT_FOUND: the video 'a\\x00b' does not exist. Try: check the path"


def test_a_playlist_named_like_a_video_opens_no_other_file(clip: Path) -> None:
    disguised = clip.with_name("list.mp4")
    disguised.write_bytes(b"\n \n#EXTM3U\n" + str(clip).encode())
    assert refusal(disguised).startswith("E_FORBIDDEN: ")


def test_no_permission(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # a test may run as root, whom no mode keeps out
    expected = f"E_PERMISSION: the video {str(clip)!r} may not be read. Try: give this user the right to read it"
    assert refusal(clip) == expected


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("hit.mp4", {}),
        ("hit.mkv", {}),
        ("hit.ts", {}),
        ("hit.avi", {"codec": "mpeg4"}),
        ("hit.ts", {"codec": "mpeg2video"}),
    ],
)
def test_damage_in_the_middle(name: str, settings: dict[str, object], tmp_path: Path) -> None:
    _zeroed(f"whole_{name}", **settings)(tmp_path / name)
    assert refusal(tmp_path / name).startswith(f"E_CORRUPT: the video {str(tmp_path / name)!r} is damaged. Found: ")


def test_packets_lost_from_the_end_of_a_transport_stream(tmp_path: Path) -> None:
    path = tmp_path / "odd.ts"
    _cut("whole.ts", 0.6)(path)
    behind = path.stat().st_size % 188
    found = f"{behind} bytes behind the last whole transport packet"
    assert refusal(path) == f"E_TRUNCATED: the video {str(path)!r} is cut off. Found: {found}. {AGAIN}"


def test_time_declared_but_not_there(tmp_path: Path) -> None:
    """A Matroska file without sizes, as live recorders write them, whose declared duration is not reached."""
    clusters = {"cluster_time_limit": "500"}
    whole = bytearray(write_clip(tmp_path / "whole.mkv", textured(100), container_options=clusters).read_bytes())
    at = whole.index(b"\x18\x53\x80\x67") + 4
    whole[at : at + 8] = b"\x01" + b"\xff" * 7
    path = tmp_path / "short.mkv"
    path.write_bytes(whole[: whole.rindex(b"\x1f\x43\xb6\x75")])
    assert refusal(path) == (f"E_TRUNCATED: the video {str(path)!r} is cut off. Found: 3.56 of 4.00 seconds. {AGAIN}")


def test_limits(clip: Path) -> None:
    assert refusal(clip, PyAVDecoder(max_pixels=96 * 64 - 1)) == (
        f"E_TOO_LARGE: the frames of {str(clip)!r} are 96x64, more than max_pixels=6143. "
        "Try: scale the video down, or raise decoder.max_pixels"
    )
    assert refusal(clip, DecordDecoder(max_frames=23)) == (
        f"E_TOO_LARGE: the video {str(clip)!r} has 24 frames, more than max_frames=23. "
        "Try: cut it into parts, or raise decoder.max_frames"
    )
    assert len(indices(clip, PyAVDecoder(max_pixels=96 * 64, max_frames=24))) == 24


def test_frame_limit_where_none_are_declared(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.ts")
    assert refusal(path, PyAVDecoder(max_frames=23)) == (
        f"E_TOO_LARGE: the video {str(path)!r} has more frames than it declares, more than max_frames=23. "
        "Try: cut it into parts, or raise decoder.max_frames"
    )


def test_wrong_numbers() -> None:
    with pytest.raises(ConfigError) as caught:
        PyAVDecoder(max_pixels=0)
    assert str(caught.value) == "decoder.max_pixels is 0. Try: give a number of at least 1"
    with pytest.raises(ConfigError) as caught:
        DecordDecoder(max_frames=-1)
    assert str(caught.value) == "decoder.max_frames is -1. Try: give a number of at least 1"
    with pytest.raises(ConfigError) as caught:
        make_decoder("opencv")
    assert str(caught.value) == "there is no decoder 'opencv'. Found: pyav, decord, torchcodec. Try: decoder=pyav"


def test_versions_name_ffmpeg() -> None:
    pyav = f"pyav {av.__version__} (FFmpeg {av.ffmpeg_version_info})"
    assert PyAVDecoder().version() == pyav
    pytest.importorskip("decord")
    assert DecordDecoder().version() == f"decord 0.6.0 (FFmpeg 4.1.6), else {pyav}"


DECORD_READS = {"plain.mp4", "plain.mov", "fast_start.mp4", "b_frames.mp4", "mpeg4.avi", "variable.mp4", "odd.mp4"}
DECORD_READS |= {"full_range.mp4", "fast_tag.mp4", "late.mp4", "open_gop.mp4", "-dash.mp4"}
DECORD_READS |= {"http:.mp4", "mpeg4_b.mp4", "a name with spaces, 'quotes' %d é😀\n.mp4"}


@pytest.mark.parametrize("name", HEALTHY)
def test_decord_gives_pyavs_bytes_or_leaves_the_file_to_it(name: str, tmp_path: Path) -> None:
    pytest.importorskip("decord")
    path = write_clip(tmp_path / name, **HEALTHY[name])
    decoder = DecordDecoder()
    assert decoder.reader_for(path) == ("decord" if name in DECORD_READS else "pyav")
    for stride in (1, 5):
        ours, theirs = (list(each.frames(path, stride=stride)) for each in (PyAVDecoder(), decoder))
        assert [index for index, _ in theirs] == [index for index, _ in ours] == list(range(0, 24, stride))
        assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(ours, theirs, strict=True))


def test_decord_leaves_long_videos_to_pyav(clip: Path) -> None:
    assert DecordDecoder(memory_bytes=24 * 96 * 64 * 3 - 1).reader_for(clip) == "pyav"


def test_decord_says_that_a_clip_is_damaged(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decord = pytest.importorskip("decord")
    hit = tmp_path / "hit.mp4"
    _zeroed("whole.mp4")(hit)  # it decodes ahead, and may say so before its first frame: then PyAV does
    assert refusal(hit, DecordDecoder()).startswith(f"E_CORRUPT: the video {str(hit)!r} is damaged. Found: ")

    def fails(*_: object) -> None:
        raise decord.DECORDError("anything")

    monkeypatch.setattr(decord.VideoReader, "get_batch", fails)
    path = clip
    assert DecordDecoder().reader_for(path) == "decord"
    found = "decord could not read it to its end"
    assert refusal(path, DecordDecoder()) == f"E_CORRUPT: the video {str(path)!r} is damaged. Found: {found}. {AGAIN}"


def test_without_decord(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "decord", None)
    expected = (
        "decoder=decord asks for decord, which is not installed. "
        "Found: decord has packages for Linux on x86-64 and for Windows only. "
        "Try: decoder=pyav, which reads the same frames everywhere"
    )
    with pytest.raises(ConfigError) as caught:
        DecordDecoder().version()
    assert str(caught.value) == expected
    with pytest.raises(ConfigError) as caught:
        make_decoder("decord")
    assert str(caught.value) == expected
    with pytest.raises(ConfigError) as caught:
        list(DecordDecoder().frames(clip))
    assert str(caught.value) == expected


def test_no_torch_at_import() -> None:
    code = "import sys, fmcvqa.data.decoding; print(sorted({'torch', 'lightning', 'decord'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "[]\n"


def test_barcode_tells_orientation() -> None:
    assert [read_barcode(barcode(k)) for k in (0, 1, 2050, 4095)] == [0, 1, 2050, 4095]
    for wrong in (barcode(5)[::-1], barcode(5)[:, ::-1], np.rot90(barcode(5)), np.rot90(barcode(5), 2)):
        with pytest.raises(ValueError, match="not upright"):
            read_barcode(wrong)
    with pytest.raises(ValueError, match="not a barcode"):
        read_barcode(np.full((64, 96, 3), 128, np.uint8))
