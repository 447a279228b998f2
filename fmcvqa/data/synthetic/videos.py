"""Small generated stand-ins for KoNViD-1k and LIVE-VQC."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from io import BytesIO

import numpy as np
import numpy.typing as npt
from scipy.io import savemat

from fmcvqa.data.filling import FileJob, Settings
from fmcvqa.data.labels import LIVEVQC, KoNViD1k
from fmcvqa.data.records import VideoRecord
from fmcvqa.data.synthetic.clips import encode, plan_severities, quantisers, render
from fmcvqa.data.synthetic.generated import NAME, PLAN, RATING, RENDER, SyntheticSet, checked_count
from fmcvqa.data.synthetic.mos import SEVERITIES, RatingScale, clip_quality
from fmcvqa.errors import ConfigError

_COMPRESSION = SEVERITIES.index("compression")
_FEWEST_FRAMES, _MOST_FRAMES = 4, 1000
# By first letter as in LIVE-VQC: height and width in shares of `size`. A is larger, F is 4:3, G is upright.
_FORMATS = {"A": (1.2, 1.2), "B": (1.0, 1.0), "F": (1.0, 0.75), "G": (1.6, 0.5)}
_LETTERS = "ABGFBBGABB"  # about LIVE-VQC's own mixture; the first four clips already have all four shapes
_NEW = 12  # A012 is one of the nine clips that some copies call `NEW`


class _SyntheticVideos(SyntheticSet[VideoRecord]):
    """Clips, each of its own scene, with faults that change over time."""

    _folder: str

    def __init__(
        self, root: str | os.PathLike[str], videos: int, seconds: float, size: Sequence[int], fps: int, seed: int
    ) -> None:
        super().__init__(root, size, seed)
        self.videos = checked_count("videos", videos, 1, 999)
        self.fps = checked_count("fps", fps, 1, 120)
        self.seconds, self.frames = float(seconds), round(seconds * fps)
        if not _FEWEST_FRAMES <= self.frames <= _MOST_FRAMES:
            raise ConfigError(
                f"seconds={seconds} at fps={fps} is a clip of {self.frames} frames",
                advice=f"{_FEWEST_FRAMES} to {_MOST_FRAMES} frames",
            )

    def _settings(self) -> Settings:
        return {"videos": self.videos, "seconds": self.seconds, "fps": self.fps}

    @abstractmethod
    def _clips(self) -> list[tuple[str, tuple[int, int]]]:
        """File name, height and width of every clip."""

    @abstractmethod
    def _label_file(self, names: list[str], mos: list[float]) -> FileJob:
        """The label file."""

    def _jobs(self) -> list[FileJob]:
        clips = self._clips()
        jobs = [FileJob(f"{self._folder}/{name}", partial(self._clip, i, size)) for i, (name, size) in enumerate(clips)]
        mos = [self._mos(index, size) for index, (_, size) in enumerate(clips)]
        return [*jobs, self._label_file([name for name, _ in clips], mos)]

    def _plan(self, index: int) -> npt.NDArray[np.float64]:
        return plan_severities(self.frames, self._rng(PLAN, index))

    def _mos(self, index: int, size: tuple[int, int]) -> float:
        quality = clip_quality(self._plan(index), self._scene(index, size).activity)
        return self.scale.rate(quality, self._rng(RATING, index))[0]

    def _clip(self, index: int, size: tuple[int, int]) -> bytes:
        severities = self._plan(index)
        frames = render(self._scene(index, size), severities, self.fps, self._rng(RENDER, index))
        return encode(frames, quantisers(severities[:, _COMPRESSION]), self.fps, size)


class SyntheticKoNViD1k(_SyntheticVideos):
    """Clips of one size and scores in KoNViD-1k's layout, rows sorted by falling MOS as there.

    Files: ``KoNViD_1k_videos/<flickr_id>.mp4`` and ``KoNViD_1k_metadata/KoNViD_1k_mos.csv``; the ids are invented.

    Args:
        root: The set's folder.
        videos: Number of clips, 1 to 999.
        seconds: Length of a clip.
        size: Height and width in pixels, both even; KoNViD-1k has 540 x 960.
        fps: Frames per second.
        seed: Decides every picture and score.

    Raises:
        ConfigError: If a setting cannot be.
    """

    name = "KoNViD-1k (synthetic stand-in)"
    mos_range = (1.0, 5.0)
    scale = RatingScale(low=1.0, high=5.0, worst=1.2, best=4.7, raters=50, spread=0.64)
    _tag = 2
    _folder = "KoNViD_1k_videos"

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        videos: int = 120,
        seconds: float = 0.4,
        size: Sequence[int] = (180, 320),
        fps: int = 25,
        seed: int = 0,
    ) -> None:
        super().__init__(root, videos, seconds, size, fps, seed)

    def _reader(self) -> KoNViD1k:
        return KoNViD1k(self.root, expected=self.videos)

    def _clips(self) -> list[tuple[str, tuple[int, int]]]:
        rng, ids = self._rng(NAME), dict[int, None]()
        while len(ids) < self.videos:
            ids[int(rng.integers(2_300_000_000, 14_000_000_000))] = None  # most real ids exceed 32 bits as well
        return [(f"{number}.mp4", self.size) for number in ids]

    def _label_file(self, names: list[str], mos: list[float]) -> FileJob:
        rows = sorted(zip(mos, names, strict=True), reverse=True)
        lines = ['"flickr_id","mos"\n', *(f'"{name.removesuffix(".mp4")}","{score:.10f}"\n' for score, name in rows)]
        return FileJob("KoNViD_1k_metadata/KoNViD_1k_mos.csv", "".join(lines).encode)


class SyntheticLIVEVQC(_SyntheticVideos):
    """Clips of four shapes, one of them upright, and scores in LIVE-VQC's layout.

    Files below ``LIVE Video Quality Challenge (VQC) Database/``: ``Video/A001.mp4`` ... and ``data.mat``. One clip is
    ``A012NEW.mp4`` on the disk and ``A012.mp4`` among the labels, as in some copies.

    Args:
        root: The set's folder.
        videos: Number of clips, 1 to 999.
        seconds: Length of a clip.
        size: Height and width in pixels of the clips ``B``, both even; A are 1.2 times as large, F 4:3, G upright.
        fps: Frames per second.
        seed: Decides every picture and score.

    Raises:
        ConfigError: If a setting cannot be.
    """

    name = "LIVE-VQC (synthetic stand-in)"
    mos_range = (0.0, 100.0)
    scale = RatingScale(low=0.0, high=100.0, worst=8.0, best=92.0, raters=200, spread=18.0)
    _tag = 3
    _folder = "LIVE Video Quality Challenge (VQC) Database/Video"

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        videos: int = 80,
        seconds: float = 0.33,
        size: Sequence[int] = (180, 320),
        fps: int = 30,
        seed: int = 0,
    ) -> None:
        super().__init__(root, videos, seconds, size, fps, seed)

    def _reader(self) -> LIVEVQC:
        return LIVEVQC(self.root, expected=self.videos)

    def _clips(self) -> list[tuple[str, tuple[int, int]]]:
        letters = sorted(_LETTERS[index % len(_LETTERS)] for index in range(self.videos))
        clips = []
        for index, letter in enumerate(letters):
            number, count = index - letters.index(letter) + 1, letters.count(letter)
            if letter == "A" and number == count < _NEW:
                number = _NEW  # the last A, so that even a small set has the clip of two names
            high, wide = (2 * round(side * share / 2) for side, share in zip(self.size, _FORMATS[letter], strict=True))
            clips.append((f"{letter}{number:03d}{'NEW' if letter == 'A' and number == _NEW else ''}.mp4", (high, wide)))
        return clips

    def _label_file(self, names: list[str], mos: list[float]) -> FileJob:
        cells = np.empty((len(names), 1), dtype=object)
        cells[:, 0] = [name.replace("NEW", "") for name in names]
        content = BytesIO()
        savemat(content, {"video_list": cells, "mos": np.array(mos)[:, None]})
        # The header's text holds the time of writing; the same set must have the same bytes.
        header = b"MATLAB 5.0 MAT-file, generated stand-in".ljust(116)
        return FileJob(f"{self._folder.rpartition('/')[0]}/data.mat", lambda: header + content.getvalue()[116:])
