"""One label file as a table: every row is either kept or a problem that names it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fmcvqa.data.records import Label
from fmcvqa.errors import DatasetError


@dataclass(slots=True)
class LabelTable:
    """The labels of one file in its own order, and what is wrong with the other rows.

    Attributes:
        path: The label file.
        mos_range: Lowest and highest MOS possible, or None where any finite number is.
        labels: Good rows by id.
        names: What the file calls each id, also those whose MOS is refused.
        problems: One sentence per refused row.
    """

    path: Path
    mos_range: tuple[float, float] | None
    labels: dict[str, Label] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _places: dict[str, str] = field(default_factory=dict)

    def add(self, place: str, name: str, key: str | None, mos: str | float) -> None:
        """Keep one row, or say why not.

        Args:
            place: Where the row is, such as ``line 7``.
            name: The name in the file.
            key: The id, or None where the name is not one of this dataset's.
            mos: The score as the file has it.
        """
        where = f"{self.path.name} {place}"
        if key is None:
            self.problems.append(f"{where}: {name!r} is not a name of this dataset")
        elif key in self._places:
            self.problems.append(f"{where}: {name!r} is labelled twice, first in {self._places[key]}")
        else:
            self._places[key], self.names[key] = place, name
            value, fault = self._score(mos)
            if fault:
                self.problems.append(f"{where}: the MOS of {name!r} is {fault}")
            else:
                self.labels[key] = Label(key, value)

    def _score(self, mos: str | float) -> tuple[float, str]:
        try:
            value = float(mos)
        except ValueError:
            return math.nan, f"{mos!r}, not a number"
        if not math.isfinite(value):
            return value, f"{value}, not a finite number"
        if self.mos_range is not None and not self.mos_range[0] <= value <= self.mos_range[1]:
            return value, f"{value:g}, outside {self.mos_range[0]:g} to {self.mos_range[1]:g}"
        return value, ""


def read_text(path: Path) -> str:
    """The text of a label file, with or without a byte order mark.

    Raises:
        DatasetError: If the file may not be read or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text", advice="save it as UTF-8") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror})") from error


@dataclass(frozen=True, slots=True)
class CSVTable:
    """A comma-separated file with a header, read strictly: an open quote is an error, not a long field.

    Attributes:
        path: The file.
        columns: The header's names, without surrounding blanks.
        rows: Line number and fields of every row that is not empty; all have the header's length.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    @classmethod
    def read(cls, path: Path) -> CSVTable:
        """Read a file; quoted fields, CRLF and a byte order mark make no difference.

        Raises:
            DatasetError: If the file cannot be read, has no header, or a row's length is not the header's.
        """
        lines = _csv_lines(path)
        _, header = next(lines, (0, ()))
        if not header:
            raise DatasetError(f"{path} is empty", advice="give it a header and one row per video, separated by commas")
        rows = tuple(lines)
        for line, fields in rows:
            if len(fields) != len(header):
                raise DatasetError(
                    f"{path} line {line} has {len(fields)} fields, the header {len(header)}",
                    advice="separate fields with commas, and quote those with a comma in them",
                )
        return cls(path, tuple(name.strip() for name in header), rows)

    def position(self, column: str, setting: str = "") -> int:
        """The place of a column; the letter case counts only where two columns differ in nothing else.

        Args:
            column: The name asked for.
            setting: The argument that chose it, for the advice.

        Raises:
            DatasetError: If there is no such column or more than one, with the columns there are.
        """
        same = [i for i, name in enumerate(self.columns) if name == column]
        alike = same or [i for i, name in enumerate(self.columns) if name.casefold() == column.casefold()]
        if len(alike) == 1:
            return alike[0]
        count = "no column" if not alike else f"{len(alike)} columns"
        listed = ", ".join(repr(name) for name in self.columns)
        advice = f"set {setting} to one of them" if setting else ""
        if len(self.columns) == 1 and set(";\t") & set(self.columns[0]):
            advice = "separate the columns with commas"
        raise DatasetError(f"{self.path} has {count} {column!r}", found=f"the columns {listed}", advice=advice)

    def has(self, column: str) -> bool:
        """Whether a column of this name is there, whatever its letter case."""
        return column.casefold() in (name.casefold() for name in self.columns)


def _csv_lines(path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True, skipinitialspace=True)
    start = 1  # of the row: a quoted field may hold line ends
    try:
        for fields in reader:
            if fields:
                yield start, tuple(fields)
            start = reader.line_num + 1
    except csv.Error as error:
        raise DatasetError(f"{path} line {start} is not valid CSV ({error})") from error
