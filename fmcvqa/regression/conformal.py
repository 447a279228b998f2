"""What a score is worth: an interval from out-of-fold residuals, and its place among the training set's MOS.

The interval is conformal (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005; the finite-sample
quantile as in Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 2018, section 2.2): no
assumption about the shape of errors, only that new videos are drawn as the training videos were. Every video
contributes one residual, from the first split that tested it, so from a model that has not seen it. These models were
fitted on fewer videos than the final one, which makes the interval a little wider. Residuals of several folds depend on
one another, so that the level holds about and not exactly, as it would for a single split.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fmcvqa.errors import ConfigError, ModelFileError
from fmcvqa.prediction import Interval, Scale
from fmcvqa.regression.intervals import ScoredSplit

Float64 = npt.NDArray[np.float64]
LEVEL = 0.9
_ROUNDING = 1e-9  # 0.9 * 10 may come out above 9


@dataclass(frozen=True, eq=False)
class Calibration:
    """The training set's MOS, and how far out-of-fold predictions were from them.

    Attributes:
        mos: Ascending, ``[videos]``.
        residuals: Absolute differences between MOS and out-of-fold prediction, ascending, ``[tested videos]``.
    """

    mos: Float64
    residuals: Float64

    @classmethod
    def of(cls, mos: npt.ArrayLike, tested: Sequence[ScoredSplit]) -> Calibration:
        """The calibration of an evaluation.

        Args:
            mos: MOS of all videos, ``[videos]``.
            tested: What each split tested, in the protocol's order.
        """
        known = np.asarray(mos, dtype=np.float64)
        predicted = out_of_fold(tested, len(known))
        residuals = np.abs(known - predicted)
        return cls(np.sort(known), np.sort(residuals[np.isfinite(residuals)]))

    def half_width(self, level: float = LEVEL) -> float | None:
        """Half the width of the interval at this level; None if there are too few residuals for it.

        Raises:
            ConfigError: If the level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ConfigError(f"the level of an interval is {level}", advice="a number between 0 and 1, such as 0.9")
        rank = math.ceil((len(self.residuals) + 1) * level - _ROUNDING)
        return float(self.residuals[rank - 1]) if rank <= len(self.residuals) else None

    def interval(self, score: float, scale: Scale, level: float = LEVEL) -> Interval | None:
        """The interval around a score; cut at the ends of the scale, beyond which no MOS is, if the score is within."""
        half = self.half_width(level)
        if half is None:
            return None
        low, high = score - half, score + half
        if score in scale:
            low, high = max(low, scale.minimum), min(high, scale.maximum)
        return Interval(low, high, level)

    def percentile(self, score: float) -> float:
        """Share in percent of the training videos whose MOS is below this score."""
        return 100.0 * float(np.searchsorted(self.mos, score)) / len(self.mos)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything there is: ``mos`` and ``residuals``, each ``[videos]``."""
        return {"mos": self.mos, "residuals": self.residuals}

    @classmethod
    def load(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Calibration:
        """The calibration that gave these ``arrays()``.

        Raises:
            ModelFileError: If they are not two ascending lists of finite numbers.
        """
        found = {name: np.asarray(arrays[name], np.float64) for name in ("mos", "residuals") if name in arrays}
        whole = len(found) == 2 and all(
            values.ndim == 1 and len(values) and np.isfinite(values).all() and (np.diff(values) >= 0).all()
            for values in found.values()
        )
        if not whole:
            raise ModelFileError("the calibration is not whole", advice="fit the model again")
        return cls(found["mos"], found["residuals"])


def out_of_fold(tested: Sequence[ScoredSplit], videos: int) -> Float64:
    """One out-of-fold prediction per video, by the first split that tested it; NaN where none did.

    Not the mean over repeats: a mean of many models is closer to the MOS than the one model that will be used.

    Args:
        tested: What each split tested.
        videos: Number of videos.
    """
    predicted = np.full(videos, np.nan)
    for part in reversed(tested):
        predicted[part.rows] = part.predicted
    return predicted
