"""The slow, obvious way to the same numbers: the oracle of the fast one.

Frame by frame with batches of one, the whole torchvision network with hooks, a loop over channel pairs' matrix,
every frame's vector kept, scikit-learn on the raw concatenation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torchvision.transforms.v2 import functional as F


def read_frames(path: Path) -> list[npt.NDArray[np.uint8]]:
    """Every frame of an unrotated 8-bit clip as RGB [h, w, 3]."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def preprocess(frame: npt.NDArray[np.uint8], resize: int, crop: int) -> torch.Tensor:
    """One frame to [1, 3, crop, crop], by torchvision's own transforms."""
    image = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255
    image = F.center_crop(F.resize(image, [resize], antialias=True), [crop, crop])
    return F.normalize(image, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def tap_maps(network: nn.Module, image: torch.Tensor, taps: Sequence[str]) -> dict[str, torch.Tensor]:
    """The output of each tap of the whole network, by forward hooks."""
    maps: dict[str, torch.Tensor] = {}
    modules = dict(network.named_modules())
    hooks = [
        modules[tap].register_forward_hook(lambda _, __, out, tap=tap: maps.__setitem__(tap, out.detach()))
        for tap in taps
    ]
    with torch.no_grad():
        network.eval()(image)
    for hook in hooks:
        hook.remove()
    return maps


def vector(maps: torch.Tensor, normalisation: str = "none") -> npt.NDArray[np.float64]:
    """The Gram triangle of one frame's map [1, c, h, w] in float64, or the map itself where it is 1x1.

    The square root of F F^T comes from the singular values of F, without squaring them first.
    """
    _, c, h, w = maps.shape
    if h == w == 1:
        return maps.double().flatten().numpy()
    f = maps[0].reshape(c, h * w).double().numpy()
    gram = f @ f.T / (c * h * w)
    if normalisation == "matrix_sqrt":
        left, singular, _ = np.linalg.svd(f / np.sqrt(c * h * w), full_matrices=False)
        gram = left @ np.diag(singular) @ left.T
    triangle = np.concatenate([gram[row, row:] for row in range(c)])
    if "signed_sqrt" in normalisation:
        triangle = np.sign(triangle) * np.sqrt(np.abs(triangle))
    return triangle / np.linalg.norm(triangle) if "l2" in normalisation else triangle


def pooled(vectors: npt.NDArray[np.float64], pool: str) -> npt.NDArray[np.float64]:
    """The vectors [n, d] of all frames as one [d]."""
    if pool == "delta":
        return np.mean([abs(b - a) for a, b in pairwise(vectors)], axis=0) if len(vectors) > 1 else 0 * vectors[0]
    found: npt.NDArray[np.float64] = {"mean": np.mean, "max": np.max, "std": np.std}[pool](vectors, axis=0)
    return found


def video_features(
    path: Path,
    network: nn.Module,
    taps: Sequence[str],
    resize: int,
    crop: int,
    *,
    stride: int = 1,
    first: int | None = None,
    normalisation: str = "none",
    pools: Sequence[str] = ("mean", "max"),
) -> dict[tuple[str, str], npt.NDArray[np.float64]]:
    """{(tap, pool): [d]} of one clip or its ``first`` frames, every frame's vector kept until the end."""
    frames = [tap_maps(network, preprocess(frame, resize, crop), taps) for frame in read_frames(path)[:first:stride]]
    out = {}
    for tap in taps:
        stacked = np.stack([vector(maps[tap], normalisation) for maps in frames])
        out |= {(tap, pool): pooled(stacked, pool) for pool in pools}
    return out
