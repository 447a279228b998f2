"""What a regression works on: datasets with their features, the cell, and the kernels its jobs share."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

from fmcvqa.data.records import VideoDataset
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.regression.evaluate import Evaluation, evaluate
from fmcvqa.regression.kernel_settings import KernelSettings
from fmcvqa.regression.kernels import KernelBank
from fmcvqa.regression.protocol_base import Protocol
from fmcvqa.regression.results import dataset_card
from fmcvqa.regression.svr import Cell, SVRSettings
from fmcvqa.tasks import multirun
from fmcvqa.tasks.extract import Extraction
from fmcvqa.tasks.job import plain_config
from fmcvqa.tasks.settings import build, check
from fmcvqa.tasks.sources import FeatureSource, LabelledFeatures


def cell_of(cfg: DictConfig) -> Cell:
    """The cell a config asks for."""
    settings: SVRSettings = build(cfg.regressor)
    features = plain_config(cfg.features)
    chosen = {name: features[name] for name in ("layers", "pools")}
    check("features", chosen, layers=Sequence[str], pools=Sequence[str])
    return Cell(layers=tuple(chosen["layers"]), pools=tuple(chosen["pools"]), **dataclasses.asdict(settings))


@dataclass(eq=False)
class Inputs:
    """Datasets with their features, read once and shared by the jobs of a process.

    Attributes:
        dataset: The training set.
        labelled: Its features and labels.
        kernels: How kernels are computed and kept.
        target: The tested set and its features and labels across datasets, or None.
    """

    dataset: VideoDataset
    labelled: LabelledFeatures
    kernels: KernelSettings
    target: tuple[VideoDataset, LabelledFeatures] | None = None
    _matrices: tuple[FeatureMatrix, FeatureMatrix | None] | None = None
    _bank: KernelBank | None = None

    def evaluate(self, cell: Cell, protocol: Protocol, *, progress: bool = True) -> Evaluation:
        """Evaluate a cell, with the kernels of earlier cells."""
        features, tested = self.matrices
        self._bank = self._bank or self.kernels.bank(features, tested)
        other = None if self.target is None or tested is None else (tested, self.target[1].mos)
        ranges = (self.dataset.mos_range, self.target[0].mos_range) if self.target else None
        with tqdm(desc="fit", unit="split", leave=False, disable=None if progress else True) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            return evaluate(
                features, self.labelled.mos, cell, protocol, self._bank, target=other, mos_ranges=ranges, progress=show
            )

    @property
    def matrices(self) -> tuple[FeatureMatrix, FeatureMatrix | None]:
        """The features of the training set and, across datasets, of the tested one; read at first use."""
        if self._matrices is None:
            self._matrices = (self.labelled.read(), self.target[1].read() if self.target else None)
        return self._matrices

    @property
    def every(self) -> list[LabelledFeatures]:
        """Features and labels of the training set and, across datasets, of the tested one."""
        return [self.labelled, *([self.target[1]] if self.target else [])]

    @property
    def origins(self) -> dict[Path, str]:
        """Where the features lie, with their digests."""
        return {labelled.origin: labelled.identity for labelled in self.every}

    @property
    def cards(self) -> list[dict[str, Any]]:
        """What a result says of the training set and, across datasets, of the tested one."""
        every = [(self.dataset, self.labelled), *([self.target] if self.target else [])]
        return [
            dataset_card(
                dataset.name,
                videos=len(labelled.ids),
                mos_range=dataset.mos_range,
                stand_in=dataset.stand_in,
                damaged=labelled.damaged,
            )
            for dataset, labelled in every
        ]


def open_inputs(cfg: DictConfig) -> Inputs:
    """The inputs a config asks for; jobs in a row that ask for the same share them."""
    cross = cfg.protocol._target_.endswith(".Cross")
    names = [
        "data",
        "model",
        "recipe",
        "decoder",
        "features",
        "kernels",
        *(["target", "target_features"] if cross else []),
    ]
    whole = plain_config(cfg)
    parts = {name: whole[name] for name in names}
    every = {"layers": None, "pools": None} if parts["features"].get("shared", True) else {}
    wanted = json.dumps({**parts, "features": {**parts["features"], **every}}, sort_keys=True)
    source: FeatureSource = build(cfg.features)  # checks layers and pools of this very cell
    opened: dict[str, Inputs] = multirun.shared.setdefault("inputs", {})
    if wanted in opened:
        return opened[wanted]

    def extraction() -> Extraction:
        return Extraction.from_config(cfg)

    dataset: VideoDataset = build(cfg.data)
    inputs = Inputs(dataset, source.open(dataset, extraction), build(cfg.kernels))
    if cross:
        target: VideoDataset = build(cfg.target)
        tested: FeatureSource = build(cfg.target_features) if source.pools == ["all"] else source
        inputs.target = (target, tested.open(target, extraction))
    opened.clear()  # one set of features is enough memory
    opened[wanted] = inputs
    return inputs
