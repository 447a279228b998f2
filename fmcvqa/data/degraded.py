"""An ordinal video set from clean clips: which of two versions of a source is worse is known, no opinion is."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path

import av
import numpy as np
from tqdm import tqdm

from fmcvqa.data.clipsources import ClipSource, clip_sources
from fmcvqa.data.degradations import CLEAN, SINGLE, STRENGTHS, TYPES, Recipe, Shape, degrade, encoder_for, recipe
from fmcvqa.data.degradations.ladders import CODECS
from fmcvqa.data.filling import FileJob, Manifest, Settings, fill
from fmcvqa.errors import ConfigError, DatasetError, unknown_name

MANIFEST, LABELS, VIDEOS = "degraded.json", "labels.csv", "videos"
VERSION = 1  # raised when the same settings give other files
MEANING = "order within group and type only; not a MOS"
_NOTE = f"Degraded clips. The column mos of {LABELS} is 5 less the strength: {MEANING}. Nobody rated these videos."

Version = tuple[ClipSource, str, int]


class DegradedSet:
    """Clean clips and their degraded versions, with labels that ``data=csv`` and ``protocol.groups_file`` read.

    Files: ``videos/SOURCE_TYPE_STRENGTH.mp4``, ``labels.csv`` (path, id, mos, group, type, strength, how, meaning) and
    ``degraded.json``. The group of a video is its source.

    Args:
        clips: The clean clips.
        root: The set's folder, new or empty, or of a run to finish.
        types: Names out of ``TYPES``.
        height: Shrink higher frames to this height, an even number.
        frames: Keep at most so many frames of each clip.
        seed: With a clip's content and the type it decides all chance.

    Raises:
        ConfigError: If a type is unknown, this PyAV cannot encode it, or a number cannot be.
        DatasetError: If there are no clips, or two are the same.
    """

    def __init__(
        self,
        clips: Sequence[Path],
        root: str | os.PathLike[str],
        *,
        types: Sequence[str] = TYPES,
        height: int | None = None,
        frames: int | None = None,
        seed: int = 0,
    ) -> None:
        for name in types:
            if name not in TYPES:
                raise unknown_name("degradation", name, TYPES, "some of these with commas between, or all")
        if height is not None and (height < 2 or height % 2):
            raise ConfigError(f"--height {height} cannot be", advice="an even number of pixels from 64")
        if frames is not None and frames < 1:
            raise ConfigError(f"--frames {frames} cannot be", advice="a number from 12")
        if not clips:
            raise DatasetError("there are no clips", advice="naming files, or a folder with videos")
        self.types = tuple(name for name in TYPES if name in types)
        self.encoders = sorted({encoder_for(name).name for name in ("h264", *self.types) if name in CODECS})
        self.sources = clip_sources(clips)
        self.root, self.height, self.frames, self.seed = Path(root).expanduser(), height, frames, seed

    def __len__(self) -> int:
        return len(self.sources) * (1 + len(self.types) * len(STRENGTHS))

    def prepare(self) -> None:
        """Make the set where it is not there, finish it where a run was killed, else do nothing.

        Raises:
            VideoError: If a clip cannot be read.
            DatasetError: If a clip cannot be used, or the folder holds other things or cannot be written.
        """
        settings: Settings = {
            "version": VERSION,
            "seed": self.seed,
            "height": self.height or 0,
            "frames": self.frames or 0,
            "types": list(self.types),
            "values": [f"{n} {', '.join(f'{v:g}' for v in k.values)} {k.unit}" for n, k in SINGLE.items()],
            "sources": [f"{source.name} {source.digest}" for source in self.sources],
            "made_with": [f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}", *self.encoders],
        }
        fill(self.root, Manifest(MANIFEST, "degraded set", _NOTE, settings), self._jobs)

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Number, size and rate of every source's frames, by its name."""
        bar = tqdm(self.sources, desc="reading clips", unit="clip", disable=None)
        return {source.name: source.shape(self.height, self.frames) for source in bar}

    def _jobs(self) -> list[FileJob]:
        labels = self._labels()  # every clip is read before the first file is made
        videos = [FileJob(f"{VIDEOS}/{_name(*v)}.mp4", partial(self._video, *v)) for v in self._videos()]
        return [FileJob(LABELS, lambda: labels), *videos]

    def _videos(self) -> list[Version]:
        rest = [(name, strength) for name in self.types for strength in STRENGTHS]
        return [(source, name, strength) for source in self.sources for name, strength in [(CLEAN, 0), *rest]]

    def _seed(self, source: ClipSource, name: str) -> list[int]:
        return [self.seed, int(source.digest[:16], 16), [*TYPES, CLEAN].index(name)]

    def _recipe(self, source: ClipSource, name: str, strength: int) -> Recipe:
        rng = np.random.default_rng([*self._seed(source, name), 1])
        return recipe(name, strength, self.shapes[source.name], rng)

    def _video(self, source: ClipSource, name: str, strength: int) -> bytes:
        done = self._recipe(source, name, strength)
        frames = source.frames(self.height, self.frames)
        return degrade(frames, done, self.shapes[source.name], [*self._seed(source, name), 2])

    def _labels(self) -> bytes:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["path", "id", "mos", "group", "type", "strength", "how", "meaning"])
        for video in self._videos():
            source, name, strength = video
            row = [_name(*video), STRENGTHS[-1] - strength, source.name, name, strength, self._recipe(*video).words]
            writer.writerow([f"{VIDEOS}/{row[0]}.mp4", *row, MEANING])
        return stream.getvalue().encode()


def _name(source: ClipSource, name: str, strength: int) -> str:
    return f"{source.name}_{name}_{strength}"
