"""Chunks of large frames, of which few come at a time, put together to batches that are worth a pass of the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from fmcvqa.data.frames import FrameBatch

_LIMIT = 32 << 20  # bytes of preprocessed frames that may wait: 31 of 299 pixels


class Gather:
    """Keeps the frames of each video until they are enough for a batch, or the video ends.

    Args:
        frames: Of a batch; fewer where so many would take more than 32 MiB, but at least a chunk.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._waiting: dict[str, list[FrameBatch]] = {}

    def add(self, chunk: FrameBatch) -> Iterator[FrameBatch]:
        """Yields what is whole now, in order; after a video's last chunk all there is, but no batch without frames.

        Args:
            chunk: Preprocessed frames ``[n, 3, h, w]``; those of one video have one size.
        """
        waiting = [*self._waiting.pop(chunk.video_id, []), chunk]
        count = sum(len(each.frames) for each in waiting)
        size = max(self._most(chunk), len(chunk.frames))
        if not chunk.last and count < size:
            self._waiting[chunk.video_id] = waiting
            return
        whole = chunk if len(waiting) == 1 else _joined(waiting)
        for start in range(0, count, size):
            part = _part(whole, start, start + size)
            if len(part.frames) == size or chunk.last:
                yield part
            else:
                self._waiting[chunk.video_id] = [part]

    def discard(self, video_id: str) -> None:
        """Forget a video."""
        self._waiting.pop(video_id, None)

    def _most(self, chunk: FrameBatch) -> int:
        bytes_each = chunk.frames.element_size() * chunk.frames.shape[1:].numel()
        return max(1, min(self._frames, _LIMIT // bytes_each))


def _joined(chunks: list[FrameBatch]) -> FrameBatch:
    frames = torch.cat([each.frames for each in chunks])
    return replace(chunks[-1], frames=frames, frame_indices=[k for each in chunks for k in each.frame_indices])


def _part(batch: FrameBatch, start: int, stop: int) -> FrameBatch:
    if start == 0 and stop >= len(batch.frames):
        return batch
    last = batch.last and stop >= len(batch.frames)
    return replace(batch, frames=batch.frames[start:stop], frame_indices=batch.frame_indices[start:stop], last=last)
