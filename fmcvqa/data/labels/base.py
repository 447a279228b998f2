"""What every labelled set does alike: labels alone, a check by name, and records only after it."""

from __future__ import annotations

import os
import shlex
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Generic, TypeVar

from fmcvqa.data.labels.table import LabelTable
from fmcvqa.data.records import DatasetReport, ImageRecord, Label, VideoRecord
from fmcvqa.errors import DatasetError

Record = TypeVar("Record", bound=VideoRecord | ImageRecord)
SHOWN_IN_ERRORS = 10  # an error stays readable; `fmcvqa check` shows all


class LabelledSet(ABC, Generic[Record]):
    """A set of rated images or videos.

    Attributes:
        name: The dataset's name in tables and cache folders.
        root: The folder that was given.
        stand_in: Whether the set is generated and only takes the place of a real one.
        command: What ``fmcvqa check`` calls the set.
        expected: Number of labels of the complete set, or None.
        allow_missing: Whether to go on with fewer files or labels than there should be.
    """

    name: str
    root: Path
    stand_in: bool = False
    command: str
    expected: int | None = None
    allow_missing: bool = False

    @property
    @abstractmethod
    def mos_range(self) -> tuple[float, float]:
        """Lowest and highest MOS possible."""

    def labels(self) -> list[Label]:
        """The labels alone; no image or video is looked for.

        Raises:
            DatasetError: If the folder or label file is not there, a row cannot be used, or the number of labels
                is not the expected one (unless ``allow_missing``).
        """
        table = self._table()
        if table.problems:
            shown = table.problems[:SHOWN_IN_ERRORS]
            more = len(table.problems) - len(shown)
            lines = [f"the labels of {self.name} in {self.root} cannot be used", *shown]
            raise DatasetError("\n  ".join([*lines, f"and {more} more"] if more else lines))
        if self.expected not in (None, len(table.labels)) and not self.allow_missing:
            raise DatasetError(
                f"{self.name} has {self.expected} labels, {table.path} has {len(table.labels)}",
                advice="get the complete label file, or set allow_missing=true to go on with these",
            )
        return list(table.labels.values())

    def check(self) -> DatasetReport:
        """What is there and what is missing; the set's own defects are reported, never raised.

        Raises:
            DatasetError: If the folder itself is not there.
        """
        return self._survey()[0]

    def records(self) -> list[Record]:
        """One record per label that has its file, after the check.

        Raises:
            DatasetError: If the check finds anything wrong. ``allow_missing`` forgives missing files, files without
                a label and a wrong count, but no other problem, and not an empty set.
        """
        report, records = self._survey()
        if report.ok or (self.allow_missing and records and not report.problems):
            return records
        full = f"`fmcvqa check {self.command} {shlex.quote(str(self._argument))}` shows the whole list"
        less = f"; allow_missing=true goes on with the {len(records)} that are there"
        forgivable = records and not report.problems
        raise DatasetError(report.render(SHOWN_IN_ERRORS), advice=full + less if forgivable else full)

    @property
    def _argument(self) -> Path:
        return self.root

    @abstractmethod
    def _table(self) -> LabelTable:
        """The labels in a stable order, and what is wrong with the label file."""

    @abstractmethod
    def _survey(self) -> tuple[DatasetReport, list[Record]]:
        """The report, and a record for every label with a file."""


def existing_folder(name: str, root: str | os.PathLike[str]) -> Path:
    """The folder as a path.

    Raises:
        DatasetError: If there is no such folder.
    """
    folder = Path(root).expanduser()
    try:
        kind = "" if folder.is_dir() else "is not a folder" if folder.exists() else "does not exist"
    except OSError as error:
        kind = f"cannot be looked at ({error.strerror})"
    if kind:
        raise DatasetError(
            f"{name} is looked for in {folder}, which {kind}", advice="give the folder the dataset was unpacked into"
        )
    return folder
