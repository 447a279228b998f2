"""Evaluation protocols by name: which videos are trained on, how features are scaled, what is searched for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fmcvqa.errors import ConfigError
from fmcvqa.regression.protocol_base import Groups, Protocol, Search
from fmcvqa.regression.scaling import PER_FOLD, SCALERS
from fmcvqa.regression.splits import Split, holdouts, k_folds
from fmcvqa.regression.svr import Gamma


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
