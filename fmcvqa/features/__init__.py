"""From frames to features: Gram matrices, pooling over time, the store.

``extract`` gives a video's features in one call; ``gram_matrix`` and its kin are pure functions on tensors. Names load
on first use: neither torch nor anything else heavy comes with this package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmcvqa.features.gram import gram_matrix, gram_vector, matrix_sqrt, tap_vector, upper_triangle
    from fmcvqa.features.oneshot import extract
    from fmcvqa.features.pooling import RunningPool
    from fmcvqa.features.recipe import FeatureRecipe
    from fmcvqa.features.store import FeatureStore

_LAZY = {
    "FeatureRecipe": "fmcvqa.features.recipe",
    "FeatureStore": "fmcvqa.features.store",
    "RunningPool": "fmcvqa.features.pooling",
    "extract": "fmcvqa.features.oneshot",
    "gram_matrix": "fmcvqa.features.gram",
    "gram_vector": "fmcvqa.features.gram",
    "matrix_sqrt": "fmcvqa.features.gram",
    "tap_vector": "fmcvqa.features.gram",
    "upper_triangle": "fmcvqa.features.gram",
}

__all__ = [
    "FeatureRecipe",
    "FeatureStore",
    "RunningPool",
    "extract",
    "gram_matrix",
    "gram_vector",
    "matrix_sqrt",
    "tap_vector",
    "upper_triangle",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
