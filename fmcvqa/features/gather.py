"""Chunks of large frames, of which few come at a time, put together to batches that are worth a pass of the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch

from fmcvqa.data.frames import FrameBatch

_LIMIT = 32 << 20  # bytes of preprocessed frames that may wait: 31 of 299 pixels


@dataclass
class _Filling:
    """A batch in the making."""

    frames: torch.Tensor  # [size, 3, h, w]
    indices: list[int] = field(default_factory=list)

    def take(self, chunk: FrameBatch, start: int) -> int:
        """Copies what fits of a chunk's frames from ``start`` on; gives where the rest begins."""
        stop = min(start + len(self.frames) - len(self.indices), len(chunk.frames))
        self.frames[len(self.indices) : len(self.indices) + stop - start] = chunk.frames[start:stop]
        self.indices += chunk.frame_indices[start:stop]
        return stop

    def batch(self, chunk: FrameBatch, *, last: bool) -> FrameBatch:
        """What is there, with the other fields of the chunk that made it whole."""
        return replace(chunk, frames=self.frames[: len(self.indices)], frame_indices=self.indices, last=last)


class Gather:
    """Keeps the frames of each video until they are enough for a batch, or the video ends.

    Args:
        frames: Of a batch; fewer where so many would take more than 32 MiB, but at least a chunk.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._waiting: dict[str, _Filling] = {}

    def add(self, chunk: FrameBatch) -> Iterator[FrameBatch]:
        """Yields what is whole now, in order; after a video's last chunk all there is, but no batch without frames.

        Args:
            chunk: Preprocessed frames ``[n, 3, h, w]``; in a batch all have one size.
        """
        filling = self._waiting.pop(chunk.video_id, None)
        if filling is not None and filling.frames.shape[1:] != chunk.frames.shape[1:]:
            yield filling.batch(chunk, last=False)
            filling = None
        if filling is None and (chunk.last or len(chunk.frames) >= self._most(chunk)):
            if len(chunk.frames):
                yield chunk
            return
        start = 0
        while start < len(chunk.frames):
            filling = filling or _Filling(chunk.frames.new_empty(self._most(chunk), *chunk.frames.shape[1:]))
            start = filling.take(chunk, start)
            if len(filling.indices) == len(filling.frames):
                yield filling.batch(chunk, last=chunk.last and start == len(chunk.frames))
                filling = None
        if filling is not None and chunk.last:
            yield filling.batch(chunk, last=True)
        elif filling is not None:
            self._waiting[chunk.video_id] = filling

    def discard(self, video_id: str) -> None:
        """Forget a video."""
        self._waiting.pop(video_id, None)

    def _most(self, chunk: FrameBatch) -> int:
        bytes_each = chunk.frames.element_size() * chunk.frames.shape[1:].numel()
        return max(1, min(self._frames, _LIMIT // bytes_each))
