"""Datasets that are a folder: find the label file and the media wherever people put them, and join the two."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fmcvqa.data.labels.base import LabelledSet, Record, existing_folder
from fmcvqa.data.labels.table import LabelTable
from fmcvqa.data.records import DatasetReport, Label
from fmcvqa.errors import DatasetError

DEPTH = 3  # root/LIVE Video .../LIVE Video .../Video is the deepest layout known
_NAMED = 5  # ids a sentence about many of them names


@dataclass(slots=True)
class Tree:
    """The files below a folder, and the folders that could not be opened (a problem only if something is not found)."""

    files: dict[Path, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def scan(cls, root: Path, depth: int = DEPTH) -> Tree:
        """List a folder and those below it, nearest first; hidden files and the droppings of archivers are left out."""
        tree, seen, level = cls(), set[str](), [root]
        for remaining in range(depth, -1, -1):
            below: list[Path] = []
            for folder in level:
                real = os.path.realpath(folder)  # a link to a folder above must not be walked twice
                if real not in seen:
                    seen.add(real)
                    below += tree._list(folder)
            level = sorted(below) if remaining else []
        return tree

    def _list(self, folder: Path) -> list[Path]:
        try:
            with os.scandir(folder) as entries:
                kept = [e for e in entries if not e.name.startswith(".") and e.name != "__MACOSX"]
        except OSError as error:
            self.problems.append(f"{folder} cannot be opened ({error.strerror})")
            return []
        self.files[folder] = sorted(entry.name for entry in kept if _is(entry.is_file))
        return [folder / entry.name for entry in kept if _is(entry.is_dir)]

    def named(self, names: Iterable[str]) -> list[Path]:
        """The files with one of these names in any letter case, in the order of the names, nearest first."""
        return [
            folder / file
            for name in names
            for folder, files in self.files.items()
            for file in files
            if file.casefold() == name.casefold()
        ]


@dataclass(slots=True)
class Media:
    """The files of one folder by id."""

    paths: dict[str, Path] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def index(cls, folder: Path, files: Iterable[str], key: Callable[[str], str | None]) -> Media:
        """Sort files into those with an id, those without, and two with the same one."""
        media = cls()
        for file in files:
            name = key(file)
            if name is None:
                media.others.append(file)
            elif name in media.paths:
                media.problems.append(f"{media.paths[name].name} and {file} in {folder} are both {name}: keep one")
            else:
                media.paths[name] = folder / file
        return media


class FolderSet(LabelledSet[Record]):
    """A dataset whose label file and media are found by their names below ``root``, or beside it.

    Args:
        root: The folder of the media, or one up to three levels above it.
        allow_missing: Go on with the files that are there.
        expected: Number of labels of the complete dataset; None takes any number.
    """

    label_files: tuple[str, ...]
    """Names of the label file, preferred first."""
    label_folders: tuple[str, ...] = ()
    """Folders beside the media that may hold the label file."""
    media_folder: str
    """The usual folder of the media, preferred where several hold some."""
    media_suffix: str
    media_pattern: str
    """What a media file is called, for messages."""
    agreement: float = 1e-6
    """Largest difference of a MOS between two label files."""

    def __init__(
        self, root: str | os.PathLike[str], *, allow_missing: bool = False, expected: int | None = None
    ) -> None:
        self.root = Path(root).expanduser()
        self.allow_missing = allow_missing
        self.expected = expected

    @abstractmethod
    def _read(self, path: Path) -> LabelTable:
        """Read one label file."""

    @abstractmethod
    def _key(self, file: str) -> str | None:
        """The id of a media file's name, or None."""

    @abstractmethod
    def _record(self, label: Label, path: Path) -> Record:
        """A label with its file."""

    def _table(self) -> LabelTable:
        return self._read_all(Tree.scan(existing_folder(self.name, self.root)))

    def _survey(self) -> tuple[DatasetReport, list[Record]]:
        tree = Tree.scan(existing_folder(self.name, self.root))
        table, media = self._read_all(tree), self._find_media(tree)
        here = {key: label for key, label in table.labels.items() if key in media.paths}
        stray = [path.name for key, path in media.paths.items() if key not in table.names]
        report = DatasetReport(
            name=self.name,
            root=self.root,
            labels=len(table.labels),
            files=len(here),
            expected=self.expected,
            missing=(
                *(printable(name) for key, name in table.names.items() if key not in media.paths),
                *self._also_missing(tree, table),
            ),
            unlabelled=tuple(printable(name) for name in sorted(stray + media.others)),
            problems=tuple(dict.fromkeys([*table.problems, *media.problems, *self._also_wrong(tree)])),
        )
        return report, [self._record(label, media.paths[key]) for key, label in here.items()]

    def _also_missing(self, tree: Tree, table: LabelTable) -> list[str]:
        """Files beside the rated ones that a complete dataset has."""
        return []

    def _also_wrong(self, tree: Tree) -> list[str]:
        """Problems of files beside the rated ones."""
        return []

    def _read_all(self, tree: Tree) -> LabelTable:
        """Every label file found, the first one's labels ordered by id (no two label files share an order)."""
        found = tree.named(self.label_files) or self._beside().named(self.label_files)
        if not found:
            names = " or ".join(self.label_files)
            problems = [f"no {names} in {self.root}, below or beside it", *tree.problems]
            return LabelTable(self.root, self.mos_range, problems=problems)
        tables = [self._read_or_report(path) for path in found]
        first, *others = [table for table in tables if table.names] or tables[:1]
        first.problems = [problem for table in tables for problem in table.problems]
        for other in others:
            first.problems += disagreements(first, other, self.agreement)
        first.labels = dict(sorted(first.labels.items()))
        first.names = dict(sorted(first.names.items()))
        return first

    def _read_or_report(self, path: Path) -> LabelTable:
        try:
            table = self._read(path)
        except DatasetError as error:
            return LabelTable(path, self.mos_range, problems=[str(error)])
        if not table.names and not table.problems:
            table.problems.append(f"{path} has no labels")
        return table

    def _beside(self) -> Tree:
        """The folder above ``root`` without its other folders, but for those known to hold labels."""
        parent = self.root.resolve().parent
        tree = Tree.scan(parent, depth=0)
        for folder in subfolders(parent, self.label_folders):
            tree.files |= Tree.scan(folder, depth=0).files
        return tree

    def _find_media(self, tree: Tree) -> Media:
        holders = [folder for folder, files in tree.files.items() if any(self._key(file) for file in files)]
        usual = [folder for folder in holders if folder.name.casefold() == self.media_folder.casefold()]
        candidates = usual or holders
        if not candidates:
            return Media(problems=[f"no file like {self.media_pattern} in {self.root} or below it", *tree.problems])
        folder = candidates[0]
        files = [file for file in tree.files[folder] if self._is_media(file)]
        media = Media.index(folder, files, self._key)
        if len(candidates) > 1:
            listed = ", ".join(str(path) for path in candidates)
            media.problems.append(f"several folders hold files like {self.media_pattern}: {listed}; give one of them")
        return media

    def _is_media(self, file: str) -> bool:
        return file.casefold().endswith(self.media_suffix)


