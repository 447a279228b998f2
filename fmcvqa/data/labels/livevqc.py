"""LIVE-VQC: 585 clips of about 10 seconds in 18 resolutions, rated 0 to 100."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from fmcvqa.data.labels.folder import FolderSet
from fmcvqa.data.labels.table import LabelTable
from fmcvqa.data.records import Label, VideoRecord
from fmcvqa.errors import DatasetError
from fmcvqa.matfile import MatFileError, load_mat

NEW_IN_SOME_COPIES = frozenset({"A012", "A036", "A046", "A080", "B054", "B115", "B139", "B248", "B263"})
_NAME = re.compile(r"([A-R][0-9]{3})(NEW)?\.mp4", re.IGNORECASE)


class LIVEVQC(FolderSet[VideoRecord]):
    """LIVE-VQC as downloaded: ``data.mat`` and the folder ``Video``, however deeply nested, or clips beside the labels.

    Nine clips are called ``A012NEW.mp4`` and so on in some copies only; with or without ``NEW``, on disk or among the
    labels, they are the same video, and its id is the name without it.

    Args:
        root: The folder of the clips, or one up to three levels above it.
        allow_missing: Go on with the clips that are there.
        expected: Number of labels of the complete dataset; None takes any number.
    """

    name = "LIVE-VQC"
    command = "livevqc"
    mos_range = (0.0, 100.0)
    label_files = ("data.mat",)
    media_folder = "Video"
    media_suffix = ".mp4"
    media_pattern = "A001.mp4"

    def __init__(
        self, root: str | os.PathLike[str], *, allow_missing: bool = False, expected: int | None = 585
    ) -> None:
        super().__init__(root, allow_missing=allow_missing, expected=expected)

    def _read(self, path: Path) -> LabelTable:
        content = _load(path)
        names = [str(value).strip() for value in _column(path, content, "video_list")]
        scores = [value if isinstance(value, float | int) else str(value) for value in _column(path, content, "mos")]
        if len(names) != len(scores):
            raise DatasetError(f"{path} has {len(names)} names in video_list and {len(scores)} scores in mos")
        table = LabelTable(path, self.mos_range)
        for row, (name, score) in enumerate(zip(names, scores, strict=True), start=1):
            table.add(f"row {row}", name, self._key(name), score)
        return table

    def _key(self, file: str) -> str | None:
        match = _NAME.fullmatch(file)
        if not match:
            return None
        stem = match[1].upper()
        return stem if stem in NEW_IN_SOME_COPIES or not match[2] else None

    def _record(self, label: Label, path: Path) -> VideoRecord:
        return VideoRecord(label.id, path, label.mos)


def _load(path: Path) -> dict[str, Any]:
    try:
        return load_mat(path, ["video_list", "mos"])
    except MatFileError as error:
        raise DatasetError(f"{path} {error}", advice=error.advice) from error


def _column(path: Path, content: dict[str, Any], name: str) -> list[Any]:
    if name not in content:
        others = ", ".join(sorted(key for key in content if not key.startswith("__"))) or "neither"
        raise DatasetError(f"{path} has no variable {name!r}", found=f"{others} of video_list and mos")
    return [_inner(cell) for cell in content[name].ravel()]


def _inner(cell: Any) -> Any:
    """What is in a cell, which SciPy returns as arrays of one element in each other."""
    while getattr(cell, "size", None) == 1:
        cell = cell.item()
    return cell
