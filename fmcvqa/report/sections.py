"""What the HTML page shows of each table: its rows, and the numbers behind its charts."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fmcvqa.report import cross, grid, tables
from fmcvqa.report.cross import CrossTable, Direction
from fmcvqa.report.groups import Group
from fmcvqa.report.results import CellResult
from fmcvqa.report.tables import CellTable

WORST = 6
_CHARTED = ("srocc", "plcc")
_NUMBERS = 5  # columns of the cross-dataset table


@dataclass(frozen=True)
class Line:
    """A row of a table.

    Attributes:
        texts: One per column.
        cell: Which of the section's cells it is, or None for a published method.
        best: Whether it is the best cell.
        verdict: What that cell's difference is worth, as in `tables.Row`; empty where there is none.
    """

    texts: Sequence[str]
    cell: int | None
    best: bool
    verdict: str


@dataclass(frozen=True)
class Miss:
    """A badly predicted video: its id, its MOS and the prediction on the same scale."""

    id: str
    mos: float
    predicted: float

    @property
    def error(self) -> float:
        """Prediction minus MOS."""
        return self.predicted - self.mos


@dataclass(frozen=True)
class Section:
    """One dataset and protocol, or one direction.

    Attributes:
        anchor: Its id in the page.
        group: The results it is made from.
        title: As headline.
        banner: That a set is a stand-in, or a control; mostly empty.
        headers: Of the table.
        left: How many columns hold words.
        lines: Rows of the table.
        notes: What to know when reading it.
        results: The cells in the order of the rows.
        settings: What tells cells of the same layers and kernel apart, per cell.
    """

    anchor: str
    group: Group
    title: str
    banner: str
    headers: Sequence[str]
    left: int
    lines: Sequence[Line]
    notes: Sequence[str]
    results: Sequence[CellResult]
    settings: Sequence[str]

    @property
    def best(self) -> int:
        """Which cell is the best."""
        return next(i for i, result in enumerate(self.results) if result is self.group.best)

    @property
    def videos(self) -> str:
        """Key of the rated set whose frames are shown."""
        return videos_key(self.group.first)

    @property
    def worst(self) -> list[Miss]:
        """The best cell's largest errors, largest first."""
        return worst(self.group.best)

    @property
    def config(self) -> str:
        """The best cell's configuration as text."""
        return json.dumps(dict(self.group.best.config), indent=1, ensure_ascii=False)

    def names(self) -> list[str]:
        """Each cell in words."""
        pairs = zip(self.results, self.settings, strict=True)
        return [", ".join(filter(None, [r.cell.layers_text, r.cell.kernel, text])) for r, text in pairs]


def videos_key(result: CellResult) -> str:
    """The name of the set that was tested on."""
    return (result.target or result.dataset).name


def cells_section(anchor: str, group: Group, table: CellTable) -> Section:
    """A table of cells as the page shows it."""
    headers, rows = _verdict_forward(table.verdict, *tables.table_rows(table))
    lines = [Line(texts, i, row.best, row.verdict) for i, (row, texts) in enumerate(zip(table.rows, rows, strict=True))]
    results, settings = [row.result for row in table.rows], [row.label for row in table.rows]
    left = tables.place_columns(headers)
    return Section(anchor, group, table.title, table.banner, headers, left, lines, table.notes, results, settings)


def _verdict_forward(verdict: str, headers: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The verdict beside the score it is about, where a narrow screen shows it."""
    if verdict not in headers:
        return headers, rows
    before = headers.index(verdict)
    after = max(headers.index(name) for name in ("SROCC", "SROCC 95 %") if name in headers) + 1
    for texts in [headers, *rows]:
        texts.insert(after, texts.pop(before))
    return headers, rows


def direction_section(anchor: str, group: Group, direction: Direction, table: CrossTable) -> Section:
    """One direction of the cross-dataset table as the page shows it."""
    own = {id(result) for result in group.results}
    pairs = [(result, settings) for result, settings in direction.ours if id(result) in own]
    shown = Direction(direction.title, direction.banner, tuple(pairs), direction.published)
    headers, texts = grid.filled(cross.HEADERS, cross.direction_rows(shown))
    cells = [*range(len(pairs)), *([None] * len(direction.published))]
    best = [result is group.best for result, _ in pairs] + [False] * len(direction.published)
    lines = [Line(row, cell, top, "best" if top else "") for row, cell, top in zip(texts, cells, best, strict=True)]
    results, settings = [result for result, _ in pairs], [settings for _, settings in pairs]
    left = len(headers) - _NUMBERS
    return Section(
        anchor, group, direction.title, direction.banner, headers, left, lines, table.notes, results, settings
    )


def worst(result: CellResult, count: int = WORST) -> list[Miss]:
    """The largest errors; across datasets after the straight line between the ends of both rating scales."""
    predicted = on_tested_scale(result)
    errors = np.abs(predicted - result.mos)
    order = [i for i in np.argsort(-errors, kind="stable") if math.isfinite(errors[i])]
    return [Miss(result.ids[i], float(result.mos[i]), float(predicted[i])) for i in order[:count]]


def on_tested_scale(result: CellResult) -> npt.NDArray[np.float64]:
    """Predictions on the rating scale of the set that was tested on, [N]."""
    if result.target is None:
        return result.predicted
    (low, high), (low2, high2) = result.dataset.mos_range, result.target.mos_range
    return low2 + (result.predicted - low) * (high2 - low2) / (high - low)


def charted(section: Section) -> dict[str, Any]:
    """What the page's script draws; a number that is not there is null."""
    first = section.group.first
    rated = first.target or first.dataset
    return {
        "anchor": section.anchor,
        "title": section.title,
        "videos": section.videos,
        "cross": first.target is not None,
        "range": list(rated.mos_range),
        "ids": list(first.ids),
        "mos": _numbers(first.mos),
        "best": section.best,
        "cells": [
            _cell(section, place, result, name)
            for place, (result, name) in enumerate(zip(section.results, section.names(), strict=True))
        ],
    }


def _cell(section: Section, place: int, result: CellResult, name: str) -> dict[str, Any]:
    own = dict(zip(result.ids, result.predicted, strict=True))
    line = next(line for line in section.lines if line.cell == place)
    return {
        "name": name,
        "layers": result.cell.layers_text,
        "place": result.place,
        "kernel": result.cell.kernel,
        "verdict": line.verdict,
        "scores": {score: _number(result.scores[score].value) for score in _CHARTED},
        "splits": {score: _numbers(result.splits[score]) for score in _CHARTED} if result.target is None else None,
        "predicted": [_number(own.get(video, math.nan)) for video in section.group.first.ids],
    }


def _numbers(values: npt.NDArray[np.float64]) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None