def subfolders(parent: Path, names: Iterable[str]) -> list[Path]:
    """The folders directly below ``parent`` with one of these names in any letter case."""
    wanted = {name.casefold() for name in names}
    found = Tree()._list(parent) if wanted else []
    return sorted(folder for folder in found if folder.name.casefold() in wanted)


def _is(test: Callable[[], bool]) -> bool:
    """Whether an entry is of a kind; a link in a circle or to where one may not look is of none."""
    try:
        return test()
    except OSError:
        return False


def disagreements(first: LabelTable, other: LabelTable, tolerance: float) -> list[str]:
    """What two label files of the same dataset say differently."""
    problems = []
    for one, two in ((first, other), (other, first)):
        if only := one.names.keys() - two.names.keys():
            problems.append(f"{one.path} labels {_some(only)}, {two.path} does not")
    shared = first.labels.keys() & other.labels.keys()
    differing = [key for key in shared if abs(first.labels[key].mos - other.labels[key].mos) > tolerance]
    if differing:
        pairs = {key: f"{key} ({first.labels[key].mos:g} and {other.labels[key].mos:g})" for key in differing}
        problems.append(f"{first.path} and {other.path} give different MOS for {_some(pairs, pairs)}")
    return problems


def _some(keys: Iterable[str], text: Mapping[str, str] | None = None) -> str:
    ordered = sorted(keys)
    shown = ", ".join(text[key] if text else key for key in ordered[:_NAMED])
    return shown if len(ordered) <= _NAMED else f"{shown} and {len(ordered) - _NAMED} more"


def printable(name: str) -> str:
    """A name that fits a line of text: as it is, or escaped where it holds control or undecodable characters."""
    return name if name.isprintable() else ascii(name)
