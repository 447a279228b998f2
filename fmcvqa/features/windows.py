"""Features of each second of a video, pooled in the same pass as those of the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from torch import Tensor

from fmcvqa.data.frames import FrameBatch
from fmcvqa.features.pooling import TapPools
from fmcvqa.features.recipe import FeatureRecipe

WINDOW_SECONDS = 1.0
_ROUNDING = 1e-3  # seconds; presentation times are rounded to the file's time base, and decord's to float32


@dataclass(frozen=True)
class WindowFeatures:
    """Pooled features of one window.

    Attributes:
        video_id: The video.
        start: In seconds after its first frame.
        frames: Number of frames pooled.
        blocks: ``{(tap, pool): [d]}`` in float32.
    """

    video_id: str
    start: float
    frames: int
    blocks: dict[tuple[str, str], npt.NDArray[np.float32]]


@dataclass
class _Open:
    """The window a video is at; ``timed`` is false once a frame came without a time."""

    number: int = 0
    pools: TapPools | None = None
    timed: bool = True


class WindowPools:
    """Pools the frames of each second of each video while it streams; give it to the extractor as ``on_frames``.

    A window holds the frames shown from second k up to second k + 1, by the presentation times of the file, or by its
    declared frame rate where it has none. It is pooled as if the clip were these frames alone: ``delta`` has no part
    in what changes from one window to the next. Videos may arrive interleaved, the chunks of one video in order. One
    window per video is held at a time.

    Args:
        done: Called with each finished window, those of one video in order.
        recipe: Its pools and sketch are used here.
    """

    def __init__(self, done: Callable[[WindowFeatures], None], recipe: FeatureRecipe | None = None) -> None:
        self._done, self._recipe = done, recipe or FeatureRecipe()
        self._open: dict[str, _Open] = {}

    def __call__(self, batch: FrameBatch, vectors: Mapping[str, Tensor]) -> None:
        """Add a chunk: the vectors ``[n, d]`` of its n frames by tap."""
        window = self._open.setdefault(batch.video_id, _Open())
        seconds = [getattr(index, "seconds", None) for index in batch.frame_indices]
        if None in seconds:
            window.timed = False
        if not window.timed:
            return
        numbers = np.array([int((second + _ROUNDING) / WINDOW_SECONDS) for second in seconds if second is not None])
        edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        for first, after in pairwise(edges):
            if window.pools is not None and numbers[first] != window.number:
                self._close(batch.video_id, window)
            window.number = int(numbers[first])
            window.pools = window.pools or self._recipe.tap_pools()
            window.pools.update({tap: values[first:after] for tap, values in vectors.items()})

    def finish(self, video_id: str) -> bool:
        """Hand on a video's last window; gives whether its frames had times, so that its windows are whole."""
        window = self._open.pop(video_id, None)
        if window is None:
            return False
        if window.timed:
            self._close(video_id, window)
        return window.timed

    def discard(self, video_id: str) -> None:
        """Forget a video."""
        self._open.pop(video_id, None)

    def _close(self, video_id: str, window: _Open) -> None:
        pools, window.pools = window.pools, None
        if pools is not None:
            self._done(WindowFeatures(video_id, window.number * WINDOW_SECONDS, pools.count, pools.blocks()))
