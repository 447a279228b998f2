"""From streamed frames to pooled features: the network up to the deepest tap, Gram, pooling over time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import lightning
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fmcvqa.data.frames import FrameBatch
from fmcvqa.errors import Damage, VideoError
from fmcvqa.features.gather import Gather
from fmcvqa.features.gram import tap_vector
from fmcvqa.features.pooling import TapPools
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.models.inference import InferenceTrunk
from fmcvqa.models.trunk import Trunk
from fmcvqa.threads import alone

OnFrames = Callable[[FrameBatch, Mapping[str, Tensor]], None]


@dataclass(frozen=True)
class PooledFeatures:
    """One video's features.

    Attributes:
        video_id: The video.
        frames: Number of frames pooled.
        reader: Library that read them.
        blocks: ``{(tap, pool): [d]}`` in float32.
        damage: What is wrong with the file behind these frames, where the recipe marks it.
    """

    video_id: str
    frames: int
    reader: str
    blocks: dict[tuple[str, str], npt.NDArray[np.float32]]
    damage: Damage | None = None

    def check_finite(self) -> None:
        """Refuse features that are not finite numbers.

        Raises:
            VideoError: E_NONFINITE, naming the blocks.
        """
        bad = [f"{tap}/{pool}" for (tap, pool), values in self.blocks.items() if not np.isfinite(values).all()]
        if bad:
            raise VideoError("E_NONFINITE", f"the features of {self.video_id} are not finite in {', '.join(bad)}")


class GramExtractor(lightning.LightningModule):
    """Pools the Gram vectors of the frames of each video; ``Trainer.predict`` calls it with :class:`FrameBatch`.

    Videos may arrive interleaved, the chunks of one video in order.

    Args:
        network: The network up to the deepest tap; Gram and pooling are float32 or wider whatever its precision.
        on_frames: Called with each batch of frames and their vectors ``[n, d]`` by tap, before they are pooled.
        recipe: Its normalisation, pools and sketch are used here.
        batch_frames: Frames that go through the network together, of however many chunks; see :class:`Gather`.
    """

    def __init__(
        self,
        network: Trunk | InferenceTrunk,
        on_frames: OnFrames | None = None,
        *,
        recipe: FeatureRecipe | None = None,
        batch_frames: int = 16,
    ) -> None:
        super().__init__()
        self.network = network if isinstance(network, InferenceTrunk) else InferenceTrunk(network)
        self._on_frames = on_frames
        self.recipe = recipe or FeatureRecipe(taps=self.network.taps)
        self._pools: dict[str, TapPools] = {}
        self._void: set[str] = set()
        self._gather = Gather(batch_frames)
        self._begun: deque[tuple[FrameBatch, Callable[[], list[dict[str, Tensor]]]]] = deque()

    def predict_step(self, batch: FrameBatch, batch_idx: int = 0) -> PooledFeatures | None:
        """Add a chunk of preprocessed frames ``[n, 3, h, w]``; gives the video's features after its last chunk."""
        if batch.video_id in self._void:
            return None
        pools = self._pools.setdefault(batch.video_id, self.recipe.tap_pools())
        for whole in self._gather.add(batch):
            self._begun.append((whole, self.network.later(whole.frames, self._vectors)))
            while len(self._begun) > 1:  # one batch is computed while the next is made ready
                self._pool(*self._begun.popleft())
        if not batch.last:
            return None
        while self._begun:
            self._pool(*self._begun.popleft())
        del self._pools[batch.video_id]
        return PooledFeatures(batch.video_id, pools.count, batch.reader, pools.blocks(), batch.damage)

    def _pool(self, batch: FrameBatch, vectors: Callable[[], list[dict[str, Tensor]]]) -> None:
        parts = vectors()
        if batch.video_id in self._void:
            return
        pools = self._pools[batch.video_id]

        def update() -> None:
            for part in parts:
                pools.update(part)

        alone(update) if batch.frames.device.type == "cpu" else update()
        if self._on_frames is not None:
            self._on_frames(batch, {tap: torch.cat([part[tap] for part in parts]) for tap in parts[0]})

    def _vectors(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        pooled, normalisation = self.network.vector_taps, self.recipe.normalisation
        return {tap: tap_vector(m, pooled=tap in pooled, normalisation=normalisation) for tap, m in maps.items()}

    def discard(self, video_id: str) -> None:
        """Forget a video that could not be read to its end, and what may still come of it."""
        self._void.add(video_id)
        self._gather.discard(video_id)
        self._pools.pop(video_id, None)
