"""Any videos with a CSV file of paths and scores."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from fmcvqa.data.labels.base import LabelledSet, existing_folder
from fmcvqa.data.labels.folder import printable
from fmcvqa.data.labels.table import CSVTable, LabelTable
from fmcvqa.data.records import FORBIDDEN_IN_IDS, DatasetReport, VideoRecord
from fmcvqa.errors import ConfigError, DatasetError

_PATH = "path"
_LONGEST = 150  # bytes of an id made from a file name; leaves room for the endings of cache files


class CSVVideos(LabelledSet[VideoRecord]):
    """Videos named by a comma-separated file with a header, one row per video, in the order of its rows.

    Column names are found whatever their letter case.
    Without ``id_column`` an id is the file's name without folder and ending, made safe as a file name; where two files
    share it, eight digits of a hash of the path are added. A file without a column ``path`` has row numbers from
    0 as ids; it has labels, but no records.

    Args:
        labels: The CSV file.
        root: Folder that relative paths start from; the CSV file's own where None.
        path_column: Column of the paths.
        mos_column: Column of the scores.
        id_column: Column of the ids, or None to make them from the paths.
        name: The dataset's name; the CSV file's name without its ending where None.
        mos_range: Lowest and highest MOS possible; those of the labels where None.
        allow_missing: Go on with the videos that are there.

    Raises:
        ConfigError: If the name cannot name a folder, or the range is empty.
    """

    command = "csv"

    def __init__(
        self,
        labels: str | os.PathLike[str],
        *,
        root: str | os.PathLike[str] | None = None,
        path_column: str = _PATH,
        mos_column: str = "mos",
        id_column: str | None = None,
        name: str | None = None,
        mos_range: Sequence[float] | None = None,
        allow_missing: bool = False,
    ) -> None:
        self.file = Path(labels).expanduser()
        self.root = self.file.parent if root is None else Path(root).expanduser()
        self.path_column, self.mos_column, self.id_column = path_column, mos_column, id_column
        self.name = _safe(self.file.stem) if name is None else name
        self.allow_missing = allow_missing
        if not _is_safe(self.name):
            raise ConfigError(f"the dataset name {name!r} cannot name a folder", advice="use letters and digits")
        self._given_range = None if mos_range is None else _checked_range(mos_range)

    @cached_property
    def mos_range(self) -> tuple[float, float]:
        """Lowest and highest MOS possible, or found where none was given.

        Raises:
            DatasetError: If it has to be found and the labels cannot be read.
        """
        if self._given_range:
            return self._given_range
        scores = [label.mos for label in self.labels()]
        return min(scores), max(scores)

    @property
    def range_given(self) -> bool:
        """Whether the scale was stated, not found in the labels."""
        return self._given_range is not None

    @property
    def _argument(self) -> Path:
        return self.file

    def _open(self) -> CSVTable:
        if not self.file.is_file():
            raise DatasetError(
                f"the label file {self.file} does not exist",
                advice="give a CSV file with a header, a column of paths and a column of MOS",
            )
        return CSVTable.read(self.file)

    def _table(self) -> LabelTable:
        csv = self._open()
        mos_at = csv.position(self.mos_column, "mos_column")
        table = LabelTable(self.file, self._given_range)
        if not csv.rows:
            table.problems.append(f"{self.file.name} has a header, but no rows")
        first_lines: dict[str, tuple[int, str]] = {}
        for (line, fields), path, key in zip(csv.rows, self._paths(csv), self._ids(csv), strict=True):
            if path is not None and (fault := _path_fault(path, line, fields[mos_at], first_lines)):
                table.problems.append(f"{self.file.name} line {line}: {fault}")
            elif not _is_safe(key):
                table.problems.append(f"{self.file.name} line {line}: the id {key!r} cannot name a file")
            else:
                table.add(f"line {line}", key if path is None else path, key, fields[mos_at])
        return table

    def _paths(self, csv: CSVTable) -> list[str | None]:
        if self.path_column == _PATH and not csv.has(_PATH):
            return [None] * len(csv.rows)
        at = csv.position(self.path_column, "path_column")
        return [fields[at] for _, fields in csv.rows]

    def _ids(self, csv: CSVTable) -> list[str]:
        if self.id_column is not None:
            at = csv.position(self.id_column, "id_column")
            return [fields[at].strip() for _, fields in csv.rows]
        paths = [path for path in self._paths(csv) if path is not None]
        return ids_of(paths) if paths else [str(row) for row in range(len(csv.rows))]

    def _survey(self) -> tuple[DatasetReport, list[VideoRecord]]:
        existing_folder(self.name, self.root)
        try:
            self._open().position(self.path_column, "path_column")
            table = self._table()
        except DatasetError as error:
            if not self.file.is_file():
                raise
            table = LabelTable(self.file, self._given_range, problems=[str(error)])
        paths = {key: self.root / name for key, name in table.names.items()}
        there = {key for key, path in paths.items() if _is_file(path)}
        records = [VideoRecord(key, paths[key], label.mos) for key, label in table.labels.items() if key in there]
        report = DatasetReport(
            name=self.name,
            root=self.root,
            labels=len(table.labels),
            files=len(records),
            expected=None,
            missing=tuple(printable(name) for key, name in table.names.items() if key not in there),
            problems=tuple(table.problems),
        )
        return report, records


def ids_of(paths: Sequence[str]) -> list[str]:
    """Ids that are safe as file names and differ even where letter case does not count.

    Args:
        paths: Paths that differ.

    Returns:
        One id per path; it depends on the set of paths, not on their order.
    """
    stems = [_safe(Path(path).stem) for path in paths]
    count = Counter(stem.casefold() for stem in stems)
    return [
        stem if count[stem.casefold()] == 1 else f"{stem}-{hashlib.sha256(_normal(path).encode()).hexdigest()[:8]}"
        for stem, path in zip(stems, paths, strict=True)
    ]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name no file system takes, or a folder that may not be entered
        return False


def _normal(path: str) -> str:
    return Path(os.path.normpath(path)).as_posix()


def _path_fault(path: str, line: int, mos: str, first_lines: dict[str, tuple[int, str]]) -> str:
    if not path.strip() or "\0" in path:
        return f"{path!r} is not a path"
    first, there = first_lines.setdefault(_normal(path), (line, mos))
    if first == line:
        return ""
    other = "" if there.strip() == mos.strip() else f", with the MOS {mos.strip()} here and {there.strip()} there"
    return f"{path!r} is the file of line {first} again{other}"


def _safe(name: str) -> str:
    clean = "".join("_" if char in FORBIDDEN_IN_IDS or not char.isprintable() else char for char in name)
    short = clean.encode()[:_LONGEST].decode(errors="ignore").strip()
    return "_" + short.lstrip(".") if short.startswith(".") or not short else short


def _is_safe(name: str) -> bool:
    return bool(name) and not name.startswith(".") and name.isprintable() and not FORBIDDEN_IN_IDS & set(name)


def _checked_range(mos_range: Sequence[float]) -> tuple[float, float]:
    values = tuple(float(value) for value in mos_range)
    if len(values) != 2 or not values[0] < values[1]:
        raise ConfigError(f"mos_range {list(mos_range)} is not a lowest and a highest MOS", advice="mos_range=[1,5]")
    return values[0], values[1]
