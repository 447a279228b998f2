"""What a fine-tuning minimises beside the squared error: correlation and order within a batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_SMALL = 1e-8


def correlation_loss(predicted: Tensor, mos: Tensor) -> Tensor:
    """(1 - PLCC) / 2 of a batch, in [0, 1]; 1/2 where either does not vary.

    Args:
        predicted: Predicted MOS [n].
        mos: MOS [n].
    """
    x, y = predicted - predicted.mean(), mos - mos.mean()
    plcc = (x * y).sum() / torch.sqrt((x**2).sum() * (y**2).sum() + _SMALL)
    return (1 - plcc) / 2


def rank_loss(predicted: Tensor, mos: Tensor) -> Tensor:
    """Mean over all pairs of how far their predictions stand in the wrong order, or nearer than their MOS, when right.

    ``max(0, |mos_i - mos_j| - (predicted_i - predicted_j) * sign(mos_i - mos_j))``: 0 where every difference is at
    least as large as it should be. A batch of one image has no pairs and no loss.

    Args:
        predicted: Predicted MOS [n].
        mos: MOS [n].
    """
    if len(mos) < 2:
        return predicted.sum() * 0
    apart = mos[:, None] - mos[None, :]
    said = (predicted[:, None] - predicted[None, :]) * apart.sign()
    pairs = len(mos) * (len(mos) - 1)
    return F.relu(apart.abs() - said).sum() / pairs
