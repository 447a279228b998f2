"""TID2013: 25 reference images, 24 distortions at 5 levels each, 3000 images rated 0 to 9."""

from __future__ import annotations

import os
import re
from pathlib import Path

from fmcvqa.data.labels.folder import FolderSet, Media, Tree, subfolders
from fmcvqa.data.labels.table import LabelTable, read_text
from fmcvqa.data.records import ImageRecord, Label

MOS_RANGE = (0.0, 9.0)
_SUFFIX = ".bmp"
_DISTORTED = re.compile(r"(i[0-9]{2,})_[0-9]{2}_[0-9]\.bmp", re.IGNORECASE)
_REFERENCE = re.compile(r"(i[0-9]{2,})\.bmp", re.IGNORECASE)


class TID2013(FolderSet[ImageRecord]):
    """TID2013 as downloaded; the letter case of names, which its label file and its folders mix, never matters.

    An id is the lower-case name without its ending (``i01_01_1``), a reference the upper-case one (``I01``).

    Args:
        root: The folder of the distorted images, or one up to three levels above it.
        allow_missing: Go on with the images that are there.
        expected: Number of labels of the complete dataset; None takes any number.
    """

    name = "TID2013"
    command = "tid2013"
    mos_range = MOS_RANGE
    label_files = ("mos_with_names.txt",)
    media_folder = "distorted_images"
    media_suffix = _SUFFIX
    media_pattern = "i01_01_1.bmp"
    reference_folder = "reference_images"

    def __init__(
        self, root: str | os.PathLike[str], *, allow_missing: bool = False, expected: int | None = 3000
    ) -> None:
        super().__init__(root, allow_missing=allow_missing, expected=expected)

    def _read(self, path: Path) -> LabelTable:
        return read_labels(path)

    def _key(self, file: str) -> str | None:
        return _key(file)

    def _record(self, label: Label, path: Path) -> ImageRecord:
        return ImageRecord(label.id, path, label.mos, reference=_reference_of(label.id))

    def _is_media(self, file: str) -> bool:
        return super()._is_media(file) and not _REFERENCE.fullmatch(file)

    def _also_missing(self, tree: Tree, table: LabelTable) -> list[str]:
        there = self._references(tree).paths
        return [f"reference {name}" for name in sorted(set(map(_reference_of, table.names))) if name not in there]

    def _also_wrong(self, tree: Tree) -> list[str]:
        return self._references(tree).problems

    def _references(self, tree: Tree) -> Media:
        """The reference images below ``root``, else in the folder beside it."""
        holders = {folder: files for folder, files in tree.files.items() if any(map(_reference_key, files))}
        for folder in [] if holders else subfolders(self.root.resolve().parent, [self.reference_folder]):
            holders |= Tree.scan(folder, depth=0).files
        usual = [folder for folder in holders if folder.name.casefold() == self.reference_folder]
        for folder in usual or holders:
            files = [file for file in holders[folder] if _reference_key(file)]
            return Media.index(folder, files, _reference_key)
        return Media()


def read_labels(path: Path) -> LabelTable:
    """A file of lines ``MOS name`` by lower-case names without their ending.

    Raises:
        DatasetError: If the file cannot be read.
    """
    table = LabelTable(path, MOS_RANGE)
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        fields = line.split()
        if len(fields) == 2:
            table.add(f"line {number}", fields[1], _key(fields[1]), fields[0])
        elif fields:
            table.problems.append(f"{path.name} line {number}: {line.strip()!r} is not a MOS and a name")
    return table


def _key(file: str) -> str | None:
    return file.casefold().removesuffix(_SUFFIX) if _DISTORTED.fullmatch(file) else None


def _reference_key(file: str) -> str | None:
    match = _REFERENCE.fullmatch(file)
    return match[1].upper() if match else None


def _reference_of(image: str) -> str:
    return image.partition("_")[0].upper()
