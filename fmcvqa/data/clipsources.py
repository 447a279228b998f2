"""Clean clips as sources: what is in each, and its frames at the size and length that are kept."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from fmcvqa.data.decoding.base import Frame, shown
from fmcvqa.data.decoding.opening import opened
from fmcvqa.data.decoding.probe import open_video
from fmcvqa.data.decoding.pyav import PyAVDecoder
from fmcvqa.data.degradations.base import Shape
from fmcvqa.data.degradations.motion import FEWEST_FRAMES
from fmcvqa.errors import DatasetError

SMALLEST = 64  # pixels; below that some encoders refuse
_LONGEST = 80  # characters of a name


@dataclass(frozen=True, slots=True)
class ClipSource:
    """One clean clip.

    Attributes:
        path: The file.
        name: Made from the file's name, safe in file names and unique.
        digest: SHA-256 of the file, hexadecimal.
    """

    path: Path
    name: str
    digest: str

    def frames(self, height: int | None, count: int | None) -> Iterator[Frame]:
        """Its first frames, RGB [h, w, 3], shrunk to at most a height; a last odd row or column is left out.

        Raises:
            VideoError: If it cannot be read.
            DatasetError: If the size changes within it.
        """
        first: tuple[int, ...] = ()
        for _, frame in islice(PyAVDecoder().frames(self.path), count):
            first = first or frame.shape
            if frame.shape != first:
                raise DatasetError(f"the frame size changes within {shown(self.path)}", advice="leaving it out")
            yield _fitted(frame, height)

    def shape(self, height: int | None, count: int | None) -> Shape:
        """Number, size and rate of those frames; they are all decoded once.

        Raises:
            VideoError: If it cannot be read.
            DatasetError: If it is too short or too small.
        """
        limits = PyAVDecoder()
        with opened(self.path, max_pixels=limits.max_pixels, max_frames=limits.max_frames) as (_, stream):
            rate = stream.average_rate or Fraction(25)
        number, size = 0, (0, 0)
        for frame in self.frames(height, count):
            number, size = number + 1, (frame.shape[0], frame.shape[1])
        if number < FEWEST_FRAMES or min(size) < SMALLEST:
            raise DatasetError(
                f"{shown(self.path)} cannot be a source with {number} frames of {size[1]}x{size[0]}",
                found=f"at least {FEWEST_FRAMES} frames of {SMALLEST}x{SMALLEST} are needed",
                advice="a longer or larger clip, or a larger --frames or --height",
            )
        return Shape(number, size, rate)


def clip_sources(paths: Sequence[Path]) -> list[ClipSource]:
    """The sources, ordered by name.

    Raises:
        VideoError: If a file is missing or holds no video.
        DatasetError: If two files are the same clip: it would stand on both sides of a split.
    """
    digests = [_digest(path) for path in paths]
    if twice := [digest for digest, times in Counter(digests).items() if times > 1]:
        same = [shown(path) for path, digest in zip(paths, digests, strict=True) if digest == twice[0]]
        raise DatasetError(f"{' and '.join(same)} are the same clip", advice="naming it once")
    stems = [re.sub(r"[^A-Za-z0-9.-]", "-", path.stem).lstrip(".")[:_LONGEST] or "clip" for path in paths]
    count = Counter(stem.casefold() for stem in stems)
    names = [stem if count[stem.casefold()] == 1 else f"{stem}-{d[:8]}" for stem, d in zip(stems, digests, strict=True)]
    made = [ClipSource(path, name, d) for path, name, d in zip(paths, names, digests, strict=True)]
    return sorted(made, key=lambda source: source.name)


def _digest(path: Path) -> str:
    with open_video(path, max_frames=PyAVDecoder().max_frames) as (file, _):
        digest = hashlib.sha256()
        file.seek(0)
        while part := file.read(1 << 20):
            digest.update(part)
        return digest.hexdigest()


def _fitted(frame: Frame, height: int | None) -> Frame:
    high, wide = frame.shape[:2]
    if height is not None and height < high:
        size = (max(2 * round(wide * height / high / 2), 2), height)
        return np.asarray(Image.fromarray(np.ascontiguousarray(frame)).resize(size, Image.Resampling.LANCZOS))
    return np.ascontiguousarray(frame[: high // 2 * 2, : wide // 2 * 2])
