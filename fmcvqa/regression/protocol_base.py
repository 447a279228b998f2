"""What all evaluation protocols share: seeds, splits and groups from files, where the logistic is fitted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from fmcvqa.errors import ConfigError, FeatureError
from fmcvqa.regression.splits import Split, read_groups, read_splits, refuse_leaks
from fmcvqa.regression.svr import Cell, Gamma

FittedOn = Literal["train", "test"]
Groups = Sequence[Any] | npt.NDArray[Any] | None
FEWEST_VIDEOS = 10


@dataclass(frozen=True)
class Search:
    """A grid of regressor settings, chosen from on the training fold alone by the smallest mean RMSE.

    Attributes:
        C: Penalties.
        epsilon: Tubes; empty keeps the cell's own.
        gamma: Gammas of rbf; a linear kernel has none.
        inner: Inner splits of the training fold, in row numbers of the whole set.
    """

    C: tuple[float, ...]
    epsilon: tuple[float, ...]
    gamma: tuple[Gamma, ...]
    inner: tuple[Split, ...]

    def candidates(self, cell: Cell) -> list[Cell]:
        """The cell with every combination of settings, gamma varying slowest."""
        gammas = self.gamma if cell.kernel == "rbf" and self.gamma else (cell.gamma,)
        grid = product(gammas, self.C or (cell.C,), self.epsilon or (cell.epsilon,))
        return [replace(cell, gamma=gamma, C=float(c), epsilon=float(epsilon)) for gamma, c, epsilon in grid]


@dataclass(frozen=True, kw_only=True)
class Protocol(ABC):
    """What all protocols share.

    Attributes:
        seed: Seeds splits, permutation and bootstrap.
        scale_mos: Standardise the MOS by the training fold.
        mapping: Where the logistic of the mapped scores is fitted: on the training fold's own (in-sample)
            predictions, or on the test fold, as benchmarks do.
        permute_labels: Shuffle the training set's MOS over the videos first: a control that must score about 0.
        permutation: Seeds that shuffle; the splits stay the same.
        splits_file: Take the splits from this file instead of drawing them; every sweep leaves one, ``splits.json``.
        groups_file: A CSV file with the columns ``id`` and ``group``: videos of one group show the same content and
            are never split up.

    Raises:
        ConfigError: If a setting is out of its range.
    """

    name: ClassVar[str]

    seed: int = 0
    scale_mos: bool = True
    mapping: FittedOn = "train"
    permute_labels: bool = False
    permutation: int = 0
    splits_file: str | Path | None = None
    groups_file: str | Path | None = None

    def __post_init__(self) -> None:
        if self.mapping not in ("train", "test"):
            raise ConfigError(f"protocol.mapping={self.mapping} is unknown", found="train, test")
        for name in ("seed", "permutation"):
            if not 0 <= getattr(self, name) < 2**32:
                raise ConfigError(f"protocol.{name} is {getattr(self, name)}", advice="a number from 0 to 4294967295")

    @property
    @abstractmethod
    def feature_scaler(self) -> str:
        """How features are scaled, one of ``SCALERS``."""

    @abstractmethod
    def draw(self, count: int, groups: npt.NDArray[Any] | None) -> list[Split]:
        """Draw the splits of so many videos; those of one group stay together."""

    def splits(self, ids: Sequence[str], groups: Groups = None) -> list[Split]:
        """The splits of these videos, drawn by the seed or read from the file.

        Args:
            ids: The videos.
            groups: One label per video; videos that share one show the same content and are never split up.
                Where None, ``groups_file`` says.

        Raises:
            FeatureError: If there are fewer than 10 videos, a file does not fit them, or a split has a video or a
                group on both sides.
        """
        if len(ids) < FEWEST_VIDEOS:
            raise FeatureError(f"{len(ids)} videos are too few to evaluate on", advice=f"give {FEWEST_VIDEOS} or more")
        labels = self.groups(ids, groups)
        if self.splits_file is not None:
            return read_splits(self.splits_file, ids, labels)
        drawn = self.draw(len(ids), labels)
        refuse_leaks(drawn, labels)
        return drawn

    def groups(self, ids: Sequence[str], groups: Groups = None) -> npt.NDArray[Any] | None:
        """One group label per video, ``[videos]``: the given ones, those of ``groups_file``, or None.

        Raises:
            FeatureError: If there are more or fewer labels than videos, or the file does not give one for each.
        """
        if groups is None:
            return None if self.groups_file is None else read_groups(self.groups_file, ids)
        labels = np.asarray(groups)
        if len(labels) != len(ids):
            raise FeatureError(f"there are {len(labels)} group labels for {len(ids)} videos")
        return labels

    def search(self, split: Split, index: int, groups: Groups = None) -> Search | None:
        """What to search for within a training fold; None keeps the cell's own settings."""
        return None

    def training_mos(self, mos: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The MOS to use: the given ones, or the same shuffled."""
        return np.random.default_rng([self.seed, 1, self.permutation]).permutation(mos) if self.permute_labels else mos

    def describe(self) -> dict[str, Any]:
        """Name and settings as ``result.json`` holds them."""
        settings = asdict(self)
        fitted_on = settings.pop("mapping")
        for name in ("splits_file", "groups_file"):
            settings[name] = None if settings[name] is None else Path(settings[name]).name
        return {"name": self.name, **settings, "mapping_fitted_on": fitted_on}
