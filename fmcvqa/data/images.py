"""Labelled images as a LightningDataModule, split so that no reference content is on both sides."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
import torch
from lightning import LightningDataModule
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, default_collate

from fmcvqa.data.imagenet import MEAN, STD
from fmcvqa.data.labels import TID2013
from fmcvqa.data.pixels import read_image
from fmcvqa.data.records import ImageRecord
from fmcvqa.errors import ConfigError, FmcvqaError

Split = Literal["reference", "image"]


class ImageDataset(Protocol):
    """A labelled set of images, real or synthetic."""

    def records(self) -> list[ImageRecord]:
        """One record per image, after the check."""
        ...


def split_images(
    records: Sequence[ImageRecord], split: Split = "reference", *, val_fraction: float = 0.25, seed: int = 0
) -> tuple[list[ImageRecord], list[ImageRecord]]:
    """Training and validation images, each in the order of ``records``.

    Args:
        records: The images.
        split: ``"reference"`` keeps all versions of a content on one side; ``"image"`` draws images, so that every
            content is on both sides and validation scores are too good (the authors' code).
        val_fraction: Part of the references, or of the images, that validates: rounded, at least one and not all.
        seed: Of the draw.

    Raises:
        ConfigError: If the split is unknown, the fraction is not between 0 and 1, or there is nothing to divide.
    """
    if split not in get_args(Split):
        raise ConfigError(f"there is no split by {split!r}", found=", ".join(get_args(Split)))
    keys = [record.reference if split == "reference" else record.id for record in records]
    groups = sorted(set(keys))
    if not 0 < val_fraction < 1 or len(groups) < 2:
        raise ConfigError(
            f"{len(groups)} {split}s cannot be split with val_fraction={val_fraction:g}",
            advice="at least two, and a fraction between 0 and 1",
        )
    count = min(max(round(val_fraction * len(groups)), 1), len(groups) - 1)
    held_out = {groups[i] for i in np.random.default_rng(seed).permutation(len(groups))[:count]}
    train = [record for record, key in zip(records, keys, strict=True) if key not in held_out]
    val = [record for record, key in zip(records, keys, strict=True) if key in held_out]
    return train, val


class TID2013DataModule(LightningDataModule):
    """Images and their MOS: (float [n, 3, crop, crop] normalised on the device, float [n]).

    Args:
        dataset: Anything with ``records()``, or the root folder of TID2013.
        batch_size: Images per step and device.
        resize: Height and width in pixels that an image is brought to first, its aspect ignored (the authors' code:
            338, 338); None keeps the pixels as they are.
        crop: Height and width of the crop; from the centre unless ``augment``.
        augment: Crop at random and flip half of the training images: neither changes quality.
        split: See ``split_images``.
        val_fraction: See ``split_images``.
        seed: Of the split, the order and the augmentation; each is the same whatever ``num_workers`` is.
        num_workers: Processes that decode images; 0 decodes in the process.

    Raises:
        ConfigError: If the split does not exist, the crop is larger than the resized image, or a number is too small.
    """

    def __init__(
        self,
        dataset: ImageDataset | str | Path,
        *,
        batch_size: int = 32,
        resize: tuple[int, int] | None = (338, 338),
        crop: int = 299,
        augment: bool = False,
        split: Split = "reference",
        val_fraction: float = 0.25,
        seed: int = 0,
        num_workers: int = 2,
    ) -> None:
        super().__init__()
        for name, value, least in (("batch_size", batch_size, 1), ("crop", crop, 1), ("num_workers", num_workers, 0)):
            if value < least:
                raise ConfigError(f"{name} is {value}", advice=f"give a number of at least {least}")
        if resize is not None and crop > min(resize):
            raise ConfigError(f"a crop of {crop} does not fit into images resized to {resize[0]}x{resize[1]}")
        self.dataset: ImageDataset = TID2013(dataset) if isinstance(dataset, str | Path) else dataset
        self.batch_size, self.num_workers = batch_size, num_workers
        self.resize, self.crop, self.augment = resize, crop, augment
        self.split, self.val_fraction, self.seed = split, val_fraction, seed
        self.train_records: list[ImageRecord] = []
        self.val_records: list[ImageRecord] = []
        self._seen, self._epoch = (-1, 0), 0

    def setup(self, stage: str | None = None) -> None:
        """Check the dataset and split it, once.

        Raises:
            DatasetError: If the dataset is not what it should be.
            ConfigError: If it cannot be split.
        """
        if not self.train_records:
            records = self.dataset.records()
            self.train_records, self.val_records = split_images(
                records, self.split, val_fraction=self.val_fraction, seed=self.seed
            )

    def state_dict(self) -> dict[str, int]:
        """How many batches of which epoch a checkpoint has seen, and which epoch comes next (the same within one)."""
        if self.trainer is None:
            return {"epoch": -1, "batches": 0, "next": 0}
        loop: Any = self.trainer.fit_loop
        batches = loop.epoch_loop.batch_progress.current.ready
        return {"epoch": loop.trainer.current_epoch, "batches": batches, "next": loop.epoch_progress.current.processed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after these batches of that epoch."""
        self._seen = (int(state_dict["epoch"]), int(state_dict["batches"]))
        self._epoch = int(state_dict["next"])

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Training images in an order that depends on seed and epoch alone, so that a resumed run continues it."""
        images = _Images(self.train_records, self.resize, self.crop, self.seed, augment=self.augment)
        sampler = _EpochSampler(images, shuffle=True, seed=self.seed, **self._rank())
        sampler.set_epoch(self._epoch)  # Lightning does so later, when workers have begun to read already
        sampler.seen = (self._seen[0], self._seen[1] * self.batch_size)
        return self._loader(images, sampler)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Validation images in the dataset's order."""
        images = _Images(self.val_records, self.resize, self.crop, self.seed)
        return self._loader(images, _EpochSampler(images, shuffle=False, **self._rank()))

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Normalise uint8 images where they are now: 4 times fewer bytes reached the device."""
        images, mos = batch
        mean, std = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in (MEAN, STD))
        return (images.float() / 255 - mean) / std, mos

    def _rank(self) -> dict[str, Any]:
        world, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        return {"num_replicas": world, "rank": rank}

    def _loader(self, images: _Images, sampler: _EpochSampler) -> DataLoader[tuple[Tensor, Tensor]]:
        return _Loader(
            images,
            collate_fn=_collate,
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            worker_init_fn=_outlive if self.num_workers > 0 else None,
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
        )


class _Loader(DataLoader[Any]):
    """Raises here what an image is refused with in a process that reads it; torch would make a traceback of it."""

    def __iter__(self) -> Any:
        return map(_raised, super().__iter__())


def _raised(batch: Any) -> Any:
    if isinstance(batch, FmcvqaError):
        raise batch
    return batch


def _collate(images: list[tuple[Tensor, Tensor] | FmcvqaError]) -> Any:
    refused = next((image for image in images if isinstance(image, FmcvqaError)), None)
    return refused or default_collate(images)


def _outlive(_: int) -> None:
    """Leave SIGTERM, which a scheduler sends to all processes, to the one that writes the checkpoint."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class _EpochSampler(DistributedSampler[Any]):
    """Indices that also carry the epoch, so that augmentation needs no state in the workers.

    Of the epoch a checkpoint was written in, those it has ``seen`` are left out.

    Without shuffling each rank gets every image of its share once: padding would count some images twice in a score.
    """

    seen = (-1, 0)  # epoch, images of this rank

    def __iter__(self) -> Iterator[int]:
        size = len(self.dataset)  # type: ignore[arg-type]
        if not self.shuffle:
            return iter(range(self.rank, size, self.num_replicas))
        seen = self.seen[1] if self.seen[0] == self.epoch else 0
        return islice((self.epoch * size + index for index in super().__iter__()), seen, None)

    def __len__(self) -> int:
        size = len(self.dataset)  # type: ignore[arg-type]
        return super().__len__() if self.shuffle else len(range(self.rank, size, self.num_replicas))


class _Images(Dataset[tuple[Tensor, Tensor] | FmcvqaError]):
    """uint8 [3, crop, crop] and MOS []; index ``epoch * len + i`` is image i as augmented in that epoch.

    An image that cannot be used gives its error.
    """

    def __init__(
        self,
        records: Sequence[ImageRecord],
        resize: tuple[int, int] | None,
        crop: int,
        seed: int,
        *,
        augment: bool = False,
    ) -> None:
        self.records, self.resize, self.crop = records, resize, crop
        self.seed, self.augment = seed, augment

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor] | FmcvqaError:
        try:
            return self._augmented(index)
        except FmcvqaError as error:
            return error

    def _augmented(self, index: int) -> tuple[Tensor, Tensor]:
        epoch, i = divmod(index, len(self.records))
        record = self.records[i]
        pixels = self._read(record.path)
        spare = np.array(pixels.shape[:2]) - self.crop
        if spare.min() < 0:
            raise ConfigError(
                f"a crop of {self.crop} does not fit into {record.path} of {pixels.shape[1]}x{pixels.shape[0]} pixels",
                advice="a smaller training.crop, or training.resize",
            )
        rng = np.random.default_rng([self.seed, epoch, i])
        top, left = rng.integers(spare + 1) if self.augment else np.round(spare / 2).astype(int)
        pixels = pixels[top : top + self.crop, left : left + self.crop]
        if self.augment and rng.random() < 0.5:
            pixels = pixels[:, ::-1]
        image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        return image, torch.tensor(record.mos, dtype=torch.float32)

    def _read(self, path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
        image = read_image(path, "image", advice="a fresh copy of it")
        if self.resize is not None:
            height, width = self.resize
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        return np.array(image)
