"""KoNViD-1k: 1200 clips of 8 seconds, 960x540, rated 1 to 5."""

from __future__ import annotations

import os
import re
from pathlib import Path

from fmcvqa.data.labels.folder import FolderSet
from fmcvqa.data.labels.table import CSVTable, LabelTable
from fmcvqa.data.records import Label, VideoRecord

# `<flickr_id>.mp4` today, `<flickr_id>_original_centercrop_960x540_8s.mp4` in older copies
_NAME = re.compile(r"([0-9]+)(?:_.*)?", re.DOTALL)


class KoNViD1k(FolderSet[VideoRecord]):
    """KoNViD-1k as downloaded, in today's layout or an older one.

    The labels come from ``KoNViD_1k_mos.csv`` or ``KoNViD_1k_attributes.csv``; where both are there they must agree.
    Labels and clips are joined by the digits before the first ``_``, which are the ids (text: they exceed 32 bits).

    Args:
        root: The folder of the clips, or one up to three levels above it.
        allow_missing: Go on with the clips that are there.
        expected: Number of labels of the complete dataset; None takes any number.
    """

    name = "KoNViD-1k"
    command = "konvid1k"
    mos_range = (1.0, 5.0)
    label_files = ("KoNViD_1k_mos.csv", "KoNViD_1k_attributes.csv")
    label_folders = ("KoNViD_1k_metadata",)
    media_folder = "KoNViD_1k_videos"
    media_suffix = ".mp4"
    media_pattern = "<flickr_id>.mp4"
    agreement = 1e-4  # the attributes file rounds the same MOS to four decimals

    def __init__(
        self, root: str | os.PathLike[str], *, allow_missing: bool = False, expected: int | None = 1200
    ) -> None:
        super().__init__(root, allow_missing=allow_missing, expected=expected)

    def _read(self, path: Path) -> LabelTable:
        csv = CSVTable.read(path)
        id_at, mos_at = csv.position("flickr_id"), csv.position("mos")
        table = LabelTable(path, self.mos_range)
        for line, fields in csv.rows:
            name = fields[id_at].strip()
            table.add(f"line {line}", name, _digits(name), fields[mos_at])
        return table

    def _key(self, file: str) -> str | None:
        return _digits(file[: -len(self.media_suffix)]) if self._is_media(file) else None

    def _record(self, label: Label, path: Path) -> VideoRecord:
        return VideoRecord(label.id, path, label.mos)


def _digits(name: str) -> str | None:
    match = _NAME.fullmatch(name)
    return match[1] if match else None
