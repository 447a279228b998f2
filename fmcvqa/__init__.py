"""fmcvqa: the quality people see in a video, from correlations of feature maps.

The floors, bottom up: ``data`` (labels, decoding, DataModules, synthetic sets), ``models`` (backbones and their
fine-tuning), ``features`` (Gram, pooling, store), ``regression`` (kernels, SVR, protocols, scores), ``predictor``
(a model file that scores a video), ``report`` (tables, figures), ``tasks`` (one module per command).
Each floor imports only from those below it. Importing this package loads none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmcvqa.data.frames import FrameBatch, VideoFrameDataModule
    from fmcvqa.data.images import TID2013DataModule
    from fmcvqa.data.preprocess import Preprocess
    from fmcvqa.features.extractor import GramExtractor
    from fmcvqa.features.gram import gram_matrix, gram_vector
    from fmcvqa.features.recipe import FeatureRecipe
    from fmcvqa.features.store import FeatureStore
    from fmcvqa.models.iqa import IQARegressor
    from fmcvqa.models.trunk import Trunk
    from fmcvqa.predictor import VideoQualityModel

__version__ = "0.1.0"

_LAZY = {
    "FrameBatch": "fmcvqa.data.frames",
    "VideoFrameDataModule": "fmcvqa.data.frames",
    "TID2013DataModule": "fmcvqa.data.images",
    "Preprocess": "fmcvqa.data.preprocess",
    "GramExtractor": "fmcvqa.features.extractor",
    "gram_matrix": "fmcvqa.features.gram",
    "gram_vector": "fmcvqa.features.gram",
    "FeatureRecipe": "fmcvqa.features.recipe",
    "FeatureStore": "fmcvqa.features.store",
    "Trunk": "fmcvqa.models.trunk",
    "IQARegressor": "fmcvqa.models.iqa",
    "VideoQualityModel": "fmcvqa.predictor",
}

__all__ = [
    "FeatureRecipe",
    "FeatureStore",
    "FrameBatch",
    "GramExtractor",
    "IQARegressor",
    "Preprocess",
    "TID2013DataModule",
    "Trunk",
    "VideoFrameDataModule",
    "VideoQualityModel",
    "__version__",
    "gram_matrix",
    "gram_vector",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
