"""Fine-tuning that can be stopped at any step and goes on as if it had not been: same weights, bit for bit on a CPU.

Each step's random numbers follow from seed, epoch and batch alone, as the order and the augmentation of the images do,
so nothing but what Lightning keeps has to be kept.
"""

from __future__ import annotations

import io
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback

from fmcvqa.errors import EXIT_TERMINATED, ConfigError, WeightsError
from fmcvqa.files import write_atomic
from fmcvqa.models.iqa import RESUME_ADVICE, UNUSABLE_ADVICE
from fmcvqa.models.weights import read_torch

# What a checkpoint must have to go on from.
_PARTS = {"epoch": int, "global_step": int, "pytorch-lightning_version": str, "state_dict": dict, "callbacks": dict}
_PARTS |= {"optimizer_states.0": dict, "lr_schedulers": list, "loops.fit_loop": dict}
_PARTS |= {"hyper_parameters.backbone": str, "transform_input": bool}


class Resumable(Callback):
    """Seeds every step, and on SIGTERM ends after the step with a checkpoint to go on from and exit code 143.

    Lightning itself ends with code 0 then, and keeps nothing of the epoch. While validation runs the signal waits for
    its end; whoever is killed meanwhile goes on from the last checkpoint, to the same weights.

    Args:
        path: The checkpoint to write.
        seed: Of the steps' random numbers.
        every_steps: Write it also after so many steps, for epochs of hours; 0 for the epochs' ends alone.
    """

    def __init__(self, path: Path, seed: int, every_steps: int = 0) -> None:
        self.path, self.seed, self.every_steps = path, seed, every_steps
        self._asked = False

    def on_load_checkpoint(self, trainer: lightning.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Compare schedules.

        Raises:
            ConfigError: If the checkpoint's learning rate falls to 0 at another step than this fine-tuning's.
        """
        for schedule in checkpoint["lr_schedulers"]:
            last, steps = schedule.get("T_max"), max(int(trainer.estimated_stepping_batches), 1)
            if last not in (None, steps):
                problem = f"the checkpoint's learning rate falls to 0 at step {last}"
                advice = f"the same images, batches and training.max_epochs, {RESUME_ADVICE}"
                raise ConfigError(problem, found=f"{steps} steps in this fine-tuning", advice=advice)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Listen for the signal, in place of Lightning's handler; its teardown puts back what was there before."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._ask)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """End before an epoch if asked to: the one before it is in the checkpoint already."""
        if trainer.current_epoch and self._all_asked(trainer):
            self._end(trainer)

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Seed dropout and whatever else draws numbers in a step, on each rank another way."""
        step = [self.seed, trainer.current_epoch, trainer.fit_loop.epoch_loop.batch_idx, trainer.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(step).generate_state(1, np.uint64)[0] >> np.uint64(1)))

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the checkpoint where one is due, and end if asked to."""
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return  # the end of the epoch writes one; gradients that are still being added up are in none
        asked = self._all_asked(trainer)
        if asked or (self.every_steps and trainer.global_step % self.every_steps == 0):
            trainer.save_checkpoint(self.path)
        if asked:
            self._end(trainer)

    def end_if_asked(self) -> None:
        """End the command after a fine-tuning that was done before the signal could stop it.

        Raises:
            SystemExit: If the signal came.
        """
        if self._asked:
            raise SystemExit(EXIT_TERMINATED)

    def _ask(self, *_: Any) -> None:
        self._asked = True

    def _all_asked(self, trainer: lightning.Trainer) -> bool:
        """Whether any rank was asked: all must end after the same step."""
        if trainer.world_size == 1:
            return self._asked
        return bool(trainer.strategy.reduce_boolean_decision(self._asked, all=False))

    def _end(self, trainer: lightning.Trainer) -> None:
        if trainer.is_global_zero:
            how = f"the same command with ckpt_path={self.path} goes on"
            print(f"stopped by SIGTERM after step {trainer.global_step}; {how}", file=sys.stderr)
        raise SystemExit(EXIT_TERMINATED)


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all.

    Lightning's own are moved from the system's temporary folder: where that is another file system, a kill leaves half
    of one.

    Args:
        resume: The one to go on from, which is checked; Lightning reads files of its own too.
    """

    def __init__(self, resume: str | None = None) -> None:
        super().__init__()
        self.resume = resume

    def load_checkpoint(self, path: Any, *more: Any, **named: Any) -> dict[str, Any]:
        """Read a checkpoint, onto the CPU.

        Raises:
            WeightsError: If it is damaged, or not one that a fine-tuning can go on from.
        """
        if str(path) != self.resume:
            return super().load_checkpoint(path, *more, **named)
        try:
            content = read_torch(Path(path))
        except WeightsError as error:
            raise WeightsError(f"the checkpoint {path} cannot be read", advice=UNUSABLE_ADVICE) from error
        if missing := [name for name, kind in _PARTS.items() if not isinstance(_part(content, name), kind)]:
            problem = f"a fine-tuning cannot go on from {path}, in which there is no {missing[0]}"
            raise WeightsError(problem, advice=UNUSABLE_ADVICE)
        return content

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint; see ``TorchCheckpointIO``."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomic(Path(path), buffer.getvalue())


def _part(content: Any, name: str) -> Any:
    """What is at a dotted name, or None."""
    for key in name.split("."):
        if isinstance(content, list):
            content = {str(place): part for place, part in enumerate(content)}
        content = content.get(key) if isinstance(content, dict) else None
    return content
