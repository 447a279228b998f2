"""Chunks become batches of one size: every frame once, in order, with its index; nothing waits behind a video's end."""

from __future__ import annotations

import pytest
import torch

from fmcvqa.data.frames import FrameBatch
from fmcvqa.errors import Damage
from fmcvqa.features import gather
from fmcvqa.features.gather import Gather

FRAME = torch.zeros(3, 2, 2)
BYTES = FRAME.nbytes


def chunk(start: int, n: int, *, last: bool = False, name: str = "a") -> FrameBatch:
    frames = torch.arange(start, start + n).view(n, 1, 1, 1) + FRAME
    damage = Damage("E_CORRUPT", "cut") if last else None
    return FrameBatch(frames, list(range(start, start + n)), name, last, "pyav", damage)


def sizes(whole: Gather, *chunks: FrameBatch) -> list[list[int]]:
    """Numbers of the frames of each batch that each chunk makes whole."""
    seen: list[int] = []
    made = []
    for one in chunks:
        batches = list(whole.add(one))
        for batch in batches:
            assert [int(frame[0, 0, 0]) for frame in batch.frames] == batch.frame_indices
            assert (batch.video_id, batch.reader) == (one.video_id, "pyav")
            seen += batch.frame_indices
        assert [batch.last for batch in batches] == [False] * (len(batches) - 1) + [one.last] * bool(batches)
        assert not batches or batches[-1].damage == one.damage
        made.append([len(batch.frames) for batch in batches])
    assert seen == list(range(len(seen)))
    return made


def test_a_chunk_of_the_size_is_handed_on_as_it_is() -> None:
    whole, one = Gather(4), chunk(0, 4)
    assert [batch.frames.data_ptr() for batch in whole.add(one)] == [one.frames.data_ptr()]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([chunk(0, 2), chunk(2, 2), chunk(4, 2, last=True)], [[], [4], [2]]),
        ([chunk(0, 3), chunk(3, 3), chunk(6, 3), chunk(9, 1, last=True)], [[], [4], [4], [2]]),
        ([chunk(0, 1), chunk(1, 0, last=True)], [[], [1]]),
        ([chunk(0, 4), chunk(4, 0, last=True)], [[4], []]),
        ([chunk(0, 6), chunk(6, 1, last=True)], [[6], [1]]),  # more than asked for come as they are
        ([chunk(0, 3), chunk(3, 4, last=True)], [[], [4, 3]]),
    ],
)
def test_batches_are_of_one_size_but_for_the_last(chunks: list[FrameBatch], expected: list[list[int]]) -> None:
    assert sizes(Gather(4), *chunks) == expected


def test_large_frames_wait_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "_LIMIT", 3 * BYTES + 1)
    assert sizes(Gather(16), chunk(0, 1), chunk(1, 1), chunk(2, 1), chunk(3, 1, last=True)) == [[], [], [3], [1]]
    monkeypatch.setattr(gather, "_LIMIT", BYTES - 1)
    assert sizes(Gather(16), chunk(0, 1), chunk(1, 1, last=True)) == [[1], [1]]


def test_a_change_of_size_ends_a_batch() -> None:
    whole, wider = Gather(4), chunk(3, 2, last=True)
    wider.frames = wider.frames.repeat(1, 1, 1, 2)
    assert not list(whole.add(chunk(0, 3)))
    assert [(batch.frame_indices, batch.frames.shape[3]) for batch in whole.add(wider)] == [([0, 1, 2], 2), ([3, 4], 4)]


def test_videos_are_kept_apart_and_one_can_be_forgotten() -> None:
    whole = Gather(4)
    assert not list(whole.add(chunk(0, 3))) and not list(whole.add(chunk(0, 2, name="b")))
    whole.discard("b")
    assert [batch.frame_indices for batch in whole.add(chunk(0, 1, name="b", last=True))] == [[0]]
    assert [batch.frame_indices for batch in whole.add(chunk(3, 1, last=True))] == [[0, 1, 2, 3]]
