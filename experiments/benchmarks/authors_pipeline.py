"""What the authors' code does to a video, written plainly: the slow reference of the extraction benchmark.

Every frame is decoded, written to a JPEG file and read back, goes alone through the network that
``create_feature_extractor`` prunes to the deepest tap, and each tap's vector goes to a file of its own; pooling reads
them all back (METHOD, section 2). Their batch normalisation is left in evaluation mode here, as ours is, so that the
features can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.transforms.v2 import functional as F

Blocks = dict[tuple[str, str], npt.NDArray[np.float64]]


def pruned(network: nn.Module, taps: Sequence[str]) -> nn.Module:
    """The network as far as the deepest tap."""
    return create_feature_extractor(network.eval(), list(taps), suppress_diff_warning=True)


@torch.no_grad()
def video_features(
    clip: Path, network: nn.Module, scratch: Path, *, jpeg: bool = True, device: torch.device | None = None
) -> tuple[Blocks, int, int]:
    """The pooled features of a clip, with the number of its frames and the bytes kept on disk for it.

    Args:
        clip: The video.
        network: Of :func:`pruned`.
        scratch: An empty folder for the frames' files.
        jpeg: Whether frames go through a JPEG file; without it the pixels are those that our pipeline sees.
        device: Where the network is; by default the CPU. Frames go there one by one.

    Raises:
        ValueError: If the file has no video.
    """
    frames = 0
    with av.open(str(clip)) as container:
        best = container.streams.best("video")  # of several, as ours and OpenCV
        if best is None:
            raise ValueError(f"{clip} has no video")
        for frames, frame in enumerate(container.decode(best), 1):
            pixels = frame.to_ndarray(format="rgb24")
            if jpeg:
                file = scratch / f"{frames}.jpg"
                Image.fromarray(pixels).save(file, quality=95)
                pixels = np.array(Image.open(file))
            image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
            image = F.center_crop(F.resize(image, [299], antialias=True), [299, 299])
            maps = network(F.normalize(image, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]).to(device))
            for tap, value in maps.items():
                np.save(scratch / f"{frames}_{tap}.npy", _vector(value[0]).cpu().numpy())
    kept = sum(file.stat().st_size for file in scratch.iterdir())
    blocks: Blocks = {}
    for tap in maps:
        vectors = np.stack([np.load(scratch / f"{number}_{tap}.npy") for number in range(1, frames + 1)])
        blocks[tap, "mean"], blocks[tap, "max"] = vectors.mean(0, dtype=np.float64), vectors.max(0).astype(np.float64)
    return blocks, frames, kept


def _vector(maps: torch.Tensor) -> torch.Tensor:
    c, h, w = maps.shape
    if h == w == 1:
        return maps.flatten()
    flat = maps.reshape(c, h * w)
    gram = flat @ flat.T / (c * h * w)
    rows, columns = torch.triu_indices(c, c)
    return gram[rows, columns]
