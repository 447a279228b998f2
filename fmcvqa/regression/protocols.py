"""Evaluation protocols by name: which videos are trained on, how features are scaled, what is searched for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from fmcvqa.errors import ConfigError, FeatureError
from fmcvqa.regression.scaling import PER_FOLD, SCALERS
from fmcvqa.regression.splits import Split, holdouts, k_folds, read_groups, read_splits, refuse_leaks
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
        """One group label per video: the given ones, those of ``groups_file``, or None."""
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


def _check_scaling(scaling: str) -> None:
    if scaling not in SCALERS:
        raise ConfigError(f"protocol.scaling={scaling} is unknown", found=", ".join(SCALERS))


def _check_count(name: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"protocol.{name}={value} is below {least}")


@dataclass(frozen=True, kw_only=True)
class Paper(Protocol):
    """20 rounds of shuffled 5-fold cross-validation, no search (paper, IV).

    Attributes:
        repeats: Rounds.
        folds: Folds of a round.
        scaling: One of ``SCALERS``.
    """

    name: ClassVar[str] = "paper"

    repeats: int = 20
    folds: int = 5
    scaling: str = "standard"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_scaling(self.scaling)
        _check_count("repeats", self.repeats, 1)
        _check_count("folds", self.folds, 2)

    @property
    def feature_scaler(self) -> str:
        """How features are scaled."""
        return self.scaling

    def draw(self, count: int, groups: npt.NDArray[Any] | None) -> list[Split]:
        """Draw the splits, round by round."""
        return k_folds(np.arange(count), groups, self.folds, self.repeats, self.seed)


@dataclass(frozen=True, kw_only=True)
class Nested(Paper):
    """As :class:`Paper`, but C, epsilon and gamma are chosen by cross-validation within each training fold.

    Attributes:
        inner_folds: Folds of the inner cross-validation.
        C: Penalties to try.
        epsilon: Tubes to try.
        gamma: Gammas to try for rbf.
    """

    name: ClassVar[str] = "nested"

    inner_folds: int = 5
    C: Sequence[float] = (0.01, 0.1, 1.0, 10.0)
    epsilon: Sequence[float] = (0.1, 0.3)
    gamma: Sequence[Gamma] = ("0.25*scale", "scale", "4*scale")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_count("inner_folds", self.inner_folds, 2)
        _as_tuples(self, "C", "epsilon", "gamma")

    def search(self, split: Split, index: int, groups: Groups = None) -> Search:
        """The grid, on folds of the training fold."""
        labels = None if groups is None else np.asarray(groups)
        inner = k_folds(split.train, labels, self.inner_folds, 1, _inner_seed(self.seed, index))
        return Search(tuple(self.C), tuple(self.epsilon), tuple(self.gamma), tuple(inner))


@dataclass(frozen=True, kw_only=True)
class UGCVQA(Protocol):
    """The UGC-VQA benchmark: random 80/20 splits, min-max scaling, raw MOS, C and gamma by an inner 80/20 split.

    Attributes:
        rounds: Splits.
        test_fraction: Share of the videos that is tested, in the outer and the inner split.
        scaling: One of ``SCALERS``.
        C: Penalties to try.
        gamma: Gammas to try for rbf.
    """

    name: ClassVar[str] = "ugcvqa"

    scale_mos: bool = False
    rounds: int = 100
    test_fraction: float = 0.2
    scaling: str = "minmax"
    C: Sequence[float] = field(default=tuple(2.0**k for k in range(1, 11)))
    gamma: Sequence[Gamma] = field(default=tuple(2.0**k for k in range(-8, 2)))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_scaling(self.scaling)
        _check_count("rounds", self.rounds, 1)
        if not 0 < self.test_fraction < 1:
            raise ConfigError(f"protocol.test_fraction={self.test_fraction} is not between 0 and 1")
        _as_tuples(self, "C", "gamma")

    @property
    def feature_scaler(self) -> str:
        """How features are scaled."""
        return self.scaling

    def draw(self, count: int, groups: npt.NDArray[Any] | None) -> list[Split]:
        """Draw the splits."""
        return holdouts(np.arange(count), groups, self.test_fraction, self.rounds, self.seed)

    def search(self, split: Split, index: int, groups: Groups = None) -> Search:
        """The benchmark's grid, on one split of the training fold."""
        labels = None if groups is None else np.asarray(groups)
        inner = holdouts(split.train, labels, self.test_fraction, 1, _inner_seed(self.seed, index))
        return Search(tuple(self.C), (), tuple(self.gamma), tuple(inner))


@dataclass(frozen=True, kw_only=True)
class Cross(Protocol):
    """Fit on all of one set, test on all of another (paper, Table III).

    Attributes:
        scaling: Whose statistics scale the target's features: ``"source"`` (strict) or ``"target"`` (its own).
        scaler: One of ``SCALERS``.
        selection: ``"all"`` fits on the whole source. ``"best_of_100"`` fits on each of the source's 100 folds and
            keeps the one with the best PLCC on its own test fold, as the authors' code does.
    """

    name: ClassVar[str] = "cross"

    scaling: str = "source"
    scaler: str = "standard"
    selection: str = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scaling not in ("source", "target"):
            raise ConfigError(f"protocol.scaling={self.scaling} is unknown across datasets", found="source, target")
        if self.selection not in ("all", "best_of_100"):
            raise ConfigError(f"protocol.selection={self.selection} is unknown", found="all, best_of_100")
        if self.selection == "all" and self.splits_file is not None:
            advice = "leave protocol.splits_file out, or set protocol.selection=best_of_100"
            raise ConfigError("protocol.selection=all fits on the whole source and has no splits", advice=advice)
        if self.scaler not in (SCALERS if self.scaling == "source" else PER_FOLD):
            found = ", ".join(SCALERS if self.scaling == "source" else PER_FOLD)
            raise ConfigError(f"protocol.scaler={self.scaler} cannot be had", found=found)

    @property
    def feature_scaler(self) -> str:
        """How features are scaled."""
        return self.scaler

    def draw(self, count: int, groups: npt.NDArray[Any] | None) -> list[Split]:
        """The source's training folds, tested within the source for ``selection``; one fold of all rows if none."""
        if self.selection == "best_of_100":
            return k_folds(np.arange(count), groups, 5, 20, self.seed)
        return [Split(np.arange(count), np.arange(0))]


def _inner_seed(seed: int, index: int) -> int:
    return int(np.random.SeedSequence([seed, 2, index]).generate_state(1)[0])


def _as_tuples(protocol: Protocol, *names: str) -> None:
    """Plain tuples, whatever kind of sequence a config had: results hold the settings as JSON."""
    for name in names:
        values = getattr(protocol, name)
        if isinstance(values, str | int | float) or not len(values):
            raise ConfigError(
                f"protocol.{name}={values} is no list of values to try", advice="give at least one: [1.0]"
            )
        object.__setattr__(protocol, name, tuple(values))
