"""The network inside a model file, as the start of another model: no download, no ImageNet weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fmcvqa.errors import WeightsError
from fmcvqa.modelfile import SUFFIX, TRUNK, read_model_file, under


@dataclass(frozen=True)
class SavedTrunk:
    """The network of a model file, and what the file says about it.

    Attributes:
        path: The file.
        state: Tensors of its trunk.
        transform_input: See ``Trunk``.
        taps: The taps it was cut for; nothing deeper is in the file.
        record: The file's record.
    """

    path: Path
    state: dict[str, Tensor]
    transform_input: bool
    taps: tuple[str, ...]
    record: dict[str, Any]

    @classmethod
    def read(cls, path: Path, backbone: str) -> SavedTrunk:
        """Read it, every byte verified.

        Raises:
            ModelFileError: If the file is no whole model.
            WeightsError: If its network is another.
        """
        arrays, record = read_model_file(path)
        if record.get("backbone") != backbone:
            raise WeightsError(
                f"the network in {path} is not {backbone}",
                found=str(record.get("backbone")),
                advice=f"model={record.get('backbone')} model.weights={path}",
            )
        state = {name: torch.from_numpy(array) for name, array in under(TRUNK, arrays).items()}
        return cls(path, state, bool(record["transform_input"]), tuple(record["recipe"]["taps"]), record)

    def part(self, wanted: Sequence[str], taps: Sequence[str]) -> dict[str, Tensor]:
        """The tensors of these names.

        Args:
            wanted: Names of a trunk's tensors.
            taps: Its taps, for the message.

        Raises:
            WeightsError: If the file's network ends before.
        """
        missing = [name for name in wanted if name not in self.state]
        if missing:
            own = ", ".join(self.taps)
            raise WeightsError(
                f"the network in {self.path} ends before the taps {', '.join(taps)}",
                found=f"it was kept as deep as {own} need it",
                advice=f"recipe.taps=[{own.replace(' ', '')}] features.layers=[{self.taps[0]}], or a deeper model",
            )
        return {name: self.state[name] for name in wanted}


def is_model_file(weights: str | Path) -> bool:
    """Whether weights are those of a model file, by its ending."""
    return str(weights).endswith(SUFFIX)
