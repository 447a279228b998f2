"""Antialiased resizing on the CPU that computes only what a centre crop keeps.

The weights are those of ``torch.nn.functional.interpolate`` itself, so the numbers are its own to rounding; of a 16:9
frame a square crop keeps 56 % of the columns. A few neighbouring output pixels need a short window of the source, and
windows that lie a whole number of pixels apart are one batch of small matrix products, without a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor

import torch
from torch import Tensor
from torch.nn import functional

# Output pixels a product makes, of which that with the shortest window is taken; columns fill whole vector registers.
_ROWS, _COLUMNS = tuple(range(4, 25)), (16,)
_AT_ONCE = 1 << 22  # numbers that are made at once to learn the weights


@dataclass(frozen=True)
class _Axis:
    """How the kept pixels of one axis come from the source.

    Attributes:
        start: First source pixel that matters.
        stop: The one behind the last.
        before: Zeros in front of them, so that no window begins before the source.
        padded: Length with these, and with the zeros behind that the last window needs.
        step: Pixels from one window to the next.
        weights: ``[windows, outputs of a window, pixels of a window]``; the last outputs may be too many.
    """

    start: int
    stop: int
    before: int
    padded: int
    step: int
    weights: Tensor

    def room(self, values: Tensor, *shape: int, dim: int) -> tuple[Tensor, Tensor]:
        """float32 of this shape, ``dim`` being the padded one, and the part of it that the source fills."""
        room, length = values.new_empty(shape, dtype=torch.float32), self.stop - self.start
        behind = self.before + length
        room.narrow(dim, 0, self.before).zero_()
        room.narrow(dim, behind, self.padded - behind).zero_()
        return room, room.narrow(dim, self.before, length)


def resize_and_crop(frame: Tensor, size: tuple[int, int], crop: tuple[int, int], out: Tensor) -> None:
    """Resize one frame with bilinear antialiasing and keep the centre.

    Args:
        frame: uint8 ``[3, h, w]`` on the CPU, of any strides; fastest with the channels last in memory.
        size: Height and width of the whole resized frame.
        crop: Height and width that are kept.
        out: float32 ``[3, *crop]``, contiguous, written to; values 0 to 255.
    """
    height, width = frame.shape[1:]
    rows, columns = _axis(height, size[0], crop[0], _ROWS), _axis(width, size[1], crop[1], _COLUMNS)
    kept = frame[:, rows.start : rows.stop, columns.start : columns.stop].permute(1, 2, 0)
    line = 3 * kept.shape[1]

    pixels, filled = rows.room(kept, rows.padded, line, dim=0)
    filled.view(kept.shape).copy_(kept)
    count, _, window = rows.weights.shape
    windows = pixels.as_strided((count, window, line), (rows.step * line, line, 1))
    lines = torch.bmm(rows.weights, windows).flatten(0, 1)[: crop[0]]

    planes, filled = columns.room(kept, 3, crop[0], columns.padded, dim=2)
    filled.copy_(lines.view(crop[0], -1, 3).permute(2, 0, 1))
    count, _, window = columns.weights.shape
    windows = planes.as_strided((count, 3 * crop[0], window), (columns.step, columns.padded, 1))
    made = torch.bmm(windows, columns.weights.mT)
    outputs = made.shape[2]
    whole = crop[1] // outputs
    target, behind = out.flatten(0, 1), whole * outputs  # a view
    target[:, :behind].view(len(target), whole, outputs).copy_(made[:whole].transpose(0, 1))
    if behind < crop[1]:
        target[:, behind:].copy_(made[whole, :, : crop[1] - behind])


def crop_offset(length: int, crop: int) -> int:
    """First pixel of a centre crop, as torchvision rounds it."""
    return round((length - crop) / 2.0)


@lru_cache(maxsize=64)
def _axis(source: int, length: int, crop: int, outputs: Sequence[int]) -> _Axis:
    weights = _weights(source, length, crop)
    start, stop = _span(weights)
    weights = weights[:, start:stop]
    return min((_with_windows(weights, start, count) for count in outputs), key=lambda axis: axis.weights.shape[2])


def _with_windows(weights: Tensor, start: int, outputs: int) -> _Axis:
    """``[crop, source]`` weights in windows of so many outputs."""
    crop, length = weights.shape
    spans = [_span(part) for part in torch.split(weights, outputs)]
    count = len(spans)
    step = round(spans[-1][0] / max(1, count - 1))
    before = max(k * step - first for k, (first, _) in enumerate(spans))
    window = max(before + last - k * step for k, (_, last) in enumerate(spans))
    padded = max(before + length, step * (count - 1) + window)
    room = torch.zeros(count * outputs, padded)
    room[:crop, before : before + length] = weights
    parts = [room[k * outputs : (k + 1) * outputs, k * step : k * step + window] for k in range(count)]
    return _Axis(start, start + length, before, padded, step, torch.stack(parts))


def _weights(source: int, length: int, crop: int) -> Tensor:
    """``[crop, source]``: what torch's own kernel makes of a 1 at each source pixel, where that is kept."""
    offset, scale = crop_offset(length, crop), source / length
    reach = ceil(max(scale, 1.0)) + 1  # in source pixels, of the kernel and of rounding
    low = max(0, floor(offset * scale) - reach)
    high = min(source, ceil((offset + crop) * scale) + reach)
    weights = torch.zeros(crop, source)
    step = min(256, max(1, _AT_ONCE // length))  # of frames that are very long one pixel makes many
    for first in range(low, high, step):
        count = min(step, high - first)
        ones = torch.zeros(source, count)
        ones[first : first + count] = torch.eye(count)
        made = functional.interpolate(ones[None, None], size=(length, count), mode="bilinear", antialias=True)
        weights[:, first : first + count] = made[0, 0, offset : offset + crop]
    return weights


def _span(weights: Tensor) -> tuple[int, int]:
    used = (weights != 0).any(0).nonzero()
    return int(used.min()), int(used.max()) + 1
