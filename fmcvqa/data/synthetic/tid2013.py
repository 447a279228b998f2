"""A small generated stand-in for TID2013."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from io import BytesIO

from PIL import Image

from fmcvqa.data.distortions import DISTORTIONS, LEVELS, distort, unknown_numbers
from fmcvqa.data.filling import FileJob, Settings
from fmcvqa.data.labels import TID2013
from fmcvqa.data.pixels import Pixels
from fmcvqa.data.records import ImageRecord
from fmcvqa.data.synthetic.generated import RATING, RENDER, SyntheticSet, checked_count
from fmcvqa.data.synthetic.mos import RatingScale, image_quality
from fmcvqa.data.synthetic.scenes import Scene
from fmcvqa.errors import ConfigError

_UPPER_ENDING = frozenset({11, 13})  # the types whose level 1 is `I##_11_1.BMP` in TID2013's list


class SyntheticTID2013(SyntheticSet[ImageRecord]):
    """References, distorted images and scores in TID2013's layout, odd letter case of its names included.

    Files: ``reference_images/I01.BMP`` ..., ``distorted_images/i01_08_3.bmp`` ..., ``mos_with_names.txt``, ``mos.txt``
    and ``mos_std.txt`` (one line per image in the same order; the standard deviation is that of the MOS).

    Args:
        root: The set's folder.
        references: Number of reference images, 1 to 25.
        distortions: Distortion types by their numbers in TID2013, each at five levels.
        size: Height and width in pixels; TID2013 has 384 x 512.
        seed: Decides every picture and score.

    Raises:
        ConfigError: If a setting cannot be.
    """

    name = "TID2013 (synthetic stand-in)"
    mos_range = (0.0, 9.0)
    scale = RatingScale(low=0.0, high=9.0, worst=0.4, best=7.2, raters=35, spread=0.9)
    _tag = 1

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        references: int = 20,
        distortions: Sequence[int] = (1, 2, 5, 6, 7, 8, 9, 10, 11, 18, 19, 22),
        size: Sequence[int] = (192, 256),
        seed: int = 0,
    ) -> None:
        super().__init__(root, size, seed)
        self.references = checked_count("references", references, 1, 25)
        self.distortions = tuple(sorted(set(distortions)))
        if unknown := [number for number in self.distortions if number not in DISTORTIONS]:
            raise unknown_numbers(unknown)
        if not self.distortions:
            raise ConfigError("distortions is empty", advice="at least one number, such as 8 (Gaussian blur)")

    def _reader(self) -> TID2013:
        return TID2013(self.root, expected=self.references * len(self.distortions) * len(LEVELS))

    def _settings(self) -> Settings:
        return {"references": self.references, "distortions": list(self.distortions)}

    def _jobs(self) -> list[FileJob]:
        scenes = {reference: self._scene(reference, self.size) for reference in range(1, self.references + 1)}
        jobs = [
            FileJob(f"reference_images/{_reference_name(r, self.references)}", partial(_reference, s))
            for r, s in scenes.items()
        ]
        lines, scores, deviations = [], [], []
        for reference, number, level in self._images():
            item, scene = (reference, number, level), scenes[reference]
            mos, deviation = self.scale.rate(image_quality(number, level, scene.activity), self._rng(RATING, *item))
            name = _image_name(*item)
            lines.append(f"{mos:.5f} {name}\n")
            scores.append(f"{mos:.5f}\n")
            deviations.append(f"{deviation:.5f}\n")
            # The real list and the real folder disagree about letter case, so these do as well.
            path = f"distorted_images/{name.lower() if number in _UPPER_ENDING else name}"
            jobs.append(FileJob(path, partial(self._distorted, scene, *item)))
        for file, text in (("mos.txt", scores), ("mos_std.txt", deviations), ("mos_with_names.txt", lines)):
            jobs.append(FileJob(file, "".join(text).encode))
        return jobs

    def _images(self) -> list[tuple[int, int, int]]:
        """(reference, distortion, level) of every image, in the order of the list."""
        return [(r, n, level) for r in range(1, self.references + 1) for n in self.distortions for level in LEVELS]

    def _distorted(self, scene: Scene, reference: int, number: int, level: int) -> bytes:
        return _bmp(distort(scene.frame(), number, level, self._rng(RENDER, reference, number, level)).pixels)


def _reference_name(reference: int, references: int) -> str:
    """``I01.BMP``, but the last one is lower case, as TID2013's ``i25.bmp`` is."""
    return f"i{reference:02d}.bmp" if reference == references else f"I{reference:02d}.BMP"


def _image_name(reference: int, number: int, level: int) -> str:
    """The name in TID2013's list: lower case, but for level 1 of a few types."""
    if level == 1 and number in _UPPER_ENDING:
        return f"I{reference:02d}_{number:02d}_1.BMP"
    return f"{'I' if (number, level) == (1, 1) else 'i'}{reference:02d}_{number:02d}_{level}.bmp"


def _reference(scene: Scene) -> bytes:
    return _bmp(scene.frame())


def _bmp(pixels: Pixels) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "BMP")
    return buffer.getvalue()
