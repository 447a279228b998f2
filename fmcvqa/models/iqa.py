"""The image-quality regressor that a backbone is fine-tuned as (paper, section III.A)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from lightning import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torchmetrics import MaxMetric, MetricCollection, MinMetric, PearsonCorrCoef, SpearmanCorrCoef

from fmcvqa.errors import ConfigError, FmcvqaError, WeightsError
from fmcvqa.models.backbones import backbone_spec, load_backbone
from fmcvqa.models.losses import correlation_loss, rank_loss

Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["constant", "cosine"]
RESUME_ADVICE = "or model.weights=FILE to begin a new fine-tuning with the checkpoint's network"
UNUSABLE_ADVICE = "another checkpoint, or leave out ckpt_path to start anew"
_OF_THE_START = ("weights", "seed")  # settings of no consequence once a checkpoint is there


class IQARegressor(LightningModule):
    """A backbone with a head of width -> ``head_hidden`` -> ReLU -> 1 that predicts the MOS of an image.

    The defaults are the authors' code where the paper is silent. Every layer trains; the loss is
    the mean squared error. A checkpoint rebuilds the module without the weights it was started from
    (``IQARegressor.load_from_checkpoint(path, weights_only=True)``), ``transform_input`` included.

    Args:
        backbone: inception_v3, efficientnet_b4, resnet50 or squeezenet1_1.
        weights: ``"imagenet"``, ``"none"`` or a file, as in ``load_backbone``.
        seed: Of the head, and of the backbone if its weights are ``"none"``.
        head_hidden: Units of the hidden layer.
        optimizer: ``"sgd"`` or ``"adamw"``.
        lr: Learning rate, the largest one of a schedule.
        momentum: Of SGD.
        weight_decay: Of either optimizer.
        schedule: ``"constant"``, or ``"cosine"``: a half cosine to zero over all steps.
        mos_range: Lowest and highest MOS; the network then learns MOS scaled to [-1, 1], and predictions are scaled
            back. None learns raw MOS.
        backbone_lr: The backbone's learning rate as a part of ``lr``, which the head learns with.
        correlation_weight: Of (1 - PLCC) / 2 over a batch, added to the mean squared error.
        rank_weight: Of the pairwise rank loss over a batch, added too.

    Raises:
        ConfigError: If the backbone, optimizer or schedule is unknown, or a number is out of its range.
        WeightsError: If the weights cannot be had or do not fit.
    """

    def __init__(
        self,
        backbone: str = "inception_v3",
        weights: str | Path = "imagenet",
        seed: int = 0,
        *,
        head_hidden: int = 1024,
        optimizer: Optimizer = "sgd",
        lr: float = 1e-3,
        momentum: float = 0.7,
        weight_decay: float = 0.0,
        schedule: Schedule = "constant",
        mos_range: tuple[float, float] | None = None,
        backbone_lr: float = 1.0,
        correlation_weight: float = 0.0,
        rank_weight: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value, known in (("optimizer", optimizer, Optimizer), ("schedule", schedule, Schedule)):
            if value not in get_args(known):
                raise ConfigError(f"there is no {name} {value!r}", found=", ".join(get_args(known)))
        factors = {"backbone_lr": backbone_lr, "correlation_weight": correlation_weight, "rank_weight": rank_weight}
        for name, factor in {**factors, "weight_decay": weight_decay}.items():
            if not factor >= 0:
                raise ConfigError(f"{name} is {factor:g}", advice="0 or more")
        if not lr > 0:
            raise ConfigError(f"lr is {lr:g}", advice="a number above 0, such as 1e-3")
        if not 0 <= momentum < 1:
            raise ConfigError(f"momentum is {momentum:g}", advice="a number from 0 up to 1, which it may not reach")
        if head_hidden < 1:
            raise ConfigError(f"head_hidden is {head_hidden}", advice="give a number of at least 1")
        if mos_range is not None and not mos_range[0] < mos_range[1]:
            raise ConfigError(
                f"mos_range is {list(mos_range)}", advice="the lowest and the highest MOS, such as [0, 9]"
            )
        weights = str(weights)  # a checkpoint holds plain values only: it is read with weights_only=True
        mos_range = None if mos_range is None else (float(mos_range[0]), float(mos_range[1]))
        self.save_hyperparameters()
        self.optimizer, self.lr, self.momentum = optimizer, lr, momentum
        self.weight_decay, self.schedule = weight_decay, schedule
        self.backbone_lr, self.correlation_weight, self.rank_weight = backbone_lr, correlation_weight, rank_weight
        low, high = mos_range or (-1.0, 1.0)
        self.mos_centre, self.mos_scale = (low + high) / 2, (high - low) / 2
        self.net = load_backbone(backbone, weights, seed=seed)
        self.head = _head(backbone_spec(backbone).width, head_hidden, seed)
        self.val_scores = _scores()
        self.predicted_ends, self.mos_ends = (MetricCollection([MinMetric(), MaxMetric()]) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Predicted MOS [n] of images: float [n, 3, h, w] with ImageNet mean and standard deviation."""
        scores: Tensor = self.head(self.net(x)).squeeze(1) * self.mos_scale + self.mos_centre
        return scores

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss of (images [n, 3, h, w], MOS [n])."""
        images, mos = batch
        loss = self._loss(self(images), mos)
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=len(mos), sync_dist=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Keep the predictions of one batch for the scores of the epoch.

        Raises:
            FmcvqaError: If predictions are no numbers any more: ranks of NaN would still give some SROCC.
        """
        images, mos = batch
        predicted = self(images).float()
        if not torch.isfinite(predicted).all():
            raise FmcvqaError(
                f"the fine-tuning has diverged: predictions of epoch {self.current_epoch} are not finite",
                advice="a smaller training.lr, or trainer.precision=32-true",
            )
        self.val_scores.update(predicted, mos)
        self.predicted_ends.update(predicted)
        self.mos_ends.update(mos)
        self.log("val/loss", self._loss(predicted, mos), batch_size=len(mos), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Log SROCC and PLCC over all validation images; not of a sanity check, whose few images say nothing.

        Where all predictions, or all MOS, are the same number there is no correlation, and both are NaN: one metric may
        be 0, and what rounding leaves of the other anything.
        """
        if not self.trainer.sanity_checking:
            scores = self.val_scores.compute()
            ends = [metric.compute().values() for metric in (self.predicted_ends, self.mos_ends)]
            if any(low == high for low, high in ends) or not all(score.isfinite() for score in scores.values()):
                scores = {name: torch.full_like(score, torch.nan) for name, score in scores.items()}
            self.log_dict(scores, prog_bar=True, sync_dist=True)
        for metric in (self.val_scores, self.predicted_ends, self.mos_ends):
            metric.reset()

    def configure_optimizers(self) -> Any:
        """The optimizer over all layers, and its schedule."""
        optimizer: torch.optim.Optimizer
        groups: list[dict[str, Any]] = [
            {"params": list(self.net.parameters()), "lr": self.backbone_lr * self.lr},
            {"params": list(self.head.parameters())},
        ]
        if self.optimizer == "sgd":
            optimizer = torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)
        else:
            optimizer = torch.optim.AdamW(groups, lr=self.lr, weight_decay=self.weight_decay)
        if self.schedule == "constant":
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(steps, 1))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what no tensor carries, and ask for no start weights when the checkpoint is rebuilt."""
        checkpoint["transform_input"] = bool(getattr(self.net, "transform_input", False))
        checkpoint["start_weights"] = checkpoint["hyper_parameters"]["weights"]
        checkpoint["hyper_parameters"] = {**checkpoint["hyper_parameters"], "weights": "none"}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore ``transform_input``, which a state dict silently loses.

        Raises:
            ConfigError: If a fine-tuning is to go on with other settings than the checkpoint's, whose optimizer and
                schedule, as they are restored, would be used instead.
            WeightsError: If the checkpoint has not the weights of this network.
        """
        if self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING:
            self._check_same(checkpoint["hyper_parameters"])
            shapes, theirs = (
                {name: value.shape for name, value in state.items()}
                for state in (self.state_dict(), checkpoint["state_dict"])
            )
            if odd := [name for name in shapes | theirs if shapes.get(name) != theirs.get(name)]:
                problem = f"the checkpoint has not this network's weights in {odd[0]}"
                raise WeightsError(problem, advice=UNUSABLE_ADVICE)
        if checkpoint["hyper_parameters"]["backbone"] == "inception_v3":
            self.net.transform_input = checkpoint["transform_input"]

    def _check_same(self, theirs: Mapping[str, Any]) -> None:
        unused = (*_OF_THE_START, "momentum") if self.optimizer == "adamw" else _OF_THE_START
        for name, value in theirs.items():
            ours = self.hparams.get(name, value)
            if name not in unused and ours != value:
                problem = f"the checkpoint is of a fine-tuning with {name}={value}, not {ours}"
                advice = "the checkpoint's" if name == "backbone" else f"the same settings, {RESUME_ADVICE}"
                raise ConfigError(problem, advice=advice)

    def _loss(self, predicted: Tensor, mos: Tensor) -> Tensor:
        predicted, mos = predicted / self.mos_scale, mos / self.mos_scale
        loss = F.mse_loss(predicted, mos)
        if self.correlation_weight:
            loss = loss + self.correlation_weight * correlation_loss(predicted, mos)
        if self.rank_weight:
            loss = loss + self.rank_weight * rank_loss(predicted, mos)
        return loss


def _head(width: int, hidden: int, seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))


def _scores() -> MetricCollection:
    with warnings.catch_warnings():  # SROCC keeps every prediction; a few hundred numbers are no matter
        warnings.filterwarnings("ignore", message="Metric `SpearmanCorrcoef`")
        return MetricCollection({"srocc": SpearmanCorrCoef(), "plcc": PearsonCorrCoef()}, prefix="val/")
