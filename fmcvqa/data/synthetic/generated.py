"""What the generated sets do alike: make themselves when first asked for, then be read by the real sets' readers."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Generic

import numpy as np

from fmcvqa.data.filling import FileJob, Manifest, Settings, fill
from fmcvqa.data.labels.base import LabelledSet, Record
from fmcvqa.data.records import DatasetReport, Label
from fmcvqa.data.synthetic.mos import RatingScale
from fmcvqa.data.synthetic.scenes import Scene
from fmcvqa.errors import ConfigError

MANIFEST = "synthetic.json"
VERSION = 3  # raised when the same settings give other files: an old folder is then refused instead of mixed

SCENE, PLAN, RENDER, RATING, NAME = range(5)
"""Separate sources of chance: drawing more from one never shifts another."""

_NOTE = "Generated pictures and invented scores: a stand-in, not the dataset whose layout it has."
_SMALLEST, _LARGEST = 48, 2160


class SyntheticSet(ABC, Generic[Record]):
    """A set that makes itself in its folder.

    Args:
        root: The set's folder.
        size: Height and width in pixels, both even.
        seed: Decides every picture and score.

    Attributes:
        name: The set's name; it says that it is a stand-in.
        root: The set's folder.
        mos_range: Lowest and highest MOS possible.
        stand_in: True.
        scale: The rating scale and its simulated raters.
    """

    name: str
    mos_range: tuple[float, float]
    stand_in = True
    scale: RatingScale
    _tag: int

    def __init__(self, root: str | os.PathLike[str], size: Sequence[int], seed: int) -> None:
        self.root = Path(root).expanduser()
        self.size = checked_size(size)
        self.seed = checked_count("seed", seed, 0, 2**32 - 1)

    def prepare(self) -> None:
        """Make the set where it is not there, finish it where a run was killed, else do nothing.

        Raises:
            DatasetError: If the folder holds other things or a set of other settings, or cannot be written.
        """
        common: Settings = {"version": VERSION, "seed": self.seed, "size": list(self.size)}
        settings = {**common, **self._settings()}
        fill(self.root, Manifest(MANIFEST, self.name, _NOTE, settings), self._jobs)

    def labels(self) -> list[Label]:
        """The labels alone, after ``prepare``."""
        self.prepare()
        return self._reader().labels()

    def check(self) -> DatasetReport:
        """What is there and what is missing, after ``prepare``."""
        self.prepare()
        return replace(self._reader().check(), name=self.name)

    def records(self) -> list[Record]:
        """One record per rated image or clip, after ``prepare``.

        Raises:
            DatasetError: If files were taken away since the set was made.
        """
        self.prepare()
        return self._reader().records()

    @abstractmethod
    def _reader(self) -> LabelledSet[Record]:
        """The reader of the real set, told how many labels this one has."""

    @abstractmethod
    def _settings(self) -> Settings:
        """What the files depend on beside version, seed and size."""

    @abstractmethod
    def _jobs(self) -> list[FileJob]:
        """All files of the set."""

    def _rng(self, stream: int, *item: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self._tag, stream, *item])

    def _scene(self, content: int, size: tuple[int, int]) -> Scene:
        return Scene((self.seed, self._tag, SCENE, content), size)


def checked_count(what: str, value: int, low: int, high: int) -> int:
    """An integer setting within its bounds.

    Raises:
        ConfigError: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{what}={value!r} cannot be", advice=f"a whole number from {low} to {high}")
    return value


def checked_size(size: Sequence[int]) -> tuple[int, int]:
    """Height and width, both even as 4:2:0 video wants them.

    Raises:
        ConfigError: If they are not two even numbers within bounds.
    """
    sides = tuple(size)
    if len(sides) != 2 or not all(isinstance(s, int) and _SMALLEST <= s <= _LARGEST and s % 2 == 0 for s in sides):
        raise ConfigError(
            f"size={list(size)} cannot be", advice=f"height and width, even numbers from {_SMALLEST} to {_LARGEST}"
        )
    return sides
