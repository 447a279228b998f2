"""torchcodec against PyAV, byte for byte; what it is not trusted with goes to PyAV."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
import torch
from barcode import barcode, read_barcode, write_clip

from fmcvqa.data.decoding import PyAVDecoder, TorchCodecDecoder
from fmcvqa.data.frames import VideoFrameDataModule
from fmcvqa.errors import ConfigError, VideoError

X265 = {"x265-params": "log-level=none:pools=1"}
READS = {
    "plain.mp4": {},
    "b_frames.mkv": {"options": {"bf": "3"}},
    "fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "variable.mp4": {"times": [40 * k + 7 * (k % 5) for k in range(24)]},
    "late.mkv": {"shift": lambda time: time + 30},
    "full_range.mp4": {"pix_fmt": "yuvj420p"},
    "odd.mp4": {"size": (97, 65), "pix_fmt": "yuv444p"},
    "hevc.mp4": {"codec": "libx265", "options": X265},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"cpu-used": "8"}},
    "mpeg4.avi": {"codec": "mpeg4"},
}
LEAVES = {
    "plain.ts": {},
    "ten_bit.mp4": {"pix_fmt": "yuv420p10le"},
    "vp8.webm": {"codec": "libvpx", "options": {"deadline": "realtime"}},
    "cut.mp4": {"options": {"bf": "3"}, "shift": lambda time: time - 5},
}


@pytest.fixture(scope="module", autouse=True)
def loadable(request: pytest.FixtureRequest) -> None:
    """It is an extra, and needs FFmpeg's libraries on the system."""
    try:
        TorchCodecDecoder().version()
    except ConfigError as error:
        refuse = pytest.fail if request.config.getoption("--gpu") else pytest.skip
        refuse(str(error))


@pytest.mark.parametrize("name", [*READS, *LEAVES])
def test_it_gives_pyavs_bytes_or_leaves_the_file_to_it(name: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / name, **(READS | LEAVES)[name])
    decoder = TorchCodecDecoder()
    assert decoder.reader_for(path) == ("torchcodec" if name in READS else "pyav")
    for stride in (1, 5):
        ours, theirs = (list(each.frames(path, stride=stride)) for each in (PyAVDecoder(), decoder))
        assert [index for index, _ in theirs] == [index for index, _ in ours]
        times = [(mine.seconds, other.seconds) for (mine, _), (other, _) in zip(ours, theirs, strict=True)]
        known = [pair for pair in times if pair[0] is not None and pair[0] == pair[0]]
        assert [mine for mine, _ in known] == pytest.approx([other for _, other in known])
        assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("rotation", "turns"), [(90, -1), (180, 2), (-90, 1)])
def test_rotation_is_applied_once(rotation: int, turns: int, tmp_path: Path) -> None:
    coded = [np.ascontiguousarray(np.rot90(barcode(k), turns)) for k in range(24)]
    path = write_clip(tmp_path / "turned.mp4", coded, rotation=rotation)
    assert TorchCodecDecoder().reader_for(path) == "torchcodec"
    assert [(i, read_barcode(image)) for i, image in TorchCodecDecoder().frames(path)] == [(k, k) for k in range(24)]


def test_tensors_come_in_chunks_of_the_asked_size(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 10)
    chunks = list(TorchCodecDecoder().tensors(path, stride=2, chunk_frames=2, chunk_bytes=10**6))
    assert [indices for _, indices in chunks] == [[0, 2], [4, 6], [8]]
    assert [read_barcode(frame.numpy()) for frames, _ in chunks for frame in frames] == [0, 2, 4, 6, 8]
    one = list(TorchCodecDecoder().tensors(path, stride=1, chunk_frames=8, chunk_bytes=1))
    assert [indices for _, indices in one] == [[k] for k in range(10)]
    with pytest.raises(VideoError) as caught:
        next(TorchCodecDecoder().tensors(write_clip(tmp_path / "c.ts"), stride=1, chunk_frames=8, chunk_bytes=10**6))
    assert str(caught.value) == (
        f"E_NO_VIDEO: the video {str(tmp_path / 'c.ts')!r} is not of a kind that is decoded on the GPU. Found: only "
        "8-bit files with one frame per packet in MP4, Matroska or AVI are. Try: decoder=pyav for this file"
    )


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.release)])  # a child imports torch
def test_it_streams_through_the_data_module(workers: int, tmp_path: Path) -> None:
    paths = [write_clip(tmp_path / f"{k}.mp4", 20) for k in range(2)]
    module = VideoFrameDataModule(paths, decoder="torchcodec", num_workers=workers, chunk_frames=8, preprocess=None)
    found = [(b.video_id, b.reader, read_barcode(f.permute(1, 2, 0).numpy())) for b in module.predict_dataloader()
             for f in b.frames]  # fmt: skip
    assert found == [(name, "torchcodec", k) for name in "01" for k in range(20)]


