"""What the dashboard sees of cells, tables and models: views of files that are there already.

Whatever a tracker does here, the work it watches goes on: a failure is one warning.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fmcvqa.regression.results import FILE_NAME
from fmcvqa.report.groups import Group
from fmcvqa.report.notes import banner
from fmcvqa.report.results import CellResult, read_result
from fmcvqa.report.tables import build_table
from fmcvqa.report.writing import GroupFiles, ReportFiles
from fmcvqa.tracking import Tracker

log = logging.getLogger(__name__)

OF_THE_MACHINE = ("name", "force", "output", "paths", "loader", "trainer", "tracker")
_COMPARED = ("layers", "kernel", "published_srocc", "srocc")


def track_cell(
    tracker: Tracker, result: Mapping[str, Any], folder: Path, features: Mapping[Path, str] | None = None
) -> None:
    """One run per cell: config, scores in the summary, history and table of the splits, predictions, features.

    Its id is made of the experiment's name and the cell's key, its group is the experiment.

    Args:
        tracker: Where to.
        result: The content of the cell's ``result.json``, which is in ``folder`` already.
        folder: The cell's folder.
        features: Where the features lie, and the digest of their content; they are referred to, never uploaded.
    """
    with _watching(f"{folder}"):
        cell = read_result(folder / FILE_NAME)
        started = tracker.start(
            f"{cell.cell.layers_text} {cell.cell.kernel}",
            run_id=f"{cell.name}-{cell.key[:16]}",
            folder=folder,
            group=cell.name,
            kind="cell",
            config=_config(result, cell),
            tags=[*_tags([cell]), cell.cell.kernel, *cell.cell.layers],
            steps={"cv/*": "split"},
            last=False,
        )
        with started as run:
            for row in result["splits"]:
                run.log({"split": row["split"], **_numbers({f"cv/{name}": row.get(name) for name in cell.scores})})
            run.table("splits", list(result["splits"][0]), [list(row.values()) for row in result["splits"]])
            columns = list(result["predictions"][0])
            rows = [list(row.values()) for row in result["predictions"]]
            run.table("predictions", columns, rows)
            run.scatter("scatter", columns, rows, x="predicted", y="mos", title="MOS against its prediction")
            run.summary(_scores(result["scores"]) | _published(cell))
            for origin, digest in (features or {}).items():
                file = origin / "recipe.json" if origin.is_dir() else origin
                about = {"sha256": digest, "key": origin.name, "place": str(origin.resolve())}
                run.reference(f"features-{origin.stem}-{digest[:16]}", "features", file, about)


def track_sweep(tracker: Tracker, folder: Path, files: ReportFiles) -> None:
    """One run per sweep: its tables with the published numbers, heat maps and scatters, and the best cells.

    Its id is made of the experiment's name and the keys of all its cells.

    Args:
        tracker: Where to.
        folder: The sweep's folder.
        files: What the report wrote, from which everything is read.
    """
    with _watching(f"the table in {folder}"):
        cells = [cell for each in files.groups for cell in each.group.results]
        name = cells[0].name
        started = tracker.start(
            f"{name}: table",
            run_id=f"{name}-table-{_digest(sorted(cell.key for cell in cells))}",
            folder=folder,
            group=name,
            kind="table",
            config={"experiment": name, "cells": sorted(cell.key for cell in cells)},
            tags=[*_tags(cells), "table"],
        )
        with started as run:
            for each in files.groups:
                _show_group(run, each)
            if files.table3_csv is not None:
                run.table("table3", *_typed(files.table3_csv))
            run.summary({"cells": len(cells)})


def track_model(tracker: Tracker, card: Mapping[str, Any], model: Path, folder: Path, name: str) -> None:
    """One run per fitted model: its card, the scores of its cross-validation, and where its file lies.

    Args:
        tracker: Where to.
        card: The model's card.
        model: Its file, referred to and never uploaded.
        folder: The command's folder.
        name: Of the experiment.
    """
    with _watching(f"{model}"):
        cell, dataset = card["cell"], card["dataset"]
        lasting = {key: value for key, value in card.items() if key not in ("made", "config")}
        config = {key: value for key, value in card["config"].items() if key not in OF_THE_MACHINE}
        started = tracker.start(
            f"{name}: {'+'.join(cell['layers'])} {cell['kernel']}",
            run_id=f"{name}-model-{_digest([lasting, config])}",
            folder=folder,
            group=name,
            kind="model",
            config=config | {key: value for key, value in lasting.items() if key != "scores"},
            tags=[dataset["name"], *(["stand-in"] if dataset["stand_in"] else []), "model", cell["kernel"]],
        )
        with started as run:
            run.summary(_scores(card["scores"]))
            about = {"made": card["made"], "dataset": dataset, "cell": cell, "srocc": card["scores"]["srocc"]}
            run.reference(f"model-{name}", "model", model, about, checksum=True)


@contextlib.contextmanager
def _watching(what: str) -> Iterator[None]:
    """Turn any failure into a warning: whatever tracker it is, the results are on the disk and the work goes on."""
    try:
        yield
    except Exception as error:  # a tracker can fail at anything
        log.warning("%s is not tracked (%s: %s); its files are whole", what, type(error).__name__, error)


def _config(result: Mapping[str, Any], cell: CellResult) -> dict[str, Any]:
    """Settings and their results, with layers and kernel as words to group by."""
    unused = ("target_features",) if cell.target is None else ()
    settings = {key: value for key, value in result["config"].items() if key not in (*OF_THE_MACHINE, *unused)}
    facts = {key: result[key] for key in ("cell", "dataset", "target", "protocol", "key", "versions")}
    return {**settings, **facts, "layers": cell.cell.layers_text, "kernel": cell.cell.kernel}


def _tags(cells: Sequence[CellResult]) -> list[str]:
    """Words by which all cells can be found: datasets, protocols, and what the numbers are not."""
    cards = [card for cell in cells for card in (cell.dataset, cell.target) if card is not None]
    words = [*(card.name for card in cards), *(f"protocol:{cell.protocol['name']}" for cell in cells)]
    words += ["stand-in"] if any(card.stand_in for card in cards) else []
    words += ["control"] if any(cell.control for cell in cells) else []
    return list(dict.fromkeys(words))


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}


def _scores(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, float | str]:
    """``srocc/median``, ``srocc/std`` and so on, the ends of an interval as ``srocc/ci95_low`` and ``_high``."""
    flat: dict[str, float | None] = {}
    for score, statistics in scores.items():
        for name, value in statistics.items():
            if isinstance(value, list):
                flat |= {f"{score}/{name}_low": value[0], f"{score}/{name}_high": value[1]}
            else:
                flat[f"{score}/{name}"] = value
    return dict(_numbers(flat))


def _published(cell: CellResult) -> dict[str, float | str]:
    """The paper's numbers for this very cell on the real set."""
    if cell.target is not None or cell.stand_in:
        return {}
    published = build_table(Group("", (cell,), ("",))).rows[0].published
    return {} if published is None else {"published/srocc": published.srocc, "published/plcc": published.plcc}


