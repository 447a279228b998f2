"""Linear support vector regression without an N x N kernel: for more videos than such a kernel has room for.

The kernel of all videos with a few thousand training videos, the landmarks, spans a space in which scikit-learn's
``LinearSVR`` fits in the primal. With as many landmarks as the training fold has independent rows, as where there are
few columns, that is the same regressor but for the solver's tolerance (0.0004 of a MOS standard deviation with 1200
training videos and 8,324 columns of rank 40 plus noise). With fewer it is an approximation: 600 landmarks of those
1200 move single predictions by up to 0.6 of a deviation and PLCC from .9075 to .9038. What is fitted are coefficients
over the landmarks, just as a dual regressor has them over its support vectors.
"""

from __future__ import annotations

import logging
import threading
import warnings
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVR

from fmcvqa.features.matrix import Block
from fmcvqa.regression.folds import UNIT_LENGTH, Fold
from fmcvqa.regression.kernels import KernelBank, too_many
from fmcvqa.regression.svr import Cell, FittedSVR, SVRSettings, scaled_mos

Float64 = npt.NDArray[np.float64]

LANDMARKS = 2048  # 1.3 GB of working memory for 20,000 videos
_SMALLEST = 1e-7  # of the largest eigenvalue: float32 kernels hold no more
_INTERCEPT = 10.0  # liblinear penalises the intercept; so scaled, that penalty is a hundredth
_STEPS, _TOL = 10_000, 1e-5

_ONE_GENERATOR = threading.Lock()  # liblinear shuffles by one generator of the whole process, which fit() seeds

log = logging.getLogger(__name__)


def solver_of(cell: Cell, bank: KernelBank) -> str:
    """``dual`` or ``primal``: what a cell is fitted with.

    Raises:
        FeatureError: If the kernels of so many videos have no room and the cell cannot do without.
    """
    if cell.solver == "primal" or bank.fits:
        return "dual" if cell.solver == "auto" else cell.solver
    if cell.solver == "auto" and cell.kernel == "linear":
        return "primal"
    raise too_many(bank.count, bank.max_bytes)


@dataclass(frozen=True, eq=False)
class LandmarkKernels:
    """The kernels of all videos with a fold's landmarks, one block after the other.

    Attributes:
        bank: The videos.
        fold: The fold; landmarks are drawn from its training rows by a fixed seed.
        count: Number of landmarks at most.
    """

    bank: KernelBank
    fold: Fold
    count: int = LANDMARKS
    _held: dict[tuple[Block, ...], Float64] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def rows(self) -> npt.NDArray[np.intp]:
        """Rows of the landmarks, ascending."""
        train = self.fold.train
        drawn = np.random.default_rng(0).choice(len(train), min(self.count, len(train)), replace=False)
        return train[np.sort(drawn)]

    def gram(self, blocks: list[Block]) -> Float64:
        """The linear kernel ``[N, landmarks]`` of the concatenated blocks; the last one asked for is kept."""
        key = tuple(blocks)
        with self._lock:  # several cells of a split ask at once
            if key not in self._held:
                found = np.sum([self.bank.against(block, self.fold, self.rows) for block in blocks], axis=0)
                if self.fold.scaler in UNIT_LENGTH:
                    norm = self.bank.lengths(blocks, self.fold)
                    found /= norm[:, None] * norm[None, self.rows]
                self._held.clear()
                self._held[key] = found
            return self._held[key]


def fit_landmarks(
    gram: Float64,
    landmarks: npt.NDArray[np.intp],
    train: npt.NDArray[np.intp],
    mos: Float64,
    settings: SVRSettings,
    *,
    scale_mos: bool = True,
) -> FittedSVR:
    """Fit scikit-learn's LinearSVR in the space of the landmarks.

    Args:
        gram: Kernel ``[N, landmarks]``; only rows of ``train`` are looked at.
        landmarks: Rows of the landmarks, all of them in ``train``.
        train: Rows of the training fold.
        mos: ``[N]``; only ``train`` is looked at.
        settings: Penalty and tube.
        scale_mos: Standardise the MOS by the training fold.

    Returns:
        Coefficients over the landmarks.

    Raises:
        FeatureError: If the MOS of the training fold are all the same.
    """
    known, mean, scale = scaled_mos(mos[train], scale_mos)
    values, vectors = eigh(gram[landmarks])
    kept = values > _SMALLEST * values[-1]
    root = vectors[:, kept] / np.sqrt(values[kept])
    Z = gram[train] @ root
    centre = Z.mean(axis=0)  # no regressor with a free intercept sees it, but its solver does
    Z -= centre
    model = LinearSVR(
        C=settings.C,
        epsilon=settings.epsilon,
        tol=_TOL,
        max_iter=_STEPS,
        intercept_scaling=_INTERCEPT,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # said below, in our words
        with _ONE_GENERATOR:
            model.fit(Z, known)
    if model.n_iter_ >= _STEPS:
        log.warning("LinearSVR stopped after %d passes, not quite at its optimum; a smaller C converges", _STEPS)
    intercept = float(model.intercept_[0] - centre @ model.coef_)
    return FittedSVR(landmarks, root @ model.coef_, intercept, mean, scale)
