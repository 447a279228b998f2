"""``fmcvqa sweep``: one cell of a table per job, all splits of a protocol; the table at the end of a multirun."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from fmcvqa.data.records import VideoDataset
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.regression.evaluate import Evaluation, evaluate
from fmcvqa.regression.kernels import KernelBank, KernelSettings
from fmcvqa.regression.protocols import Protocol
from fmcvqa.regression.results import (
    FILE_NAME,
    build_result,
    dataset_card,
    read_result,
    write_result,
    write_splits_beside,
)
from fmcvqa.regression.svr import Cell, SVRSettings
from fmcvqa.report.writing import write_report
from fmcvqa.sealed import file_digest
from fmcvqa.tasks import multirun
from fmcvqa.tasks.dashboard import track_cell, track_sweep
from fmcvqa.tasks.extract import Extraction
from fmcvqa.tasks.job import job_folder
from fmcvqa.tasks.sources import FeatureSource, LabelledFeatures
from fmcvqa.tracking import Tracker

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> float:
    """Cross-validate one cell; gives its median SROCC (across datasets: the SROCC).

    A cell whose ``result.json`` carries the same key is not run again unless ``force=true``.

    Raises:
        DatasetError: If a dataset is not complete.
        FeatureError: If the features or labels cannot be regressed.
        ConfigError: If a setting is out of range.
    """
    cell, protocol = cell_of(cfg), instantiate(cfg.protocol)  # first: what they refuse would cost an extraction later
    tracker: Tracker = instantiate(cfg.tracker)
    inputs = open_inputs(cfg)
    key = _key(cfg, inputs)
    folder = job_folder()
    previous = None if cfg.force else read_result(folder)
    if previous is not None and previous["key"] == key:
        log.info("%s is finished already; force=true runs it again", folder)
        return objective(previous)
    evaluation = inputs.evaluate(cell, protocol)
    result = inputs.result(cfg, evaluation, key)
    write_splits_beside(folder, inputs.labelled.ids, evaluation)
    write_result(folder, result)
    track_cell(tracker, result, folder, inputs.origins)
    score = result["scores"]["srocc"]
    spread = f" (std {score['std']:.4f})" if "std" in score else ""
    print(f"{'+'.join(evaluation.cell.layers)} {evaluation.cell.kernel}: SROCC {objective(result):.4f}{spread}")
    return objective(result)


def cell_of(cfg: DictConfig) -> Cell:
    """The cell a config asks for."""
    settings: SVRSettings = instantiate(cfg.regressor)
    return Cell(layers=tuple(cfg.features.layers), pools=tuple(cfg.features.pools), **dataclasses.asdict(settings))


def objective(result: dict[str, Any]) -> float:
    """The median SROCC of a result, or the one SROCC across datasets."""
    score = result["scores"]["srocc"]
    return float(score["median"] if "median" in score else score["value"])


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
        if self._matrices is None:
            self._matrices = (self.labelled.read(), self.target[1].read() if self.target else None)
        features, tested = self._matrices
        self._bank = self._bank or self.kernels.bank(features, tested)
        other = None if self.target is None or tested is None else (tested, self.target[1].mos)
        ranges = (self.dataset.mos_range, self.target[0].mos_range) if self.target else None
        with tqdm(desc="fit", unit="split", leave=False, disable=not progress) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            return evaluate(
                features, self.labelled.mos, cell, protocol, self._bank, target=other, mos_ranges=ranges, progress=show
            )

    @property
    def origins(self) -> dict[Path, str]:
        """Where the features lie, with their digests."""
        every = [self.labelled, *([self.target[1]] if self.target else [])]
        return {labelled.origin: labelled.identity for labelled in every}

    def result(self, cfg: DictConfig, evaluation: Evaluation, key: str) -> dict[str, Any]:
        """The ``result.json`` of an evaluation."""
        return build_result(
            evaluation,
            name=cfg.name,
            dataset=_card(self.dataset, self.labelled),
            target=_card(*self.target) if self.target else None,
            config=plain_config(cfg),
            key=key,
        )


def _card(dataset: VideoDataset, labelled: LabelledFeatures) -> dict[str, Any]:
    return dataset_card(dataset.name, videos=len(labelled.ids), mos_range=dataset.mos_range, stand_in=dataset.stand_in)


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
    wanted = json.dumps({**parts, "features": {**parts["features"], "layers": None}}, sort_keys=True)
    source: FeatureSource = instantiate(cfg.features)  # checks layers and pools of this very cell
    opened: dict[str, Inputs] = multirun.shared.setdefault("inputs", {})
    if wanted in opened:
        return opened[wanted]

    def extraction() -> Extraction:
        return Extraction.from_config(cfg)

    dataset: VideoDataset = instantiate(cfg.data)
    inputs = Inputs(dataset, source.open(dataset, extraction), instantiate(cfg.kernels))
    if cross:
        target: VideoDataset = instantiate(cfg.target)
        tested: FeatureSource = instantiate(cfg.target_features) if source.pools == ["all"] else source
        inputs.target = (target, tested.open(target, extraction))
    opened.clear()  # one set of features is enough memory
    opened[wanted] = inputs
    return inputs


def plain_config(cfg: DictConfig) -> dict[str, Any]:
    """A config as plain values, interpolations resolved; what is still missing (``???``) stays so."""
    plain: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False)  # type: ignore[assignment]
    return plain


def _key(cfg: DictConfig, inputs: Inputs) -> str:
    """SHA-256 over everything a result depends on: features and labels by content, cell and protocol by value."""
    sets = [(inputs.dataset, inputs.labelled), *([inputs.target] if inputs.target else [])]
    known = [(_card(dataset, labelled), labelled.identity) for dataset, labelled in sets]
    protocol = plain_config(cfg.protocol)
    for name in ("splits_file", "groups_file"):
        protocol[name] = protocol[name] and file_digest(Path(protocol[name]))
    parts = [known, cell_of(cfg).as_dict(), protocol]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class TableAtEnd(Callback):
    """Hydra callback: at the end of a multirun, whatever launcher ran it, the table from the cells' files."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Write tables and figures beside the cells, and print the tables."""
        folder = Path(config.hydra.sweep.dir)
        with multirun.kept():
            if any(folder.glob(f"*/{FILE_NAME}")):
                files = write_report(folder, folder)
                print(files.text)
                track_sweep(instantiate(config.tracker), folder, files)
