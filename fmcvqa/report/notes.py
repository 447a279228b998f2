"""What to know when reading a table, in sentences: stand-ins, spread, choice of the best, what was published."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fmcvqa.report.ablation import Gains
from fmcvqa.report.differences import Differences
from fmcvqa.report.grid import decimal
from fmcvqa.report.groups import Group, differing_configuration
from fmcvqa.report.published import PAPER_LAYERS, TABLE_1, PublishedTable
from fmcvqa.report.results import Cell, CellResult
from fmcvqa.report.selection import Selection


def banner(group: Group) -> str:
    """The line above a stand-in's or a control's table; empty for real videos with their own labels."""
    names = [card.name for card in (group.first.dataset, group.first.target) if card is not None and card.stand_in]
    lines = [
        f"Stand-in: the videos of {' and '.join(names)} are generated. Published numbers are for the real set."
        if names
        else "",
        "Control: the MOS were shuffled over the videos, so scores far from 0 would show a leak."
        if group.first.control
        else "",
    ]
    return " ".join(line for line in lines if line)


def table_notes(
    group: Group, published: PublishedTable | None, compared: Differences | Gains | None, selection: Selection | None
) -> tuple[str, ...]:
    """All notes of a table of cells.

    Args:
        group: Its cells.
        published: The paper's table, where a cell has a number beside it from there.
        compared: The cells against the best one, or the rows of an ablation against the paper's.
        selection: The best cell's score without the advantage of having been picked.
    """
    first = group.first
    low, high = first.dataset.mos_range
    notes = [
        f"{first.dataset.videos} videos, MOS on a scale from {low:g} to {high:g}. Protocol: {group.protocol_text}.",
        "The standard deviation is that from split to split: not the error of the median, nor that of a difference "
        "between two cells, which share their splits.",
        *damage_notes(group),
        *_interval_notes(group.results),
        f"PLCC is raw; PLCC mapped follows a 4-parameter logistic {mapping_text(group)}. RMSE is in MOS units.",
        *_selection_notes(len(group.results), selection),
        *([] if compared is None else [compared.note]),
        *([] if first.control or group.ablation else _missing_notes(group.results)),
        *([] if group.ablation else _mixture_notes(group)),
    ]
    if published is not None:
        notes.append(f"Published: {published.title} of the paper, median of 100 splits, without spread.")
        notes += published.notes
    return tuple(notes)


def damage_notes(group: Group) -> list[str]:
    """How many videos of each set are damaged and were used in part; nothing where all are whole."""
    cards = [card for card in (group.first.dataset, group.first.target) if card is not None and card.damaged]
    return [
        f"{card.damaged} of the {card.videos} videos of {card.name} are marked as damaged: their features are of the "
        "frames before the damage (recipe.damage=mark)."
        for card in cards
    ]


def _interval_notes(results: Sequence[CellResult]) -> list[str]:
    if not any(result.scores["srocc"].ci95 for result in results):
        return []
    return ["SROCC 95 %: bootstrap interval of the median over videos, with the regressors as they were fitted."]


def mapping_text(group: Group) -> str:
    """Where the logistic of the mapped PLCC was fitted, as the run says."""
    fitted = group.first.protocol.get("mapping_fitted_on")
    places = {"train": "fitted on the training predictions", "test": "fitted on the test predictions (optimistic)"}
    return "fitted where the run does not say" if fitted is None else places.get(str(fitted), f"fitted on {fitted}")


def _selection_notes(k: int, selection: Selection | None) -> list[str]:
    if k < 2:
        return []
    text = f"k={k} cells were compared on the same test folds, so the best one's score is optimistic."
    if selection is None or math.isnan(selection.apart):
        return [text]
    return [
        f"{text} A best cell picked on resampled videos and scored on those left out reaches SROCC "
        f"{decimal(selection.apart)} (mean of {selection.rounds} rounds, a cautious estimate); picked and "
        f"scored on the same videos {decimal(selection.together)}. Both take each video's mean test prediction."
    ]


def _mixture_notes(group: Group) -> list[str]:
    differing = differing_configuration(group.results)
    text = f"The cells were not all run alike; their configurations differ in {', '.join(differing)}."
    return [text] if differing else []


def _missing_notes(results: Sequence[CellResult]) -> list[str]:
    """Names the cells of the paper's 14 that are not there, where the layers are the paper's."""
    there = {(result.cell.layer_set, result.cell.kernel) for result in results}
    if any(not layers <= set(PAPER_LAYERS) for layers, _ in there):
        return []
    missing = [
        f"{Cell(tuple(layers), (), kernel, None, None, None).layers_text} {kernel}"
        for layers, kernel in TABLE_1.cells
        if (layers, kernel) not in there
    ]
    return [f"Not run, of the paper's 14 cells: {', '.join(missing)}."] if missing else []
