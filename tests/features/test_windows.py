"""Each second of a clip pooled as if it were a clip of its own, while the whole streams."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch

from fmcvqa.data.decoding.clock import FrameIndex
from fmcvqa.data.frames import FrameBatch
from fmcvqa.features.pooling import POOLS
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.features.windows import WindowFeatures, WindowPools

VECTORS = torch.randn(11, 6, generator=torch.Generator().manual_seed(0))
SECONDS = [k / 5 for k in range(11)]  # windows of 5, 5 and 1 frames


@pytest.mark.parametrize("chunk", [1, 4, 11])
def test_spread_and_change_of_a_window_are_those_of_its_own_frames(chunk: int) -> None:
    found: list[WindowFeatures] = []
    windows = WindowPools(found.append, FeatureRecipe(pools=POOLS))
    for start in range(0, 11, chunk):
        indices = [FrameIndex(k, SECONDS[k]) for k in range(start, min(start + chunk, 11))]
        batch = FrameBatch(torch.zeros(len(indices), 3, 2, 2), indices, "a", indices[-1] == 10, "pyav")
        windows(batch, {"tap": VECTORS[start : start + chunk]})
    assert windows.finish("a")
    assert [(window.start, window.frames) for window in found] == [(0.0, 5), (1.0, 5), (2.0, 1)]
    for window, part in zip(found, VECTORS.double().numpy()[:10].reshape(2, 5, 6), strict=False):
        for pool in POOLS:
            np.testing.assert_allclose(window.blocks["tap", pool], reference.pooled(part, pool), rtol=1e-6, atol=1e-7)
    assert not found[2].blocks["tap", "std"].any()
    assert not found[2].blocks["tap", "delta"].any()
