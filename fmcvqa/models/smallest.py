"""How small a frame a network takes."""

from __future__ import annotations

import itertools

import torch
from torch import nn

_LARGEST = 4096  # no network needs more; one that refuses it does so for another reason


def smallest_side(network: nn.Module) -> int:
    """Side in pixels of the smallest square frame whose maps have a pixel at every layer; tried by shapes alone.

    Each layer's height depends on the height in front of it alone, and so does its width: a frame of which both are at
    least this passes.

    Args:
        network: Takes ``[n, 3, h, w]``; on any device, in eval mode.
    """
    state = {name: t.to("meta") for name, t in itertools.chain(network.named_parameters(), network.named_buffers())}

    def takes(side: int) -> bool:
        try:
            torch.func.functional_call(network, state, torch.empty(1, 3, side, side, device="meta"))
        except (RuntimeError, ValueError):  # of torch's shapes, and of a frame's own variance over a single pixel
            if side >= _LARGEST:
                raise
            return False
        return True

    most = 1
    while not takes(most):
        most *= 2
    least = most // 2  # refused, or 0
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if takes(middle) else (middle, most)
    return most
