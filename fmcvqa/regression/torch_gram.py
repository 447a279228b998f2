"""Kernels on a GPU: the only place of the regression that knows torch, and only when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fmcvqa.errors import ConfigError
from fmcvqa.regression.scaling import ColumnScale

if TYPE_CHECKING:
    import torch

FloatArray = npt.NDArray[np.floating[Any]]

_COLUMNS_AT_ONCE = 8192


class TorchGram:
    """Multiplies blocks on one device; each block is copied there once.

    Args:
        device: Such as ``"cuda"`` or ``"cuda:1"``.

    Raises:
        ConfigError: If there is no such device.
    """

    def __init__(self, device: str) -> None:
        import torch

        try:
            self.device = torch.device(device)
            torch.zeros(1, device=self.device)
        except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
            found = f"{torch.cuda.device_count()} CUDA devices"
            raise ConfigError(f"kernels.device={device} cannot be used", found=found, advice="cpu") from error
        self._blocks: dict[Any, torch.Tensor] = {}

    def packed(self, name: Any, raw: FloatArray, scale: ColumnScale, kind: np.dtype[np.floating]) -> FloatArray:
        """The packed lower triangle of a scaled block's kernel.

        Args:
            name: Of the block.
            raw: Unscaled ``[N, columns]``.
            scale: Of its columns.
            kind: Multiply, and give the result, in this type; chunks of columns are added in float64.
        """
        import torch

        from fmcvqa.precision import own_precision

        if name not in self._blocks:
            self._blocks[name] = torch.from_numpy(np.ascontiguousarray(raw)).to(self.device)
        block, precision = self._blocks[name], torch.float32 if kind == np.float32 else torch.float64
        shift = torch.from_numpy(scale.shift).to(self.device)
        factor = torch.from_numpy(1.0 / scale.scale).to(self.device)
        total = torch.zeros((len(raw), len(raw)), dtype=torch.float64, device=self.device)
        with own_precision(self.device):
            for start in range(0, raw.shape[1], _COLUMNS_AT_ONCE):
                part = slice(start, start + _COLUMNS_AT_ONCE)
                scaled = ((block[:, part].double() - shift[part]) * factor[part]).to(precision)
                total += scaled @ scaled.T
        row, column = torch.tril_indices(len(raw), len(raw), device=self.device)
        found: FloatArray = total[row, column].to(precision).cpu().numpy()
        return found
