"""An image-quality set in TID2013's layout from a folder of good photographs."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from fmcvqa.data.distortions import DISTORTIONS, LEVELS, distort, psnr, unknown_numbers
from fmcvqa.data.filling import FileJob, Manifest, Settings, fill
from fmcvqa.data.labels.tid2013 import read_labels
from fmcvqa.data.photos import Crop, photographs
from fmcvqa.data.pixels import Pixels
from fmcvqa.errors import DatasetError
from fmcvqa.files import write_atomic

MANIFEST, LABELS, MEASURED, PHOTOS = "distorted.json", "mos_with_names.txt", "distortions.csv", "photos.csv"
VERSION = 1  # raised when the same settings give other files
_NOTE = "Photographs distorted as TID2013's references were; nobody rated them unless mos_with_names.txt is there."


class DistortedSet:
    """References, their distorted versions and what is known of them, in TID2013's layout.

    Files: ``reference_images/I01.bmp`` ..., ``distorted_images/i01_08_3.bmp`` ..., ``photos.csv`` (which photograph is
    which reference), ``distortions.csv`` (type, level, nominal and measured PSNR of every image) and, only if labels
    are given, ``mos_with_names.txt``. Photographs are numbered in the order of their names.

    Args:
        photos: A folder of photographs; those in it, not below it.
        root: The set's folder, new or empty, or of a run to finish.
        crop: How a photograph becomes a reference.
        distortions: Types by their numbers in TID2013.
        labels: A file like TID2013's ``mos_with_names.txt`` that rates every image of the set; others in it are left
            out. Without one no label is written: nobody has rated these images.
        seed: With a photograph's name, type and level it decides every pixel.

    Attributes:
        unused_labels: Labels of images that are not in the set, by id; known after ``prepare``.

    Raises:
        ConfigError: If there is no such distortion.
        DatasetError: If there are no photographs, two have the same name, or labels are missing.
    """

    def __init__(
        self,
        photos: str | os.PathLike[str],
        root: str | os.PathLike[str],
        *,
        crop: Crop | None = None,
        distortions: Sequence[int] = tuple(DISTORTIONS),
        labels: str | os.PathLike[str] | None = None,
        seed: int = 0,
    ) -> None:
        self.root, self.crop, self.seed = Path(root).expanduser(), crop or Crop(), seed
        self.distortions = tuple(sorted(set(distortions)))
        if unknown := [number for number in self.distortions if number not in DISTORTIONS]:
            raise unknown_numbers(unknown)
        self.photos = photographs(Path(photos).expanduser())
        self._digits = max(len(str(len(self.photos))), 2)
        if unknown_photos := sorted(set(self.crop.offsets or {}) - {photo.stem for photo in self.photos}):
            raise DatasetError(
                f"offsets are given for {', '.join(unknown_photos)}, which are no photographs of {photos}",
                advice="file names without their endings",
            )
        self.unused_labels: tuple[str, ...] = ()
        self._lines = None if labels is None else self._labelled(Path(labels).expanduser())

    def __len__(self) -> int:
        return len(self.photos) * len(self.distortions) * len(LEVELS)

    def prepare(self) -> None:
        """Make the set where it is not there, finish it where a run was killed, else do nothing.

        Raises:
            DatasetError: If a photograph cannot be used, or the folder holds other things or cannot be written.
        """
        settings: Settings = {
            "version": VERSION,
            "seed": self.seed,
            "size": list(self.crop.size or ()),
            "reduce": int(self.crop.reduce),
            "offsets": [f"{name} {top} {left}" for name, (top, left) in sorted((self.crop.offsets or {}).items())],
            "distortions": list(self.distortions),
            "photos": [f"{p.name} {hashlib.sha256(p.read_bytes()).hexdigest()[:16]}" for p in self.photos],
            "labels": hashlib.sha256("".join(self._lines or ()).encode()).hexdigest()[:16],
        }
        fill(self.root, Manifest(MANIFEST, "distorted set", _NOTE, settings), self._jobs)
        if not (self.root / MEASURED).exists():
            write_atomic(self.root / MEASURED, self._measured())

    def _jobs(self) -> list[FileJob]:
        jobs = [FileJob(PHOTOS, self._photo_table)]
        if self._lines is not None:
            jobs.append(FileJob(LABELS, "".join(self._lines).encode))
        jobs += [FileJob(self._reference(n), partial(self._cut, n)) for n in range(len(self.photos))]
        return jobs + [
            FileJob(f"distorted_images/{self._name(n, number, level)}", partial(self._distorted, n, number, level))
            for n, number, level in self._images()
        ]

    def _images(self) -> list[tuple[int, int, int]]:
        """(index of the photograph, distortion, level) of every image."""
        return [(n, d, level) for n in range(len(self.photos)) for d in self.distortions for level in LEVELS]

    def _name(self, n: int, number: int, level: int) -> str:
        return f"i{n + 1:0{self._digits}d}_{number:02d}_{level}.bmp"

    def _reference(self, n: int) -> str:
        return f"reference_images/I{n + 1:0{self._digits}d}.bmp"

    def _cut(self, n: int) -> bytes:
        return _bmp(self.crop.cut(self.photos[n]))

    def _distorted(self, n: int, number: int, level: int) -> bytes:
        photo = self.photos[n]
        name = int.from_bytes(hashlib.sha256(photo.stem.encode()).digest()[:8])
        rng = np.random.default_rng([self.seed, name, number, level])
        return _bmp(distort(self.crop.cut(photo), number, level, rng).pixels)

    def _photo_table(self) -> bytes:
        return _csv(
            ["reference", "photo"], [[Path(self._reference(n)).stem, p.name] for n, p in enumerate(self.photos)]
        )

    def _measured(self) -> bytes:
        """The PSNR of the files as they are, so that a resumed run knows those of the first one."""
        rows = []
        for n in range(len(self.photos)):
            reference = _pixels(self.root / self._reference(n))
            for number in self.distortions:
                kind = DISTORTIONS[number]
                for level in LEVELS:
                    name = self._name(n, number, level)
                    nominal = "" if kind.psnr is None else f"{kind.psnr[level - 1]:g}"
                    found = psnr(reference, _pixels(self.root / "distorted_images" / name))
                    rows.append(
                        [name, Path(self._reference(n)).stem, number, kind.name, level, nominal, f"{found:.3f}"]
                    )
        return _csv(["name", "reference", "number", "distortion", "level", "nominal_psnr", "psnr"], rows)

    def _labelled(self, path: Path) -> list[str]:
        """The lines of the label file for this set's images."""
        if not path.is_file():
            raise DatasetError(f"the label file {path} does not exist", advice='lines of "MOS name", as TID2013 has')
        table = read_labels(path)
        if table.problems:
            raise DatasetError(f"the labels in {path} cannot be used: {table.problems[0]}")
        wanted = {self._name(*image).removesuffix(".bmp"): image for image in self._images()}
        if missing := [name for name in wanted if name not in table.labels]:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise DatasetError(
                f"{path} has no label for {', '.join(missing[:3])}{more}",
                found=f"{len(table.labels)} labels",
                advice="a label for every image, fewer --types, or no --labels",
            )
        self.unused_labels = tuple(name for name in table.labels if name not in wanted)
        return [f"{table.labels[name].mos:.5f} {name}.bmp\n" for name in wanted]


def _bmp(pixels: Pixels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "BMP")
    return stream.getvalue()


def _pixels(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    return stream.getvalue().encode()
