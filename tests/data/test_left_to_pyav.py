"""Files that other libraries show otherwise than PyAV, or not at all: they are PyAV's, whatever decoder is asked."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from barcode import write_clip
from tiny import textured

from fmcvqa.data.decoding import Decoder, DecordDecoder, PyAVDecoder, TorchCodecDecoder
from fmcvqa.errors import ConfigError, VideoError

PICTURES = textured(12, 192, 128)


def plain(path: Path, **options: object) -> Path:
    return write_clip(path, PICTURES, size=(192, 128), **options)  # type: ignore[arg-type]


def copied(source: Path, path: Path, *others: Path, filtered: str = "") -> Path:
    """The packets of the first video of each file, as a stream each, through a bitstream filter."""
    with ExitStack() as files:
        out = files.enter_context(av.open(str(path), "w"))
        streams = [files.enter_context(av.open(str(file))).streams.video[0] for file in (source, *others)]
        targets = [out.add_stream_from_template(stream) for stream in streams]
        for stream, target in zip(streams, targets, strict=True):
            through = BitStreamFilterContext(filtered or "null", stream, target)
            for packet in stream.container.demux(stream):
                for made in through.filter(packet if packet.size else None):
                    made.stream = target
                    out.mux(made)
    return path


def interlaced(folder: Path) -> Path:
    return plain(folder / "clip.mp4", options={"flags": "+ilme+ildct", "x264-params": "tff=1"})


def tagged(matrix: int) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        source = plain(folder / "source.mp4")
        return copied(source, folder / "clip.mp4", filtered=f"h264_metadata=matrix_coefficients={matrix}")

    return make


def cropped(folder: Path) -> Path:
    return copied(plain(folder / "source.mp4"), folder / "clip.mp4", filtered="h264_metadata=crop_left=16")


def turned_within(folder: Path) -> Path:
    words = "h264_metadata=display_orientation=insert:rotate=90"
    return copied(plain(folder / "source.mp4"), folder / "clip.mp4", filtered=words)


def nearly_turned(folder: Path) -> Path:
    path = plain(folder / "clip.mp4", rotation=90)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", 1, 65536, 0, -65536, 1, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def h264_in_avi(folder: Path) -> Path:
    return write_clip(folder / "clip.avi", textured(30, 192, 128), size=(192, 128))


def resized_within(folder: Path) -> Path:
    large = plain(folder / "large.mp4", codec="mpeg4")
    small = write_clip(folder / "small.mp4", textured(12, 128, 96), size=(128, 96), codec="mpeg4")
    path = folder / "clip.mp4"
    with av.open(str(large)) as one, av.open(str(small)) as other, av.open(str(path), "w") as out:
        target, count = out.add_stream_from_template(one.streams.video[0]), 0
        for container in (one, other):
            head = container.streams.video[0].codec_context.extradata or b""
            for packet in container.demux(video=0):
                if packet.size:
                    made = av.Packet(head + bytes(packet) if packet.is_keyframe else bytes(packet))
                    made.stream, made.time_base, made.is_keyframe = target, packet.time_base, packet.is_keyframe
                    made.pts = made.dts = count * int(1 / (25 * packet.time_base))
                    out.mux(made)
                    count += 1
    return path


def two_streams(folder: Path) -> Path:
    poor = plain(folder / "poor.mp4", options={"crf": "40"})
    return copied(poor, folder / "clip.mp4", plain(folder / "good.mp4", options={"crf": "5"}))


@pytest.fixture(params=[PyAVDecoder, DecordDecoder, TorchCodecDecoder])
def decoder(request: pytest.FixtureRequest) -> Decoder:
    made: Decoder = request.param()
    try:
        made.version()
    except ConfigError as error:
        pytest.skip(str(error))
    return made


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (interlaced, (128, 192)),
        (tagged(0), (128, 192)),
        (cropped, (128, 176)),
        (turned_within, (192, 128)),
        (nearly_turned, (192, 128)),
        (h264_in_avi, (128, 192)),
        (resized_within, (128, 192)),
        (two_streams, (128, 192)),
    ],
)
def test_all_give_the_same_frames_turned_and_cropped_once(
    make: Callable[[Path], Path], shape: tuple[int, int], decoder: Decoder, tmp_path: Path
) -> None:
    path = make(tmp_path)
    ours = list(PyAVDecoder().frames(path))
    assert [index for index, _ in ours] == list(range(len(ours))) and len(ours) >= 12
    assert {frame.shape[:2] for _, frame in ours[:12]} == {shape}
    theirs = list(decoder.frames(path))
    assert [index.seconds for index, _ in theirs] == [index.seconds for index, _ in ours]  # type: ignore[attr-defined]
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(ours, theirs, strict=True))


def test_a_crop_on_the_left_leaves_what_is_right_of_it(tmp_path: Path) -> None:
    [found, whole] = [next(PyAVDecoder().frames(path))[1] for path in (cropped(tmp_path), tmp_path / "source.mp4")]
    assert np.array_equal(found, whole[:, 16:])  # of one encoding: x264's second need not be the same


def test_colours_that_nothing_converts_are_an_error_of_that_file(decoder: Decoder, tmp_path: Path) -> None:
    path = tagged(8)(tmp_path)
    with pytest.raises(VideoError) as caught:
        list(decoder.frames(path))
    assert str(caught.value) == (
        f"E_NO_VIDEO: the colours of {str(path)!r} are of a kind that is not converted here. Found: yuv420p with "
        "the matrix number 8: Operation not supported. Try: correct the file's colour tags, or convert it to BT.709"
    )


@pytest.mark.parametrize("decoder", [TorchCodecDecoder], indirect=True)
def test_what_torchcodec_refuses_is_read_to_its_end_by_pyav(
    decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plain(tmp_path / "clip.mp4")
    batches = TorchCodecDecoder._batches

    def stops(self: TorchCodecDecoder, path: Path, stride: int, frames: int) -> object:
        yield next(batches(self, path, stride, 4))
        raise VideoError("E_CORRUPT", "no more")

    monkeypatch.setattr(TorchCodecDecoder, "_batches", stops)
    ours = list(PyAVDecoder().frames(path, stride=2))
    theirs = list(decoder.frames(path, stride=2))
    assert [index for index, _ in theirs] == [index for index, _ in ours] == [0, 2, 4, 6, 8, 10]
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(ours, theirs, strict=True))
