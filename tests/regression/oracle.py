"""The slow, obvious way: scikit-learn's own scaler and SVR on the raw concatenation, in float64."""

from __future__ import annotations

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, Normalizer, StandardScaler
from sklearn.svm import SVR

from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.regression.svr import Cell


def signed_sqrt(x):
    return np.sign(x) * np.sqrt(np.abs(x))


SCALERS = {
    "standard": lambda: [StandardScaler()],
    "minmax": lambda: [MinMaxScaler()],
    "none": lambda: [],
    "l2": lambda: [Normalizer()],
    "signed_sqrt": lambda: [FunctionTransformer(signed_sqrt)],
    "signed_sqrt_l2": lambda: [FunctionTransformer(signed_sqrt), Normalizer()],
}


def concatenated(features: FeatureMatrix, cell: Cell) -> np.ndarray:
    return np.concatenate([features.blocks[block] for block in cell.blocks], axis=1).astype(np.float64)


def plain_predictions(features, mos, cell, train, scaler="standard", scale_mos=True, tol=1e-3):
    """MOS of all rows by a pipeline fitted on ``train``."""
    X = concatenated(features, cell)
    mean, scale = (mos[train].mean(), mos[train].std()) if scale_mos else (0.0, 1.0)
    model = make_pipeline(
        *SCALERS[scaler](), SVR(kernel=cell.kernel, C=cell.C, epsilon=cell.epsilon, gamma=cell.gamma, tol=tol)
    )
    model.fit(X[train], (mos[train] - mean) / scale)
    return model.predict(X) * scale + mean


def made(count=60, widths=(30, 12), seed=0, pools=("mean", "max"), spread=2.0):
    """Features of ``len(widths)`` layers A, B, ... that carry some of the MOS, with awkward columns.

    ``spread`` is the deviation of the logarithm of the columns' scales. Sets of different seeds are different
    videos of the same kind: their columns mean the same.
    """
    rng, columns = np.random.default_rng(seed), np.random.default_rng(99)
    hidden = rng.normal(size=(count, 4))
    blocks = {}
    for name, width in zip("ABCDEF", widths, strict=False):
        for pool in pools:
            block = hidden @ columns.normal(size=(4, width)) + rng.normal(size=(count, width))
            block = block * columns.lognormal(sigma=spread, size=width) + 5 * columns.normal(size=width)
            block[:, 0] = 0.1  # constant
            block[:, 1] = 0.0
            block[count // 2, 1] = 3.0  # constant in most folds
            blocks[name, pool] = block.astype(np.float32)
    mos = 50 + 10 * hidden @ columns.normal(size=4) + 5 * rng.normal(size=count)
    return FeatureMatrix([f"v{i:03d}" for i in range(count)], blocks), mos
