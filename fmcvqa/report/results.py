"""Find, read and check the ``result.json`` files of sweep cells."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fmcvqa.errors import ConfigError
from fmcvqa.regression.scores import SCORES
from fmcvqa.report.fields import AGAIN, Reader, ResultError
from fmcvqa.report.published import PAPER_LAYERS

RESULT_FILE = "result.json"


@dataclass(frozen=True, slots=True)
class Score:
    """One score of one cell; NaN where the run could not compute it.

    Attributes:
        value: The median over the splits, or the one number of a cross-dataset run.
        std: Standard deviation over the splits, or None where there are none.
        ci95: Bootstrap interval over videos, or None where none was computed.
    """

    value: float
    std: float | None = None
    ci95: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """What was regressed and how: one set of layers, the poolings, one regressor."""

    layers: tuple[str, ...]
    pools: tuple[str, ...]
    kernel: str
    C: float | str | None
    epsilon: float | str | None
    gamma: float | str | None

    @property
    def layer_set(self) -> frozenset[str]:
        """The layers without their order, which no score depends on."""
        return frozenset(self.layers)

    @property
    def layers_text(self) -> str:
        """The layers as tables write them, e.g. ``avgpool+Mixed_5b``: the paper's order first, others as given."""
        known = [layer for layer in PAPER_LAYERS if layer in self.layers]
        return "+".join(known + [layer for layer in self.layers if layer not in known])


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """Which videos.

    Attributes:
        name: Of the set.
        stand_in: Whether it is synthetic.
        videos: How many.
        mos_range: Of the rating scale.
        damaged: How many of them are damaged and were used in part.
    """

    name: str
    stand_in: bool
    videos: int
    mos_range: tuple[float, float]
    damaged: int = 0


@dataclass(frozen=True)
class CellResult:
    """One checked ``result.json``.

    Attributes:
        path: The file.
        name: The experiment.
        cell: Layers, poolings and regressor.
        dataset: The set that was trained on (and tested on unless ``target`` is set).
        target: The set that was tested on across datasets, or None.
        protocol: The protocol's name and settings.
        scores: One `Score` for each of ``SCORES``.
        splits: One array [number of splits] per column of the split rows, NaN where a row has no number.
        ids: The tested videos.
        mos: Their MOS, [N].
        predicted: The mean prediction for each over the splits in which it was a test video, [N].
        key: Hash of everything the numbers depend on.
        config: The resolved configuration.
        versions: Of the software that computed the numbers.
        command: What was typed, or an empty text in results older than that.
    """

    path: Path
    name: str
    cell: Cell
    dataset: DatasetCard
    target: DatasetCard | None
    protocol: Mapping[str, Any]
    scores: Mapping[str, Score]
    splits: Mapping[str, npt.NDArray[np.float64]]
    ids: tuple[str, ...]
    mos: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.float64]
    key: str
    config: Mapping[str, Any]
    versions: Mapping[str, Any]
    command: str

    @property
    def srocc(self) -> float:
        """The SROCC cells are ranked by."""
        return self.scores["srocc"].value

    @property
    def stand_in(self) -> bool:
        """Whether any video is synthetic."""
        return self.dataset.stand_in or (self.target is not None and self.target.stand_in)

    @property
    def backbone(self) -> str | None:
        """The network the features come from, as far as the configuration names one."""
        model = self.config.get("model")
        return str(model["name"]) if isinstance(model, dict) and "name" in model else None

    @property
    def row(self) -> str:
        """What the row of an ablation is called; empty for other results."""
        return str(self.config.get("row") or "")

    @property
    def place(self) -> str:
        """The row of a heat map that it stands in: its layers, or the name of a row of an ablation."""
        return self.row or self.cell.layers_text

    @property
    def control(self) -> bool:
        """Whether the MOS were shuffled over the videos first, so that every score should be about 0."""
        return self.protocol.get("permute_labels") is True


def _dataset(reader: Reader) -> DatasetCard:
    stand_in = reader.typed("stand_in", bool, "true or false")
    damaged = reader.count("damaged") if "damaged" in reader.value else 0
    return DatasetCard(reader.text("name"), stand_in, reader.count("videos"), reader.pair("mos_range"), damaged)


