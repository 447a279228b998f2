"""Support vector regression on precomputed kernels: one cell of a table, one training fold."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.svm import SVR

from fmcvqa.errors import ConfigError, FeatureError
from fmcvqa.features.matrix import Block
from fmcvqa.regression.folds import FoldKernels

Float64 = npt.NDArray[np.float64]
Gamma = float | str

KERNELS = ("linear", "rbf")
SOLVERS = ("auto", "dual", "primal")


@dataclass(frozen=True, kw_only=True)
class SVRSettings:
    """The regressor's settings; the defaults are scikit-learn's, as in the paper's protocol.

    Attributes:
        kernel: ``"linear"`` or ``"rbf"``.
        C: Penalty, above 0.
        epsilon: Half width of the tube without loss, in standard deviations of the MOS where the MOS is scaled.
        gamma: Of rbf: ``"scale"``, ``"auto"``, a number above 0, or a multiple such as ``"4*scale"``.
        solver: ``"dual"`` fits on the N x N kernel; ``"primal"`` fits a linear kernel without one (see
            :mod:`fmcvqa.regression.primal`); ``"auto"`` is dual while there is room for the kernel. Results name
            which it was.

    Raises:
        ConfigError: If a value is out of its range, or primal is asked for rbf.
    """

    kernel: str = "linear"
    C: float = 1.0
    epsilon: float = 0.1
    gamma: Gamma = "scale"
    solver: str = "auto"

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise ConfigError(f"regressor.kernel={self.kernel} is unknown", found=", ".join(KERNELS))
        if not (math.isfinite(self.C) and self.C > 0):
            raise ConfigError(f"regressor.C={self.C} is not above 0", advice="1.0 is the paper's")
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0):
            raise ConfigError(f"regressor.epsilon={self.epsilon} is below 0", advice="0.1 is the paper's")
        if self.solver not in SOLVERS:
            raise ConfigError(f"regressor.solver={self.solver} is unknown", found=", ".join(SOLVERS))
        if self.solver == "primal" and self.kernel != "linear":
            raise ConfigError(
                f"regressor.solver=primal cannot fit kernel={self.kernel}", advice="regressor.kernel=linear"
            )
        _parse_gamma(self.gamma)
        for name in ("C", "epsilon", "gamma"):  # 1 and 1.0 are one setting, and one key
            if isinstance(value := getattr(self, name), int):
                object.__setattr__(self, name, float(value))


@dataclass(frozen=True, kw_only=True)
class Cell(SVRSettings):
    """One cell of a table: which features, and the regressor on them.

    Attributes:
        layers: Taps, e.g. ``("Mixed_5b",)``.
        pools: Poolings over time, e.g. ``("mean", "max")``.

    Raises:
        ConfigError: If there is none, or one twice, or a regressor's value is out of range.
    """

    layers: tuple[str, ...]
    pools: tuple[str, ...] = ("mean", "max")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("layers", "pools"):
            values = getattr(self, name)
            if isinstance(values, str):
                raise ConfigError(f"features.{name}={values} is one word", advice=f"give a list: [{values}]")
            object.__setattr__(self, name, tuple(values))
            if not values or len(set(values)) != len(values):
                raise ConfigError(f"features.{name}=[{','.join(values)}] must name at least one, each once")

    @property
    def blocks(self) -> list[Block]:
        """The blocks that are concatenated: all poolings of the first layer, then of the next."""
        return [(layer, pool) for layer in self.layers for pool in self.pools]

    def as_dict(self) -> dict[str, Any]:
        """The cell as ``result.json`` holds it."""
        names = ("layers", "pools", "kernel", "C", "epsilon", "gamma", "solver")
        return {name: list(v) if isinstance(v := getattr(self, name), tuple) else v for name in names}


def all_cells(
    layers: Sequence[str], *, pools: Sequence[str] = ("mean", "max"), settings: SVRSettings | None = None
) -> list[Cell]:
    """Every non-empty subset of the layers with both kernels: 14 cells for three layers (paper, Tables I and II)."""
    common = asdict(settings or SVRSettings()) | {"pools": tuple(pools)}
    subsets = [subset for size in range(1, len(layers) + 1) for subset in combinations(layers, size)]
    return [Cell(**common | {"layers": subset, "kernel": kernel}) for subset in subsets for kernel in KERNELS]


def _parse_gamma(gamma: Gamma) -> tuple[float, str]:
    """A factor and ``"scale"``, ``"auto"`` or ``""``."""
    if isinstance(gamma, str):
        factor, _, word = gamma.rpartition("*")
        try:
            number = float(factor or 1)
        except ValueError:
            number = math.nan
        if word in ("scale", "auto") and math.isfinite(number) and number > 0:
            return number, word
    elif math.isfinite(gamma) and gamma > 0:
        return float(gamma), ""
    raise ConfigError(
        f"regressor.gamma={gamma} is unknown", found="scale, auto, a number above 0, or a multiple such as 4*scale"
    )


def resolve_gamma(gamma: Gamma, columns: int, variance: float) -> float:
    """The number scikit-learn's SVR would use.

    Args:
        gamma: As in :class:`SVRSettings`.
        columns: Number of features.
        variance: Over all scaled values of the training fold.
    """
    factor, word = _parse_gamma(gamma)
    if word == "scale":
        return factor / (columns * variance) if variance else factor
    return factor / columns if word == "auto" else factor


def squared_distances(gram: Float64) -> Float64:
    """Squared Euclidean distances ``[N, N]`` of vectors with this linear kernel."""
    diagonal = np.diagonal(gram)
    distances = -2.0 * gram
    distances += diagonal[:, None]
    distances += diagonal[None, :]
    return np.maximum(distances, 0.0, out=distances)


def cell_kernel(kernels: FoldKernels, cell: Cell) -> tuple[Float64, float]:
    """A cell's kernel ``[N, N]`` and its gamma (0 for linear)."""
    gram = kernels.gram(cell.blocks)
    if cell.kernel == "linear":
        return gram, 0.0
    gamma = resolve_gamma(cell.gamma, *kernels.variance(cell.blocks))
    distances = squared_distances(gram)
    distances *= -gamma
    return np.exp(distances, out=distances), gamma


