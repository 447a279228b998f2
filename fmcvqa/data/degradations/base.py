"""What a degradation of a clip is: five strengths, each worse than the one below at every moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fmcvqa.data.pixels import Pixels

STRENGTHS = (1, 2, 3, 4, 5)
LINES = 540
"""Short side for which lengths in pixels are stated; they grow with the frame."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of a clip before its frames come.

    Attributes:
        frames: Number of frames.
        size: Height and width in pixels, both even.
        rate: Frames per second.
    """

    frames: int
    size: tuple[int, int]
    rate: Fraction

    @property
    def scale(self) -> float:
        """The short side over ``LINES``."""
        return min(self.size) / LINES


Render = Callable[[Iterable[Pixels], Values, Shape, np.random.Generator], Iterator[Pixels]]
"""(frames, value of each frame [n], shape, source of chance) to frames. Chance never depends on the values, so that a
strength changes nothing but how much is seen."""


@dataclass(frozen=True, slots=True)
class Degradation:
    """One type of degradation.

    Attributes:
        name: As in file names and labels.
        unit: What its values count.
        none: The value that changes nothing (for a codec: that of the stored clips).
        values: The value of each strength, 1 to 5.
        render: How frames are changed; None where a codec does it.
    """

    name: str
    unit: str
    none: float
    values: tuple[float, float, float, float, float]
    render: Render | None = None

    def at(self, strength: Values) -> Values:
        """The values of strengths in [0, 5], by linear interpolation; strength 0 is none at all."""
        return np.interp(strength, (0, *STRENGTHS), (self.none, *self.values))
