"""The DataModule as Lightning and as a borrower see it."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from barcode import read_barcode, write_clip
from torch.utils.data import DataLoader

from fmcvqa.data.frames import FrameBatch, VideoFrameDataModule
from fmcvqa.data.preprocess import Preprocess
from fmcvqa.data.records import VideoRecord
from fmcvqa.errors import ConfigError, DatasetError, VideoError

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class Reader(lightning.LightningModule):
    """Returns what it is given."""

    def predict_step(self, batch: FrameBatch, batch_idx: int) -> FrameBatch:
        return copy.copy(batch)


class Learner(lightning.LightningModule):
    """Learns the mean of the frames, to be trained by a borrower."""

    def __init__(self, fail_at: int = -1) -> None:
        super().__init__()
        self.level = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[str, int]] = []
        self.fail_at = fail_at

    def training_step(self, batch: FrameBatch, batch_idx: int) -> torch.Tensor:
        if batch_idx == self.fail_at:
            raise ZeroDivisionError
        self.seen.append((batch.video_id, len(batch.frames)))
        return ((batch.frames.mean() - self.level) ** 2).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    sizes = {"a": (96, 64), "b": (128, 96), "c": (64, 80)}
    return [write_clip(folder / f"{name}.mp4", 20, size=size) for name, size in sizes.items()]


@pytest.fixture(autouse=True)
def no_children_left() -> Iterator[None]:
    yield
    gc.collect()
    assert multiprocessing.active_children() == []


def predict(frames: VideoFrameDataModule) -> list[FrameBatch]:
    batches = lightning.Trainer(**QUIET).predict(Reader(), datamodule=frames)
    assert batches is not None
    return batches


def codes(batches: list[FrameBatch]) -> dict[str, list[int]]:
    """What the frames of each video say, checked against their indices."""
    said: dict[str, list[int]] = {}
    for batch in batches:
        assert batch.frames.dtype == torch.uint8
        found = [read_barcode(image) for image in batch.frames.permute(0, 2, 3, 1).numpy()]
        assert found == batch.frame_indices
        said.setdefault(batch.video_id, []).extend(found)
    return said


@pytest.mark.parametrize("num_workers", [0, 1, 2])
@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_every_frame_reaches_predict_once(num_workers: int, decoder: str, clips: list[Path]) -> None:
    if decoder == "decord":
        pytest.importorskip("decord")
    frames = VideoFrameDataModule(clips, num_workers=num_workers, decoder=decoder, chunk_frames=8, preprocess=None)
    batches = predict(frames)
    assert codes(batches) == {name: list(range(20)) for name in "abc"}
    assert [sum(batch.last for batch in batches if batch.video_id == name) for name in "abc"] == [1, 1, 1]
    assert {batch.reader for batch in batches} == {decoder}
    if num_workers < 2:
        assert [(batch.video_id, len(batch.frames)) for batch in batches] == [
            (name, count) for name in "abc" for count in (8, 8, 4)
        ]


def test_preprocessing_is_bit_for_bit_the_same_however_decoded(clips: list[Path]) -> None:
    def run(num_workers: int) -> dict[tuple[str, int], torch.Tensor]:
        frames = VideoFrameDataModule(clips, num_workers=num_workers, stride=4, preprocess=Preprocess(48, 32))
        return {(batch.video_id, batch.frame_indices[0]): batch.frames for batch in predict(frames)}

    here, one, two = run(0), run(1), run(2)
    assert sorted(here) == [("a", 0), ("b", 0), ("c", 0)]
    for key, values in here.items():
        assert values.dtype == torch.float32
        assert values.shape == (5, 3, 32, 32)
        assert torch.equal(values, one[key])
        assert torch.equal(values, two[key])


def test_the_default_is_the_papers_size(clips: list[Path]) -> None:
    [batch] = predict(VideoFrameDataModule(clips[:1], stride=19, num_workers=0))
    assert batch.frames.shape == (2, 3, 299, 299)
    assert batch.frame_indices == [0, 19]


@pytest.mark.parametrize("kind", [str, Path])
def test_one_path_is_no_list_of_videos(kind: type[str | Path], clips: list[Path]) -> None:
    with pytest.raises(ConfigError, match=r"\.mp4' is one video, not a list of videos\. Try: put it in a list$"):
        VideoFrameDataModule(kind(clips[0]))  # type: ignore[arg-type]


def test_without_lightnings_trainer(clips: list[Path]) -> None:
    records = [VideoRecord(f"video {k}", path, 3.0) for k, path in enumerate(clips)]
    loader = VideoFrameDataModule(records, preprocess=None).predict_dataloader()
    assert isinstance(loader, DataLoader)
    for _ in range(2):
        assert codes(list(loader)) == {f"video {k}": list(range(20)) for k in range(3)}


def test_a_loader_left_half_read_ends_its_children(clips: list[Path]) -> None:
    frames = VideoFrameDataModule(clips, chunk_frames=2, num_workers=2)
    batches = iter(frames.predict_dataloader())
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    frames.close()
    assert multiprocessing.active_children() == []
    batches = iter(frames.predict_dataloader())
    next(batches)
    del batches
    gc.collect()
    assert multiprocessing.active_children() == []


def test_a_bad_video_raises(clips: list[Path], tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    frames = VideoFrameDataModule([clips[0], tmp_path / "empty.mp4", clips[1]], preprocess=None)
    with pytest.raises(VideoError) as caught:
        predict(frames)
    assert str(caught.value) == (
        f"E_EMPTY: the video {str(tmp_path / 'empty.mp4')!r} has 0 bytes. "
        "Try: take the file from its source again, or leave it out"
    )
    assert multiprocessing.active_children() == []  # while the error, and with it every frame of the run, still lives


@pytest.mark.parametrize("num_workers", [0, 2])
def test_on_failure_hears_of_a_bad_video_and_the_stream_goes_on(
    num_workers: int, clips: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "empty.mp4").touch()
    failed: list[tuple[str, str]] = []
    frames = VideoFrameDataModule(
        [clips[0], tmp_path / "empty.mp4", clips[1]],
        num_workers=num_workers,
        preprocess=None,
        on_failure=lambda name, error: failed.append((name, error.code)),
    )
    assert codes(predict(frames)) == {name: list(range(20)) for name in "ab"}
    assert failed == [("empty", "E_EMPTY")]


def test_a_video_too_small_for_the_crop_fails_once_and_has_no_frames(clips: list[Path]) -> None:
    told: list[str] = []
    frames = VideoFrameDataModule(
        clips,
        num_workers=0,
        chunk_frames=8,
        preprocess=Preprocess(None, 64),
        on_failure=lambda name, error: told.append(f"{name} {error.code}"),
    )
    assert {tuple(batch.frames.shape[1:]) for batch in predict(frames)} == {(3, 64, 64)} and not told
    frames.preprocess = Preprocess(None, 66)
    batches = predict(frames)
    assert told == ["a E_TOO_SMALL", "c E_TOO_SMALL"]
    assert [sum(len(batch.frames) for batch in batches if batch.video_id == name) for name in "abc"] == [0, 20, 0]
    assert all(batch.frames.dtype == torch.float32 for batch in batches)


def test_training_sees_every_chunk_in_an_order_that_follows_the_seed(clips: list[Path]) -> None:
    def run(seed: int) -> list[tuple[str, int]]:
        lightning.seed_everything(seed, verbose=False)
        frames = VideoFrameDataModule(clips, num_workers=1, chunk_frames=10, preprocess=Preprocess(48, 32))
        learner = Learner()
        lightning.Trainer(**QUIET, max_epochs=2).fit(learner, datamodule=frames)
        return learner.seen

    first = run(0)
    assert sorted(first) == sorted([("a", 10), ("b", 10), ("c", 10)] * 4)
    assert first == run(0)
    assert first[:6] != first[6:]


def test_an_exception_in_training_ends_the_children(clips: list[Path]) -> None:
    frames = VideoFrameDataModule(clips, num_workers=2, chunk_frames=2, preprocess=Preprocess(48, 32))
    with pytest.raises(ZeroDivisionError) as caught:
        lightning.Trainer(**QUIET, max_epochs=1).fit(Learner(fail_at=1), datamodule=frames)
    assert multiprocessing.active_children() == []
    del caught


def test_no_advice_about_loader_workers(clips: list[Path]) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        predict(VideoFrameDataModule(clips[:1], preprocess=Preprocess(48, 32)))
    assert [str(warning.message) for warning in heard if "many workers" in str(warning.message)] == []


@pytest.mark.parametrize(("rank", "expected"), [(0, ["a", "c"]), (1, ["b"])])
def test_ranks_share_the_videos(
    rank: int, expected: list[str], clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: rank)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    loader = VideoFrameDataModule(clips, num_workers=0, preprocess=None).predict_dataloader()
    assert sorted(codes(list(loader))) == expected


def test_two_videos_of_one_id(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        VideoFrameDataModule([tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "x" / "a.mkv"])
    assert str(caught.value) == (
        "1 of 3 videos share their id with another. Found: a. Try: give VideoRecords with ids of their own"
    )


def test_unknown_decoder(clips: list[Path]) -> None:
    with pytest.raises(ConfigError) as caught:
        VideoFrameDataModule(clips, decoder="opencv")
    assert str(caught.value) == "there is no decoder 'opencv'. Found: pyav, decord, torchcodec. Try: decoder=pyav"
