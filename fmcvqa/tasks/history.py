"""What becomes of the scores of each epoch of a training: its history, and a tracker's."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from fmcvqa.errors import ConfigError, FmcvqaError
from fmcvqa.tracking import Tracker

log = logging.getLogger(__name__)


class History(Callback):
    """The validation scores of each epoch; a resumed run continues it.

    Attributes:
        epochs: ``{"epoch", "srocc", "plcc", "loss"}`` per validated epoch; without correlation scores are NaN.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note the epoch's scores, before the checkpoint is written."""
        if not trainer.sanity_checking:
            seen = {name: float(trainer.callback_metrics[f"val/{name}"]) for name in ("srocc", "plcc", "loss")}
            self.epochs.append({"epoch": trainer.current_epoch, **seen})
            if not trainer.is_global_zero:
                return
            if math.isnan(seen["srocc"]):
                log.warning("epoch %d: no SROCC, since all predictions or all MOS are alike", trainer.current_epoch)
            else:
                log.info(
                    "epoch %d: validation SROCC %.4f, PLCC %.4f", trainer.current_epoch, seen["srocc"], seen["plcc"]
                )

    def best(self) -> dict[str, float]:
        """The first epoch with the highest SROCC, which is the one the checkpoint keeps.

        Raises:
            ConfigError: If no epoch was validated.
            FmcvqaError: If none has scores.
        """
        if not self.epochs:
            raise ConfigError(
                "no epoch was validated, so there is no best one",
                advice="training.max_epochs of at least 1, and trainer.limit_val_batches above 0",
            )
        scored = [epoch for epoch in self.epochs if not math.isnan(epoch["srocc"])]
        if not scored:
            raise FmcvqaError(
                "the fine-tuning has collapsed: in every epoch all predictions, or all MOS they are for, are alike",
                advice="a smaller training.lr, another seed, or validation images whose MOS differ",
            )
        return max(scored, key=lambda epoch: epoch["srocc"])

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.epochs = list(state_dict["epochs"])


class TrackerLogger(Logger):
    """Hands Lightning's metrics to a tracker, which cannot stop the training."""

    def __init__(self, tracker: Tracker) -> None:
        super().__init__()
        self._tracker = tracker

    @property
    def name(self) -> str:
        """What it is."""
        return "tracker"

    @property
    def version(self) -> str:
        """There is one."""
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the tracker has the whole config."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a row, numbered by the optimiser's step."""
        self._tracker.log({**metrics, "step": float(step or 0)})
