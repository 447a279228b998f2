"""Photographs as references: which there are in a folder, and the part of each that is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fmcvqa.data.labels.table import CSVTable
from fmcvqa.data.pixels import Pixels, read_image
from fmcvqa.errors import DatasetError

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
SIZE = (384, 512)


@dataclass(frozen=True, slots=True)
class Crop:
    """How a photograph becomes a reference.

    Attributes:
        size: Height and width in pixels; None keeps the whole photograph.
        reduce: Shrink the photograph first, so that the crop only just fits into it.
        offsets: (top, left) by the photograph's file name without its ending; the centre where there is none.
    """

    size: tuple[int, int] | None = SIZE
    reduce: bool = False
    offsets: Mapping[str, tuple[int, int]] | None = None

    def cut(self, path: Path) -> Pixels:
        """The reference [height, width, 3] of one photograph, turned as its camera noted.

        Raises:
            DatasetError: If the photograph cannot be read or is too small.
        """
        advice = "taking it out of the folder, or a fresh copy"
        photo = read_image(path, "photograph", advice=advice, upright=True)
        if self.size is None:
            return np.asarray(photo)
        height, width = self.size
        if self.reduce:
            shrink = max(height / photo.height, width / photo.width)
            if shrink < 1:
                sides = (max(round(photo.width * shrink), width), max(round(photo.height * shrink), height))
                photo = photo.resize(sides, Image.Resampling.LANCZOS)
        centre = ((photo.height - height) // 2, (photo.width - width) // 2)
        top, left = (self.offsets or {}).get(path.stem, centre)
        if top < 0 or left < 0 or top + height > photo.height or left + width > photo.width:
            raise DatasetError(
                f"a crop of {width}x{height} at top {top}, left {left} does not fit into {path} of "
                f"{photo.width}x{photo.height} pixels",
                advice="a smaller --size, --size whole, or other offsets",
            )
        return np.asarray(photo)[top : top + height, left : left + width]


def photographs(folder: Path) -> list[Path]:
    """The photographs in a folder, ordered by name.

    Raises:
        DatasetError: If there is no such folder, nothing in it, or two differ only in their ending.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder", advice="the folder of the photographs")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not found:
        raise DatasetError(
            f"there are no photographs in {folder}", advice=f"files ending in {', '.join(sorted(SUFFIXES))}"
        )
    stems = [photo.stem for photo in found]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise DatasetError(f"several photographs in {folder} are called {twice[0]}", advice="one ending for each name")
    return found


def read_offsets(path: Path) -> dict[str, tuple[int, int]]:
    """Crop offsets from a CSV with the columns ``photo,top,left``.

    Raises:
        DatasetError: If it cannot be read or an offset is no whole number.
    """
    table = CSVTable.read(path)
    columns = [table.position(name) for name in ("photo", "top", "left")]
    offsets = {}
    for line, fields in table.rows:
        name, top, left = (fields[column] for column in columns)
        if not (top.isdecimal() and left.isdecimal()):
            raise DatasetError(f"{path} line {line}: {top}, {left} are not two whole numbers of pixels")
        offsets[Path(name).stem] = (int(top), int(left))
    return offsets
