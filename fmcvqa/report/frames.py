"""A few small frames of a video, as a page shows them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from fmcvqa.data.decoding import DecodePool, Decoder, FailedVideo, OnDamage, PyAVDecoder
from fmcvqa.data.decoding.base import Frame
from fmcvqa.data.decoding.salvage import salvaging
from fmcvqa.errors import VideoError


@dataclass(frozen=True)
class Glimpse:
    """A decoder that gives only a few frames of a video, small; it runs in the decoding child like any other.

    Attributes:
        count: Frames to give, evenly over what is read; fewer where a video has fewer.
        width: Largest width of a frame in pixels.
        most: Read at most so many frames.
        inner: What reads the file.
    """

    count: int = 3
    width: int = 240
    most: int = 3000
    inner: Decoder = field(default_factory=PyAVDecoder)

    @property
    def name(self) -> str:
        """That of the decoder that reads."""
        return self.inner.name

    def version(self) -> str:
        """That of the decoder that reads."""
        return self.inner.version()

    def reader_for(self, path: str | Path) -> str:
        """That of the decoder that reads."""
        return self.inner.reader_for(path)

    def frames(self, path: str | Path, *, stride: int = 1) -> Iterator[tuple[int, Frame]]:
        """The frames in the middle of ``count`` equal parts of what is read.

        How many frames a file has is known only at its end, so every ``step``-th is kept, and ``step`` doubled
        whenever there are more than enough.

        Raises:
            VideoError: If the file turns out unreadable or damaged in the part that is read; after the frames before
                the damage.
        """
        kept: list[tuple[int, Frame]] = []
        step, wrong = stride, None
        try:
            for index, frame in islice(self.inner.frames(path), self.most):
                if index % step == 0:
                    kept.append((index, shrunk(frame, self.width)))
                if len(kept) > 8 * self.count:
                    step, kept = 2 * step, kept[::2]
        except VideoError as error:
            wrong = error
        count = min(self.count, len(kept))
        yield from (kept[int((part + 0.5) * len(kept) / count)] for part in range(count))
        if wrong is not None:
            raise wrong


def shrunk(frame: Frame, width: int) -> Frame:
    """A frame ``[h, w, 3]`` no wider than ``width``, nor higher than twice that; a copy."""
    image = Image.fromarray(frame)
    image.thumbnail((width, 2 * width), reducing_gap=2.0)
    return np.array(image)


def data_uri(frame: Frame) -> str:
    """A frame as a JPEG inside the page."""
    out = io.BytesIO()
    Image.fromarray(frame).save(out, format="JPEG", quality=72, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def pictures(
    videos: Mapping[str, Path],
    glimpse: Glimpse,
    *,
    num_workers: int = 1,
    progress: bool = False,
    damage: OnDamage = "reject",
) -> dict[str, list[str]]:
    """Frames of videos as JPEGs inside the page, decoded in child processes; a video that cannot be read has none.

    Args:
        videos: File by id.
        glimpse: How many frames, and how large.
        num_workers: Decoding child processes.
        progress: Whether to show a bar on stderr.
        damage: ``mark`` shows the frames before the damage of a damaged video.
    """
    if damage == "mark":
        glimpse = replace(glimpse, inner=salvaging(glimpse.inner))
    pool = DecodePool(glimpse, num_workers=num_workers, chunk_frames=glimpse.count, damage=damage)
    found: dict[str, list[str]] = {}
    with tqdm(total=len(videos), desc="frames", unit="video", leave=False, disable=not progress) as bar:
        for item in pool.decode(list(videos.items())):
            if isinstance(item, FailedVideo):
                found.pop(item.video_id, None)
            else:
                found.setdefault(item.video_id, []).extend(data_uri(frame) for frame in item.frames)
            bar.update(isinstance(item, FailedVideo) or item.last)
    return found