@dataclass(frozen=True, eq=False)
class FittedSVR:
    """A regressor fitted on one training fold.

    Attributes:
        support: Rows of the support vectors, or of the landmarks where it was fitted in the primal.
        dual: Their coefficients, for the scaled MOS.
        intercept: For the scaled MOS.
        mos_mean: What was subtracted from the MOS.
        mos_scale: What the MOS was then divided by.
    """

    support: npt.NDArray[np.intp]
    dual: Float64
    intercept: float
    mos_mean: float
    mos_scale: float

    def predict(self, kernel: Float64) -> Float64:
        """MOS of every row of a kernel ``[rows, N]``."""
        dual = np.zeros(kernel.shape[1])
        dual[self.support] = self.dual
        return self.in_mos(kernel @ dual)

    def in_mos(self, products: Float64) -> Float64:
        """MOS of kernels times coefficients."""
        return (products + self.intercept) * self.mos_scale + self.mos_mean

    def digest(self) -> str:
        """SHA-256 over everything that was fitted, bit for bit."""
        numbers = np.array([self.intercept, self.mos_mean, self.mos_scale])
        parts = (self.support.astype(np.int64), self.dual, numbers)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def fit_svr(
    kernel: Float64,
    train: npt.NDArray[np.intp],
    mos: Float64,
    settings: SVRSettings,
    *,
    scale_mos: bool = True,
    tol: float = 1e-3,
) -> FittedSVR:
    """Fit scikit-learn's SVR on the training fold.

    Args:
        kernel: ``[N, N]``; only rows and columns of ``train`` are looked at.
        train: Rows of the training fold.
        mos: ``[N]``; only ``train`` is looked at.
        settings: Penalty and tube; the kernel is what it is.
        scale_mos: Standardise the MOS by the training fold's mean and standard deviation (ddof 0).
        tol: Where the solver stops; scikit-learn's default. Predictions are determined to about this much of a
            MOS standard deviation: where many points tie, rounding alone decides between solutions so near.

    Raises:
        FeatureError: If the MOS of the training fold are all the same.
    """
    known, mean, scale = scaled_mos(mos[train], scale_mos)
    model = SVR(kernel="precomputed", C=settings.C, epsilon=settings.epsilon, tol=tol)
    model.fit(kernel[np.ix_(train, train)], known)
    return FittedSVR(train[model.support_], model.dual_coef_[0], float(model.intercept_[0]), mean, scale)


def scaled_mos(mos: Float64, standardise: bool) -> tuple[Float64, float, float]:
    """A training fold's MOS as they are fitted, with the mean and standard deviation (ddof 0) taken out of them.

    Raises:
        FeatureError: If they are all the same.
    """
    if mos.min() == mos.max():
        raise FeatureError(f"the MOS of all {len(mos)} training videos are {mos[0]:g}", advice="check the labels")
    mean, scale = (float(mos.mean()), float(mos.std())) if standardise else (0.0, 1.0)
    return (mos - mean) / scale, mean, scale