def test_frames_that_stay_on_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream of decoder.device=cuda, with the CPU in its place."""
    paths = [write_clip(tmp_path / f"{k}.mp4", 20) for k in range(3)]
    paths[1].write_bytes(paths[1].read_bytes()[:-100])
    monkeypatch.setattr(TorchCodecDecoder, "on_device", property(lambda self: True))
    told: list[str] = []
    module = VideoFrameDataModule(
        paths,
        decoder="torchcodec",
        num_workers=0,
        chunk_frames=8,
        preprocess=None,
        on_failure=lambda name, error: told.append(f"{name} {error.code}"),
    )
    asked: list[str] = []
    module.pool.accept = lambda name: asked.append(name) or name != "2"
    found = list(module.predict_dataloader())
    assert [(b.video_id, b.frame_indices[0], len(b.frames), b.last) for b in found] == [
        ("0", 0, 8, False), ("0", 8, 8, False), ("0", 16, 4, True),
    ]  # fmt: skip
    assert asked == ["0", "1", "2"]
    assert [read_barcode(f.permute(1, 2, 0).numpy()) for b in found for f in b.frames] == list(range(20))
    assert told == ["1 E_TRUNCATED"]
    with pytest.raises(ConfigError) as caught:
        VideoFrameDataModule(paths, decoder="torchcodec", num_workers=1)
    assert str(caught.value) == (
        "num_workers is 1, but a decoder that leaves frames on the GPU runs in this process. Try: num_workers=0"
    )


@pytest.mark.gpu
def test_nvdec_is_near_the_cpu(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 24, size=(320, 256))
    decoder = TorchCodecDecoder(device="cuda")
    assert " on cuda, else " in decoder.version()  # which refuses a driver without NVDEC
    chunks = list(decoder.tensors(path, stride=1, chunk_frames=8, chunk_bytes=10**8))
    assert all(frames.is_cuda for frames, _ in chunks)
    theirs = torch.cat([frames.cpu() for frames, _ in chunks]).int().numpy()
    ours = np.stack([frame for _, frame in PyAVDecoder().frames(path)]).astype(int)
    assert [read_barcode(frame.astype(np.uint8)) for frame in theirs] == list(range(24))
    assert np.abs(theirs - ours).mean() < 2


def no_library(name: str) -> None:
    raise OSError(f"no {name}")


class Fallback:
    """As torchcodec tells of files that NVDEC does not decode, which it decodes on the CPU without a word."""

    def __str__(self) -> str:
        return "[CUDA] Fallback status: Falling back due to: Video not supported"


def test_a_file_decoded_on_the_cpu_is_not_taken_for_nvdecs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchcodec.decoders

    monkeypatch.setattr(TorchCodecDecoder, "on_device", property(lambda self: True))
    monkeypatch.setattr(torchcodec.decoders.VideoDecoder, "cpu_fallback", Fallback())
    path = write_clip(tmp_path / "clip.mp4", 10)
    with pytest.raises(VideoError) as caught:
        next(TorchCodecDecoder().tensors(path, stride=1, chunk_frames=8, chunk_bytes=10**6))
    assert str(caught.value) == (
        f"E_NO_VIDEO: the video {str(path)!r} is of a kind that this GPU does not decode. Found: [CUDA] Fallback "
        "status: Falling back due to: Video not supported. Try: decoder=pyav for it"
    )


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("out of memory"),
        torch.AcceleratorError("illegal address", 700),
        RuntimeError("CUDA error"),
    ],
)
def test_what_befalls_the_gpu_is_not_the_files_fault(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchcodec.decoders

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(torchcodec.decoders.VideoDecoder, "get_frames_in_range", fails)
    path = write_clip(tmp_path / "clip.mp4", 10)
    with pytest.raises(type(error)) as caught:
        next(TorchCodecDecoder().tensors(path, stride=1, chunk_frames=8, chunk_bytes=10**6))
    assert caught.value is error


def test_no_gpu_and_no_such_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError) as caught:
        TorchCodecDecoder(device="cuda").version()
    assert str(caught.value) == (
        "decoder.device=cuda asks for NVDEC, but there is no CUDA device here. Try: decoder.device=cpu"
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(ctypes, "CDLL", no_library)
    with pytest.raises(ConfigError) as caught:
        TorchCodecDecoder(device="cuda").version()
    assert str(caught.value) == (
        "decoder.device=cuda asks for NVDEC, whose library cannot be loaded. Found: no libnvcuvid.so.1. Try: in a "
        "container NVIDIA_DRIVER_CAPABILITIES=compute,utility,video; or decoder.device=cpu"
    )
    with pytest.raises(ConfigError) as caught:
        TorchCodecDecoder(device="gpu")  # type: ignore[arg-type]
    assert str(caught.value) == "decoder.device is 'gpu'. Try: decoder.device = cpu or cuda"
