"""A frame's index knows when the frame is shown."""

from __future__ import annotations

import pickle
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from barcode import write_clip

from fmcvqa.data.decoding import DecordDecoder, PyAVDecoder
from fmcvqa.data.decoding.clock import Clock, FrameIndex
from fmcvqa.data.frames import VideoFrameDataModule


def seconds(path: Path, decoder: PyAVDecoder | DecordDecoder, stride: int = 1) -> list[float | None]:
    return [index.seconds for index, _ in decoder.frames(path, stride=stride) if isinstance(index, FrameIndex)]


def test_an_index_is_a_number_that_crosses_processes() -> None:
    index = FrameIndex(7, 0.28)
    assert (index, index + 1, f"{index}") == (7, 8, "7")
    again = pickle.loads(pickle.dumps(index))
    assert (again, again.seconds) == (7, 0.28)
    assert FrameIndex(7).seconds is None


def test_times_count_from_the_first_frame() -> None:
    clock = Clock(Fraction(25))
    assert [clock.stamp(k, 8.0 + t).seconds for k, t in enumerate((0.0, 0.5, 0.75))] == [0.0, 0.5, 0.75]
    assert clock.stamp(3, None).seconds is None  # one of many: the rate would not fit the others


def test_without_times_the_declared_rate_counts_and_without_both_nothing() -> None:
    by_rate = Clock(Fraction(25))
    assert [by_rate.stamp(k, None).seconds for k in range(3)] == [0.0, 0.04, 0.08]
    for rate in (None, Fraction(0)):
        assert Clock(rate).stamp(0, None).seconds is None


def test_presentation_times_of_files(tmp_path: Path) -> None:
    times = [1000, 1040, 1500, 1510, 2990]
    clip = write_clip(tmp_path / "vfr.mkv", 5, times=times)
    assert seconds(clip, PyAVDecoder()) == pytest.approx([0.0, 0.04, 0.5, 0.51, 1.99], abs=1e-3)
    assert seconds(clip, PyAVDecoder(), stride=2) == pytest.approx([0.0, 0.5, 1.99], abs=1e-3)
    raw = write_clip(tmp_path / "raw.h264", 4)  # an elementary stream has no times of its own
    assert seconds(raw, PyAVDecoder()) == pytest.approx([0.0, 0.04, 0.08, 0.12])


@pytest.mark.skipif(sys.platform == "darwin", reason="no decord there")
def test_decord_gives_the_same_times(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "plain.mp4", 30, rate=30, options={"bf": "2"})
    assert seconds(clip, DecordDecoder(), stride=7) == pytest.approx(seconds(clip, PyAVDecoder(), stride=7), abs=1e-6)


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_carry_them(workers: int, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "plain.mp4", 6)
    frames = VideoFrameDataModule([clip], num_workers=workers, preprocess=None, chunk_frames=4)
    found = [index.seconds for batch in frames.predict_dataloader() for index in batch.frame_indices]
    assert found == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16, 0.2])
