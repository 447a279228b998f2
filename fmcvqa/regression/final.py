"""One cell fitted on a whole dataset, as plain arrays: what a model file holds beside the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fmcvqa.errors import ConfigError, ModelFileError
from fmcvqa.features.matrix import Block, FeatureMatrix, FloatArray
from fmcvqa.regression.fitting import Kernels, choose
from fmcvqa.regression.folds import Fold
from fmcvqa.regression.kernels import KernelBank
from fmcvqa.regression.primal import LandmarkKernels, fit_landmarks, solver_of
from fmcvqa.regression.protocol_base import Protocol
from fmcvqa.regression.scaling import PER_FOLD
from fmcvqa.regression.splits import Split
from fmcvqa.regression.svr import Cell, FittedSVR, cell_kernel, fit_svr

Float64 = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[Any]]
Blocks = Mapping[Block, FloatArray]

FIT_SCALERS = (*PER_FOLD, "none")
_COLUMNS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class LinearRegressor:
    """A linear support vector regressor collapsed to one weight per raw feature.

    Attributes:
        weights: Float64 ``[columns]`` per block, over unscaled features.
        bias: In MOS.
    """

    weights: dict[Block, Float64]
    bias: float

    kind = "linear"

    def predict(self, blocks: Blocks) -> Float64:
        """MOS ``[n]`` of n videos.

        Args:
            blocks: Unscaled features ``[n, columns]`` of at least this regressor's blocks.

        Raises:
            ModelFileError: If a block is missing or has other columns.
        """
        _check(blocks, {key: len(weight) for key, weight in self.weights.items()})
        parts = [np.asarray(blocks[key], dtype=np.float64) @ weight for key, weight in self.weights.items()]
        return np.asarray(np.sum(parts, axis=0) + self.bias, dtype=np.float64)

    def arrays(self) -> Arrays:
        """Everything that was fitted, by name: ``[columns]`` of each block, and the bias ``[1]``."""
        named: Arrays = {_name("weights", key): weight for key, weight in self.weights.items()}
        return named | {"bias": np.array([self.bias])}

    def meta(self) -> dict[str, Any]:
        """What :func:`load_regressor` needs beside the arrays; JSON."""
        return {"kind": self.kind, "blocks": [list(key) for key in self.weights]}


@dataclass(frozen=True, eq=False)
class RBFRegressor:
    """A support vector regressor with the radial basis function ``exp(-gamma |a - b|^2)``.

    Attributes:
        support: Unscaled support vectors ``[vectors, columns]`` per block.
        shift: Float64 ``[columns]`` per block, subtracted from features.
        scale: Float64 ``[columns]`` per block, by which features are then divided.
        dual: Float64 ``[vectors]``.
        gamma: Of the kernel.
        intercept: For the scaled MOS.
        mos_mean: Added to what comes out, after
        mos_scale: it was multiplied by this.
    """

    support: dict[Block, FloatArray]
    shift: dict[Block, Float64]
    scale: dict[Block, Float64]
    dual: Float64
    gamma: float
    intercept: float
    mos_mean: float
    mos_scale: float

    kind = "rbf"

    def predict(self, blocks: Blocks) -> Float64:
        """MOS ``[n]`` of n videos.

        Args:
            blocks: Unscaled features ``[n, columns]`` of at least this regressor's blocks.

        Raises:
            ModelFileError: If a block is missing or has other columns.
        """
        _check(blocks, {key: len(shift) for key, shift in self.shift.items()})
        count = len(next(iter(blocks.values())))
        distances = np.zeros((count, len(self.dual)))
        for key, vectors in self.support.items():
            for start in range(0, vectors.shape[1], _COLUMNS_AT_ONCE):
                part = slice(start, start + _COLUMNS_AT_ONCE)
                a, b = (self._scaled(key, rows, part) for rows in (blocks[key], vectors))
                distances += np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)[None, :] - 2 * (a @ b.T)
        kernel = np.exp(-self.gamma * np.maximum(distances, 0.0))
        return np.asarray((kernel @ self.dual + self.intercept) * self.mos_scale + self.mos_mean, dtype=np.float64)

    def _scaled(self, key: Block, rows: FloatArray, part: slice) -> Float64:
        return (np.asarray(rows[:, part], dtype=np.float64) - self.shift[key][part]) / self.scale[key][part]

    def arrays(self) -> Arrays:
        """Everything that was fitted, by name.

        Arrays as the attributes have them, block by block, and the four numbers as ``scalars`` ``[4]``.
        """
        named: Arrays = {"dual": self.dual}
        for key, vectors in self.support.items():
            named[_name("support", key)] = vectors
            named[_name("shift", key)], named[_name("scale", key)] = self.shift[key], self.scale[key]
        return named | {"scalars": np.array([self.gamma, self.intercept, self.mos_mean, self.mos_scale])}

    def meta(self) -> dict[str, Any]:
        """What :func:`load_regressor` needs beside the arrays; JSON."""
        return {"kind": self.kind, "blocks": [list(key) for key in self.support]}


Regressor = LinearRegressor | RBFRegressor


def load_regressor(arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> Regressor:
    """The regressor that gave these ``arrays()`` and ``meta()``.

    Raises:
        ModelFileError: If an array is missing or the kind unknown.
    """
    try:
        keys = [(str(tap), str(pool)) for tap, pool in meta["blocks"]]
        if meta["kind"] == LinearRegressor.kind:
            return LinearRegressor({key: arrays[_name("weights", key)] for key in keys}, float(arrays["bias"][0]))
        if meta["kind"] == RBFRegressor.kind:
            support, shift, scale = (
                {key: arrays[_name(name, key)] for key in keys} for name in ("support", "shift", "scale")
            )
            gamma, intercept, mos_mean, mos_scale = (float(value) for value in arrays["scalars"])
            return RBFRegressor(support, shift, scale, arrays["dual"], gamma, intercept, mos_mean, mos_scale)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise ModelFileError(f"the regressor is not whole ({error})", advice="fit the model again") from error
    raise ModelFileError(f"the regressor is of the unknown kind {meta['kind']}", found="linear, rbf")


def fit_final(
    features: FeatureMatrix, mos: npt.ArrayLike, cell: Cell, *, scaler: str = "standard", scale_mos: bool = True
) -> Regressor:
    """Fit one cell on all videos, in float64.

    Args:
        features: The videos.
        mos: Their MOS, ``[videos]``.
        cell: What to fit.
        scaler: ``"standard"``, ``"minmax"`` or ``"none"``.
        scale_mos: Standardise the MOS.

    Raises:
        ConfigError: If the scaling is another.
        FeatureError: If a block is missing or the MOS are all the same.
    """
    if scaler not in FIT_SCALERS:
        found, advice = ", ".join(FIT_SCALERS), "the others cannot be folded into a model over raw features"
        raise ConfigError(f"a model cannot be fitted with scaling={scaler}", found=found, advice=advice)
    rows = np.arange(len(features))
    fold = Fold(rows, scaler)
    bank = KernelBank(features, precision="float64", cache_bytes=0)
    known, gamma = np.asarray(mos, dtype=np.float64), 0.0
    if solver_of(cell, bank) == "primal":
        landmarks = LandmarkKernels(bank, fold)
        gram = landmarks.gram(cell.blocks)
        fitted = fit_landmarks(gram, landmarks.rows, rows, known, cell, scale_mos=scale_mos)
    else:
        kernel, gamma = cell_kernel(bank.fold(cell.blocks, fold), cell)
        fitted = fit_svr(kernel, rows, known, cell, scale_mos=scale_mos)
    shifts, scales = _affine(bank, cell.blocks, fold)
    if cell.kernel == "linear":
        return _collapse(features, cell.blocks, fitted, shifts, scales)
    support = {key: np.ascontiguousarray(features.blocks[key][fitted.support]) for key in cell.blocks}
    return RBFRegressor(
        support, shifts, scales, fitted.dual, gamma, fitted.intercept, fitted.mos_mean, fitted.mos_scale
    )


def searched(features: FeatureMatrix, mos: npt.ArrayLike, cell: Cell, protocol: Protocol) -> Cell:
    """The cell with what the protocol's search chooses on all videos; the cell itself where nothing is searched for.

    Args:
        features: The videos.
        mos: Their MOS, ``[videos]``.
        cell: The cell.
        protocol: Whose search it is; its scores are those of fitting this way.
    """
    rows = np.arange(len(features))
    search = protocol.search(Split(rows, rows[:0]), 0, protocol.groups(features.ids))
    if search is None:
        return cell
    bank = KernelBank(features)
    solved = replace(cell, solver=solver_of(cell, bank))
    folds = [Fold(part.train, protocol.feature_scaler) for part in search.inner]
    bank.prepare(folds)
    inner: list[Kernels] = [
        LandmarkKernels(bank, fold) if solved.solver == "primal" else bank.fold(cell.blocks, fold) for fold in folds
    ]
    known = np.asarray(mos, dtype=np.float64)
    return replace(choose(search, inner, solved, known, protocol.scale_mos), solver=cell.solver)


def _affine(bank: KernelBank, blocks: Sequence[Block], fold: Fold) -> tuple[dict[Block, Float64], dict[Block, Float64]]:
    if fold.scaler == "none":
        widths = {key: bank.width(key) for key in blocks}
        return {k: np.zeros(n) for k, n in widths.items()}, {k: np.ones(n) for k, n in widths.items()}
    found = {key: bank.scale(key, fold)[0] for key in blocks}
    return {key: scale.shift for key, scale in found.items()}, {key: scale.scale for key, scale in found.items()}


def _collapse(
    features: FeatureMatrix,
    blocks: Sequence[Block],
    fitted: FittedSVR,
    shifts: Mapping[Block, Float64],
    scales: Mapping[Block, Float64],
) -> LinearRegressor:
    weights: dict[Block, Float64] = {}
    bias = fitted.intercept * fitted.mos_scale + fitted.mos_mean
    for key in blocks:
        weight = np.empty(len(shifts[key]))
        for start in range(0, len(weight), _COLUMNS_AT_ONCE):
            part = slice(start, start + _COLUMNS_AT_ONCE)
            centred = features.blocks[key][:, part][fitted.support] - shifts[key][part]
            weight[part] = fitted.dual @ centred / scales[key][part] ** 2
        weights[key] = weight * fitted.mos_scale
        bias -= float(weights[key] @ shifts[key])
    return LinearRegressor(weights, bias)


def _name(what: str, key: Block) -> str:
    return "/".join([what, *key])


def _check(blocks: Blocks, widths: Mapping[Block, int]) -> None:
    for key, width in widths.items():
        have = blocks[key].shape[1] if key in blocks else 0
        if have != width:
            raise ModelFileError(
                f"the regressor wants {width} columns of {'/'.join(key)}, there are {have}",
                advice="give features of the recipe it was fitted on",
            )
