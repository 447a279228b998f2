"""How well predictions follow the MOS: SROCC, KROCC, PLCC raw and mapped, RMSE; all in float64 by scipy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from fmcvqa.errors import FeatureError

Float64 = npt.NDArray[np.float64]

_NARROWEST = 0.05

SCORES = ("srocc", "krocc", "plcc", "plcc_mapped", "rmse", "rmse_mapped")


def _pair(mos: Any, predicted: Any) -> tuple[Float64, Float64]:
    """Both as float64 vectors, after refusing what no correlation is defined for."""
    y, x = np.asarray(mos, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if y.ndim != 1 or y.shape != x.shape or len(y) < 2:
        raise FeatureError(f"cannot score {x.size} predictions against {y.size} MOS", advice="give at least 2 of each")
    for values, what in ((y, "MOS"), (x, "predictions")):
        if not np.isfinite(values).all():
            raise FeatureError(f"{int((~np.isfinite(values)).sum())} of {len(values)} {what} are not finite numbers")
        if values.min() == values.max():
            advice = "the labels say nothing here" if what == "MOS" else "the features say nothing, or C is too small"
            raise FeatureError(f"all {len(values)} {what} are {values[0]:g}: no correlation exists", advice=advice)
    return y, x


def srocc(mos: Any, predicted: Any) -> float:
    """Spearman's rank correlation, ties by mean rank.

    Args:
        mos: ``[videos]``.
        predicted: ``[videos]``.

    Raises:
        FeatureError: If either is constant or not finite.
    """
    return float(stats.spearmanr(*_pair(mos, predicted)).statistic)


def krocc(mos: Any, predicted: Any) -> float:
    """Kendall's rank correlation, tau-b.

    Raises:
        FeatureError: If either is constant or not finite.
    """
    return float(stats.kendalltau(*_pair(mos, predicted)).statistic)


def plcc(mos: Any, predicted: Any) -> float:
    """Pearson's linear correlation.

    Raises:
        FeatureError: If either is constant or not finite.
    """
    return float(stats.pearsonr(*_pair(mos, predicted)).statistic)


def rmse(mos: Any, predicted: Any) -> float:
    """Root mean squared error, in units of the MOS."""
    y, x = np.asarray(mos, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    return float(np.sqrt(np.mean((y - x) ** 2)))


@dataclass(frozen=True)
class Logistic:
    """The monotone mapping of benchmarks, ``b2 + (b1 - b2) / (1 + exp(-(x - b3) / |b4|))``.

    Attributes:
        b1: Upper end.
        b2: Lower end.
        b3: Middle.
        b4: Width.
    """

    b1: float
    b2: float
    b3: float
    b4: float

    def __call__(self, predicted: Any) -> Float64:
        """Map predictions ``[videos]`` to MOS."""
        x = np.asarray(predicted, dtype=np.float64)
        slope = np.clip((x - self.b3) / abs(self.b4), -700, 700)  # exp stays finite
        return np.asarray(self.b2 + (self.b1 - self.b2) / (1 + np.exp(-slope)), dtype=np.float64)


def fit_logistic(mos: Any, predicted: Any) -> Logistic:
    """Least-squares logistic through (prediction, MOS).

    It starts from the MOS's ends and the predictions' mean and a quarter of their deviation. Bounds keep nearly
    linear data, whose best logistic is infinitely wide, from running away: ends within 3 MOS ranges beyond the
    MOS, middle within 3 ranges beyond the predictions, width from a twentieth (steeper, the curve is a step that
    gives many videos one score) to 10 ranges. Where the predictions say nothing the valley is flat and the search
    ends after 300 steps at the best point it has found.

    Raises:
        FeatureError: If there are fewer than 5 pairs, or either is constant.
    """
    y, x = _pair(mos, predicted)
    if len(y) < 5:
        raise FeatureError(f"a logistic has 4 parameters; {len(y)} videos cannot fit one", advice="test more videos")
    # In units of both ranges, so that one set of bounds and tolerances serves any scale.
    x0, dx, y0, dy = x.min(), np.ptp(x), y.min(), np.ptp(y)
    u, v = (x - x0) / dx, (y - y0) / dy
    start = np.array([1.0, 0.0, u.mean(), np.clip(u.std() / 4, 1.2 * _NARROWEST, 9.0)])
    lower, upper = np.array([-3.0, -3.0, -3.0, _NARROWEST]), np.array([4.0, 4.0, 4.0, 10.0])
    found = optimize.least_squares(
        lambda b: _curve(b, u) - v,
        start,
        jac=lambda b: _slope(b, u),
        bounds=(lower, upper),
        x_scale="jac",
        max_nfev=300,
    )
    b1, b2, b3, b4 = found.x
    return Logistic(float(y0 + dy * b1), float(y0 + dy * b2), float(x0 + dx * b3), float(dx * b4))


def _curve(b: Float64, u: Float64) -> Float64:
    return np.asarray(b[1] + (b[0] - b[1]) / (1 + np.exp(np.clip((b[2] - u) / b[3], -700, 700))))


def _slope(b: Float64, u: Float64) -> Float64:
    s = 1 / (1 + np.exp(np.clip((b[2] - u) / b[3], -700, 700)))
    bend = (b[0] - b[1]) * s * (1 - s) / b[3]
    return np.stack([s, 1 - s, -bend, -bend * (u - b[2]) / b[3]], axis=1)


def all_scores(mos: Float64, predicted: Float64, mapped: Float64) -> dict[str, float]:
    """Every score of one test fold, by name.

    Args:
        mos: ``[videos]``.
        predicted: ``[videos]``, in MOS.
        mapped: The predictions after the logistic.

    Raises:
        FeatureError: If any of them is constant or not finite.
    """
    return {
        "srocc": srocc(mos, predicted),
        "krocc": krocc(mos, predicted),
        "plcc": plcc(mos, predicted),
        "plcc_mapped": plcc(mos, mapped),
        "rmse": rmse(mos, predicted),
        "rmse_mapped": rmse(mos, mapped),
    }
