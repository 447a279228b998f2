"""Where and how a sweep computes and keeps its kernels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fmcvqa.errors import ConfigError
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.regression.kernels import KernelBank, Precision

_UNLIMITED_GIB = 2.0**30


@dataclass(frozen=True, kw_only=True)
class KernelSettings:
    """Where and how a sweep computes and keeps its kernels; no setting changes what they are.

    Attributes:
        precision: ``"float32"`` or ``"float64"``; see :class:`KernelBank`.
        device: ``"cpu"``, or a GPU such as ``"cuda"``.
        memory_gib: Kernels to hold in memory; infinity, here and below, is no limit.
        folder: Where jobs in other processes find them, or None.
        disk_gib: Kernels to keep in ``folder``; beyond that the oldest of other features or folds are removed.
        max_gib: Largest N x N working matrices; with more videos linear kernels are fitted in the primal.

    Raises:
        ConfigError: If a size is below 0 or not a number.
    """

    precision: Precision = "float32"
    device: str = "cpu"
    memory_gib: float = 3.0
    folder: str | Path | None = None
    disk_gib: float = 8.0
    max_gib: float = 12.0

    def __post_init__(self) -> None:
        for name in ("memory_gib", "disk_gib", "max_gib"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"kernels.{name} is {getattr(self, name)}", advice="0 or more")

    def bank(self, features: FeatureMatrix, target: FeatureMatrix | None = None) -> KernelBank:
        """The kernels of these features."""
        return KernelBank(
            features,
            target=target,
            precision=self.precision,
            device=self.device,
            cache_bytes=_in_bytes(self.memory_gib),
            folder=self.folder,
            disk_bytes=_in_bytes(self.disk_gib),
            max_bytes=_in_bytes(self.max_gib),
        )


def _in_bytes(gib: float) -> int:
    return int(min(gib, _UNLIMITED_GIB) * 2**30)