def _cell(reader: Reader) -> Cell:
    setting = (int, float, str, type(None))
    C, epsilon, gamma = (reader.typed(key, setting, "a number or a text") for key in ("C", "epsilon", "gamma"))
    return Cell(reader.texts("layers"), reader.texts("pools"), reader.text("kernel"), C, epsilon, gamma)


def _score(reader: Reader, cross: bool) -> Score:
    interval = reader.value.get("ci95") if isinstance(reader.value, dict) else None
    ci95 = reader.pair("ci95") if cross or interval is not None else None
    if cross:
        return Score(reader.number("value"), ci95=ci95)
    return Score(reader.number("median"), reader.number("std"), ci95)


def _splits(rows: list[Reader]) -> dict[str, npt.NDArray[np.float64]]:
    columns = ("split", "train", "test", *SCORES)
    needed = ("split", "train", "test", "srocc", "plcc")
    for row, column in ((row, column) for row in rows for column in needed):
        row.number(column)
    return {
        column: np.array([row.number(column) if column in row.value else math.nan for row in rows], dtype=np.float64)
        for column in columns
    }


def read_result(path: Path) -> CellResult:
    """Read and check one ``result.json``.

    Raises:
        ResultError: If the file is no JSON, or a key is missing or of the wrong kind; the message names both.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ResultError(f"{path} cannot be read as JSON: {error}", advice=AGAIN) from error
    reader = Reader(path, data)
    dataset, cell = _dataset(reader.inside("dataset")), _cell(reader.inside("cell"))
    target = None if reader.get("target") is None else _dataset(reader.inside("target"))
    scores, protocol = reader.inside("scores"), reader.inside("protocol")
    protocol.text("name")
    predictions, splits = reader.rows("predictions"), reader.rows("splits")
    for key, rows in (("predictions", predictions), ("splits", splits)):
        if not rows:
            raise ResultError(f"{key} in {path} is empty", advice=AGAIN)
    return CellResult(
        path=path,
        name=reader.text("name"),
        cell=cell,
        dataset=dataset,
        target=target,
        protocol=protocol.value,
        scores={score: _score(scores.inside(score), target is not None) for score in SCORES},
        splits=_splits(splits),
        ids=tuple(row.text("id") for row in predictions),
        mos=np.array([row.number("mos") for row in predictions]),
        predicted=np.array([row.number("predicted") for row in predictions]),
        key=reader.text("key"),
        config=reader.inside("config").value,
        versions=reader.inside("versions").value,
        command=reader.text("command") if "command" in data else "",
    )


def find_results(folder: Path) -> list[CellResult]:
    """Read every cell's ``result.json`` in a folder and the folders below it.

    A copy, of the same key, experiment and row of an ablation, counts once.

    Args:
        folder: The folder of a sweep, of several, of one cell, or a ``result.json`` itself.

    Returns:
        The results, sorted by path.

    Raises:
        ConfigError: If there is no such folder, or no cell's result in it.
        ResultError: If one of the files is damaged.
    """
    if not folder.exists():
        raise ConfigError(f"there is no folder {folder}", advice="the folder a sweep wrote, such as outputs/NAME")
    files = [folder] if folder.is_file() else sorted(folder.rglob(RESULT_FILE), key=lambda p: (len(p.parts), p))
    results: dict[tuple[str, str, str], CellResult] = {}
    for path in (path for path in files if is_cell(path)):
        result = read_result(path)
        results.setdefault((result.name, result.row, result.key), result)
    if not results:
        inside = f"{len(files)} {RESULT_FILE} of other commands" if files else f"no file named {RESULT_FILE}"
        advice = "give the folder a sweep wrote, or run one: fmcvqa sweep table1_konvid1k"
        raise ConfigError(f"{folder} holds no result of a sweep's cell", found=inside, advice=advice)
    return sorted(results.values(), key=lambda result: result.path)


def is_cell(path: Path) -> bool:
    """Whether a ``result.json`` claims to be a sweep cell's; other commands leave such files too.

    A damaged file counts as a cell's, so that reading it says what is wrong rather than passing over it.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return True
    return not isinstance(data, dict) or any(key in data for key in ("cell", "splits", "predictions"))
