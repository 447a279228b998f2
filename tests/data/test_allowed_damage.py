"""What becomes of damaged files where that is allowed: the frames before the damage, and a mark (docs/faults.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from barcode import write_clip
from damage import CONTAINERS, LARGE, cut_clip, damaged, digest, digests, moving, salvaged, source
from deadly import DeadlyDecoder
from tiny import clip, damage

from fmcvqa.data.decoding import (
    DecodedChunk,
    DecodePool,
    Decoder,
    DecordDecoder,
    FailedVideo,
    PyAVDecoder,
    TorchCodecDecoder,
)
from fmcvqa.data.decoding.base import ADVICE, Frame, chunks
from fmcvqa.data.decoding.salvage import UNSURE, SalvagingDecoder, salvaging
from fmcvqa.data.frames import VideoFrameDataModule
from fmcvqa.errors import DAMAGE_CODES, VIDEO_CODES, ConfigError, Damage, VideoError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("allowed")


def refused(path: Path) -> str:
    """What the file is refused with, or ``None`` as a text."""
    try:
        digests(path)
    except VideoError as error:
        return str(error)
    return str(None)


@pytest.mark.parametrize("name", CONTAINERS)
def test_only_frames_that_are_as_they_were_and_the_same_error_behind_them(name: str, folder: Path) -> None:
    data, whole = source(folder, name).read_bytes(), digests(source(folder, name))
    path, kept = folder / f"bad_{name}", 0
    for seed in range(8):
        path.write_bytes(damaged(data, LARGE[seed % len(LARGE)], seed))
        given, error = salvaged(path)
        assert str(error) == refused(path), seed
        if error is not None:
            assert given == whole[: len(given)], seed
            kept += len(given)
    assert kept > len(whole) // 2


def test_a_file_cut_off_behind_its_index_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """What the skeleton refuses at once otherwise: a download that was broken off."""
    path = tmp_path / "fast.mp4"
    data = write_clip(path, moving(48), container_options={"movflags": "faststart"}).read_bytes()
    whole = digests(path)
    path.write_bytes(data[: len(data) * 3 // 4])
    given, error = salvaged(path)
    assert error is not None
    assert (error.code, str(error)) == ("E_TRUNCATED", refused(path))
    assert len(whole) > len(given) > len(whole) // 3
    assert given == whole[: len(given)]


def test_a_healthy_file_is_whole(folder: Path) -> None:
    for name in CONTAINERS:
        whole = digests(source(folder, name))
        assert salvaged(source(folder, name)) == (whole, None)


def pooled(path: Path, decoder: Decoder | None = None, **options: Any) -> list[DecodedChunk | FailedVideo]:
    items = []
    for item in DecodePool(decoder or PyAVDecoder(), **options).decode([("a", path)]):
        items.append(item)
        if isinstance(item, DecodedChunk):
            object.__setattr__(item, "frames", item.frames.copy())
    return items


@pytest.mark.parametrize("workers", [0, 1])
def test_the_last_chunk_is_marked_where_that_is_allowed(workers: int, tmp_path: Path) -> None:
    path = cut_clip(tmp_path / "cut.mkv")
    [*_, failed] = pooled(path, num_workers=workers)
    assert isinstance(failed, FailedVideo)
    marked = pooled(path, num_workers=workers, damage="mark")
    assert [isinstance(item, DecodedChunk) and item.last for item in marked] == [False] * (len(marked) - 1) + [True]
    assert [item.damage for item in marked[:-1]] == [None] * (len(marked) - 1)  # type: ignore[union-attr]
    assert marked[-1].damage == Damage("E_TRUNCATED", failed.error.found)  # type: ignore[union-attr]
    given = [frame for item in marked for frame in item.frames]  # type: ignore[union-attr]
    assert [digest(frame) for frame in given] == salvaged(path)[0]
    [whole] = pooled(clip(tmp_path / "whole.mp4", 10), num_workers=workers, damage="mark")
    assert isinstance(whole, DecodedChunk)
    assert (whole.last, whole.damage, len(whole.frames)) == (True, None, 10)


@pytest.mark.parametrize("workers", [0, 1])
def test_without_a_good_frame_it_stays_a_failure(workers: int, tmp_path: Path) -> None:
    (tmp_path / "noindex.mp4").write_bytes(clip(tmp_path / "a.mp4", 24).read_bytes()[:3000])
    (tmp_path / "empty.mp4").touch()
    expected = {
        "noindex.mp4": "E_TRUNCATED",
        "empty.mp4": "E_EMPTY",
        "lost.mp4": "E_NOT_FOUND",
        damage(clip(tmp_path / "early.mp4", UNSURE)).name: "E_CORRUPT",
    }
    for name, code in expected.items():
        [item] = pooled(tmp_path / name, num_workers=workers, damage="mark")
        assert isinstance(item, FailedVideo)
        assert item.error.code == code


@dataclass(frozen=True)
class Failing:
    """Three frames, then an error."""

    code: str
    located: bool = True
    name: str = "failing"

    def version(self) -> str:
        return "1"

    def reader_for(self, path: str | Path) -> str:
        return self.name

    def frames(self, path: str | Path, *, stride: int = 1) -> Iterator[tuple[int, Frame]]:
        for index in range(3):
            yield index, np.full((4, 4, 3), index, np.uint8)
        error = VideoError(self.code, "it is bad", advice=ADVICE)
        error.located = self.located
        raise error


@pytest.mark.parametrize("code", VIDEO_CODES)
def test_only_damage_is_marked(code: str) -> None:
    items = pooled(Path("x"), Failing(code), num_workers=0, damage="mark")
    if code in DAMAGE_CODES:
        [item] = items
        assert isinstance(item, DecodedChunk)
        assert (item.frame_indices, item.damage) == ([0, 1, 2], Damage(code, "it is bad"))
    else:
        [item] = items
        assert isinstance(item, FailedVideo)
        assert item.error.code == code


@pytest.mark.parametrize("room", [1, 2, 3, 4])
def test_the_last_good_frame_is_in_the_marked_chunk_whatever_the_room(room: int) -> None:
    frames = Failing("E_CORRUPT").frames("x")
    found = list(chunks(frames, lambda: np.empty(999, np.uint8), chunk_frames=room, chunk_bytes=999, damage="mark"))
    assert [index for _, indices, _, _ in found for index in indices] == [0, 1, 2]
    assert [(last, mark is not None) for _, _, last, mark in found] == [(False, False)] * (len(found) - 1) + [
        (True, True)
    ]


def test_damage_whose_place_is_not_known_is_refused(tmp_path: Path) -> None:
    """Nothing tells which of the frames refer to a lost one, so none can be vouched for."""
    [item] = pooled(Path("x"), Failing("E_CORRUPT", located=False), num_workers=0, damage="mark")
    assert isinstance(item, FailedVideo)
    data, path, counted = source(tmp_path, "h264.flv").read_bytes(), tmp_path / "lost.flv", []
    for seed in range(100):  # few leave such a gap, and which ones follows from how the encoder has shared its work
        path.write_bytes(damaged(data, "lose", seed))
        if refused(path).count("frames could be decoded"):
            [*_, item] = pooled(path, num_workers=0, damage="mark")
            counted.append(isinstance(item, FailedVideo))
        if len(counted) == 3:
            break
    assert counted and all(counted)


@pytest.mark.parametrize("name", ["hevc.mp4", "h264.ts", "vp9.webm"])
def test_the_same_frames_on_every_run_with_any_number_of_workers(name: str, folder: Path) -> None:
    data, path, used = source(folder, name).read_bytes(), folder / f"again_{name}", 0
    for seed in range(8):
        path.write_bytes(damaged(data, ("burst", "overwrite")[seed % 2], seed))
        seen = set()
        for workers in (0, 0, 1, 2):
            run = pooled(path, num_workers=workers, damage="mark")
            frames = [digest(frame) for item in run if isinstance(item, DecodedChunk) for frame in item.frames]
            ends = [item.damage for item in run if isinstance(item, DecodedChunk)][-1:]
            seen.add((tuple(frames), *ends))
        assert len(seen) == 1, seed
        used += ends not in ([], [None])
    assert used


def test_decoders_that_conceal_damage_leave_the_file_to_pyav(tmp_path: Path) -> None:
    for decoder in (PyAVDecoder(2**20, 900), DecordDecoder(2**20, 900), TorchCodecDecoder(2**20, 900)):
        assert salvaging(decoder) == SalvagingDecoder(2**20, 900)
    own = DeadlyDecoder()
    assert salvaging(own) is own
    with pytest.raises(ConfigError, match=r"decoder\.device=cuda cannot be asked for the good frames"):
        salvaging(TorchCodecDecoder(device="cuda"))


def test_batches_carry_the_mark(tmp_path: Path) -> None:
    path = cut_clip(tmp_path / "cut.ts")
    with pytest.raises(VideoError, match="E_TRUNCATED"):
        list(VideoFrameDataModule([path], num_workers=0, preprocess=None).predict_dataloader())
    module = VideoFrameDataModule([path], num_workers=0, preprocess=None, damage="mark")
    *_, last = module.predict_dataloader()
    assert last.last and last.damage is not None and last.damage.code == "E_TRUNCATED"


def test_there_are_two_ways(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"damage is 'keep'\. Try: damage = reject or mark"):
        DecodePool(PyAVDecoder(), damage="keep")  # type: ignore[arg-type]
