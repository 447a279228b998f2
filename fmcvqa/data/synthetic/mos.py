"""The stated formula from distortion severities to a mean opinion score (MOS), and simulated raters.

    quality = 1 - impairment                                 in [0, 1]
    rating  = worst + (best - worst) * quality + chance      one per rater, clipped to the scale
    MOS     = mean of the ratings

An image's impairment is ``weight(type) * masking(type, activity) * (level / 5) ** 0.9``. A clip's frame adds its
severities, each in [0, 1], as ``sqrt(sum((weight * masking * severity) ** 2))``; over time a clip is judged nearer to
its worst part: ``0.4 * mean + 0.6 * mean of the worst quarter of the frames``. Masking is the only thing the score
takes from the content: noise hides in a busy scene (activity near 1), blur shows there.

The weights are invented, plausible and nobody's measurement: no person has rated these pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IMAGE_WEIGHTS = {
    1: 0.85,
    2: 0.75,
    3: 0.90,
    4: 0.60,
    5: 0.80,
    6: 0.85,
    7: 0.80,
    8: 1.00,
    9: 0.90,
    10: 1.00,
    11: 1.00,
    12: 0.80,
    13: 0.85,
    14: 0.70,
    15: 0.60,
    16: 0.50,
    17: 0.65,
    18: 0.45,
    19: 0.85,
    20: 0.75,
    21: 0.90,
    22: 0.80,
    23: 0.60,
    24: 1.00,
}
"""How much level 5 of each type, by its number in TID2013, takes from the quality of an average scene."""

SEVERITIES = ("blur", "noise", "compression", "shake")
"""The columns of a clip's severities."""

CLIP_WEIGHTS = np.array([1.0, 0.9, 1.0, 0.7])

_NOISES = frozenset({1, 2, 3, 4, 5, 6, 7, 19, 20, 21, 22})
_BLURS = frozenset({8, 9, 11, 24})
_WORST_SHARE = 0.25
_WORST_WEIGHT = 0.6


@dataclass(frozen=True, slots=True)
class RatingScale:
    """A scale and the people who use it.

    Attributes:
        low: Lowest rating possible.
        high: Highest rating possible.
        worst: What raters give, on average, to quality 0.
        best: What raters give, on average, to quality 1.
        raters: Number of ratings per item.
        spread: Standard deviation of one rating.
    """

    low: float
    high: float
    worst: float
    best: float
    raters: int
    spread: float

    def rate(self, quality: float, rng: np.random.Generator) -> tuple[float, float]:
        """Rate one item of a quality in [0, 1]; returns the MOS and the standard deviation of the MOS."""
        centre = self.worst + (self.best - self.worst) * quality
        ratings = np.clip(centre + self.spread * rng.standard_normal(self.raters), self.low, self.high)
        return float(ratings.mean()), float(ratings.std(ddof=1) / np.sqrt(self.raters))


def image_quality(number: int, level: int, activity: float) -> float:
    """Quality in [0, 1] of an image distorted by type ``number`` at ``level`` in a scene of that activity."""
    masking = 1.0
    if number in _NOISES:
        masking = _hidden(activity)
    elif number in _BLURS:
        masking = _shown(activity)
    return 1.0 - min(IMAGE_WEIGHTS[number] * masking * float((level / 5) ** 0.9), 1.0)


def clip_quality(severities: npt.NDArray[np.float64], activity: float) -> float:
    """Quality in [0, 1] of a clip.

    Args:
        severities: [frames, 4], columns as in ``SEVERITIES``, each in [0, 1].
        activity: The scene's activity in [0, 1].
    """
    masking = np.array([_shown(activity), _hidden(activity), 1.0, 1.0])
    impairment = np.minimum(np.sqrt(((CLIP_WEIGHTS * masking * severities) ** 2).sum(axis=1)), 1.0)
    worst = np.sort(impairment)[-max(round(_WORST_SHARE * len(impairment)), 1) :]
    return float(1.0 - (1 - _WORST_WEIGHT) * impairment.mean() - _WORST_WEIGHT * worst.mean())


def _hidden(activity: float) -> float:
    return 1.15 - 0.30 * activity


def _shown(activity: float) -> float:
    return 0.85 + 0.30 * activity
