"""What a dataset hands on: one record per labelled image or video, and a report of what is there."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fmcvqa.errors import ConfigError

FORBIDDEN_IN_IDS = frozenset('/\\\0:*?"<>|\n\r')


@dataclass(frozen=True, slots=True)
class Label:
    """A mean opinion score (MOS) and the id of what was rated."""

    id: str
    mos: float


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """One rated video; ``mos`` is in the dataset's own range, NaN where unrated.

    Raises:
        ValueError: If the id could not name a file (empty, hidden, or with a separator in it).
    """

    id: str
    path: Path
    mos: float

    def __post_init__(self) -> None:
        if not self.id or self.id.startswith(".") or FORBIDDEN_IN_IDS & set(self.id):
            raise ValueError(f"the video id {self.id!r} cannot name a file")


def refuse_one(videos: object) -> None:
    """Refuse a path where several are asked for: a string is a sequence too, of characters.

    Raises:
        ConfigError: If it is one.
    """
    if isinstance(videos, str | os.PathLike):
        raise ConfigError(f"{os.fspath(videos)!r} is one video, not a list of videos", advice="put it in a list")


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One rated image; images that share ``reference`` show the same content."""

    id: str
    path: Path
    mos: float
    reference: str


@dataclass(frozen=True)
class DatasetReport:
    """What a dataset folder holds, beside what its labels promise.

    Attributes:
        name: The dataset.
        root: The folder that was looked at.
        labels: Number of labels read.
        files: Number of labels whose file is there.
        expected: Number of labels the complete dataset has, or None where there is no such number.
        missing: Labels without a file, by name.
        unlabelled: Files without a label, by name.
        problems: Anything else that is wrong, one sentence each.
    """

    name: str
    root: Path
    labels: int
    files: int
    expected: int | None
    missing: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    problems: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether labels and files match one to one and nothing else is wrong."""
        wrong_count = self.expected is not None and self.labels != self.expected
        return not (wrong_count or self.missing or self.unlabelled or self.problems)

    def render(self, limit: int | None = None) -> str:
        """The report as text, each missing name on a line of its own.

        Args:
            limit: Show at most so many names of a kind, then how many more; None shows all.
        """
        expected = "" if self.expected is None else f" of {self.expected}"
        lines = [f"{self.name} in {self.root}: {self.labels}{expected} labels, {self.files} with their file"]
        kinds = (
            ("problem", self.problems),
            ("label without a file", self.missing),
            ("file without a label", self.unlabelled),
        )
        for title, names in kinds:
            shown = names if limit is None else names[:limit]
            lines += [f"  {title}: {name}" for name in shown]
            if len(shown) < len(names):
                lines.append(f"  {title}: and {len(names) - len(shown)} more")
        return "\n".join([*lines, "  complete" if self.ok else "  NOT complete"])


class VideoDataset(Protocol):
    """A labelled set of videos, real or synthetic."""

    name: str
    root: Path
    stand_in: bool

    @property
    def mos_range(self) -> tuple[float, float]:
        """Lowest and highest MOS possible."""
        ...

    def labels(self) -> list[Label]:
        """The labels alone; no video is looked for."""
        ...

    def check(self) -> DatasetReport:
        """What is there and what is missing."""
        ...

    def records(self) -> list[VideoRecord]:
        """One record per video, after the check."""
        ...
