"""The smallest set a network can be fine-tuned on, and the settings for it."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from PIL import Image

from fmcvqa import configs
from fmcvqa.data.records import ImageRecord
from fmcvqa.errors import DatasetError
from fmcvqa.tasks.targets import ALLOW


class Noisy:
    """Six contents at four levels of noise, 40 x 40 pixels; less noise, higher MOS."""

    name, stand_in, mos_range = "Noisy", True, (0.0, 9.0)

    def __init__(self, root: str, complete: bool = True) -> None:
        self.root, self.complete = Path(root), complete

    def records(self) -> list[ImageRecord]:
        if not self.complete:
            raise DatasetError("3 of 24 images are missing")
        self.root.mkdir(exist_ok=True)
        rng = np.random.default_rng(0)
        found = []
        for reference in range(6):
            for level in range(4):
                path = self.root / f"{reference}_{level}.png"
                noise = rng.normal(0, 1 + 30 * level, (40, 40, 3))
                Image.fromarray((128 + 10 * reference + noise).clip(0, 255).astype(np.uint8)).save(path)
                found.append(ImageRecord(path.stem, path, 8.0 - 2 * level, f"R{reference}"))
        return found


def config(tmp_path: Path, *overrides: str) -> DictConfig:
    common = [
        "~data",
        "+data._target_=noisy.Noisy",
        f"+data.root={tmp_path / 'images'}",
        "model=squeezenet1_1",
        "model.weights=none",
        "training=strong",
        "training.crop=36",
        "training.head_hidden=16",
        "training.batch_size=6",
        "training.num_workers=0",
        "training.lr=3e-4",
        "training.max_epochs=1",
        "trainer.accelerator=cpu",
        "tracker=none",
    ]
    allowed = mock.patch.dict(os.environ, {ALLOW: "noisy.Noisy"})
    with allowed, initialize_config_dir(version_base="1.3", config_dir=str(configs.conf_dir())):
        return compose("finetune", overrides=[*common, *overrides])