def _show_group(run: Tracker, files: GroupFiles) -> None:
    group = files.group
    prefix = f"{group.slug}/" if group.slug else ""
    best = group.best
    if files.table_csv is not None:
        _show_table(run, prefix, group, files.table_csv)
    for name, picture in (("heatmap", files.heatmap), ("scatter", files.scatter), ("splits", files.splits)):
        if picture is not None:
            run.image(f"{prefix}{name}", picture)
    run.summary(
        {
            f"{prefix}best/layers": best.cell.layers_text,
            f"{prefix}best/kernel": best.cell.kernel,
            **{
                f"{prefix}best/{name}": score.value for name, score in best.scores.items() if score.value == score.value
            },
            **({f"{prefix}note": banner(group)} if banner(group) else {}),
        }
    )


def _show_table(run: Tracker, prefix: str, group: Group, path: Path) -> None:
    """The table as in the file; where numbers are published, also points of paper against ours, stand-ins named."""
    columns, rows = _typed(path)
    data = "stand-in" if group.first.stand_in else "real"
    run.table(f"{prefix}table", [*columns, "data"], [[*row, data] for row in rows])
    picked = [[row[columns.index(name)] for name in _COMPARED] for row in rows]
    both = [row for row in picked if row[2] is not None and row[3] is not None]
    if both:
        title = "SROCC: ours against the paper's" + (" (ours on a stand-in)" if group.first.stand_in else "")
        run.scatter(f"{prefix}paper_vs_ours", _COMPARED, both, x="published_srocc", y="srocc", title=title)


def _typed(path: Path) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a CSV file, a column of numbers as numbers and None where it is empty."""
    with path.open(newline="", encoding="utf-8") as file:
        columns, *rows = list(csv.reader(file))
    typed = [_values(column) for column in zip(*rows, strict=True)]
    return columns, [list(row) for row in zip(*typed, strict=True)]


def _values(cells: Sequence[str]) -> list[Any]:
    try:
        return [float(text) if text else None for text in cells]
    except ValueError:
        return [text or None for text in cells]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
