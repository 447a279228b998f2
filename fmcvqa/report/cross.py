"""Table III: trained on one set, tested on another, beside the six methods the paper compares with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fmcvqa.report import grid
from fmcvqa.report.groups import Group
from fmcvqa.report.notes import banner, damage_notes, mapping_text
from fmcvqa.report.published import TABLE_3_NOTES, PublishedCross, published_cross
from fmcvqa.report.results import CellResult

CROSS_COLUMNS = (
    "direction",
    "method",
    "layers",
    "kernel",
    "settings",
    "plcc",
    "plcc_low",
    "plcc_high",
    "srocc",
    "srocc_low",
    "srocc_high",
    "krocc",
    "plcc_mapped",
    "rmse",
)
OURS = "fmcvqa"
_ONE_NUMBER = ("krocc", "plcc_mapped", "rmse")


@dataclass(frozen=True)
class Direction:
    """All that is known about one direction.

    Attributes:
        title: E.g. ``KoNViD-1k -> LIVE-VQC``.
        banner: That sets are stand-ins; empty for real ones.
        ours: Each cell's result with its settings, best SROCC first.
        published: The paper's rows for the direction, itself last; empty for other datasets.
    """

    title: str
    banner: str
    ours: tuple[tuple[CellResult, str], ...]
    published: tuple[PublishedCross, ...]


@dataclass(frozen=True)
class CrossTable:
    """Table III, one block per direction, and what to know when reading it."""

    directions: tuple[Direction, ...]
    notes: tuple[str, ...]


def build_cross_table(groups: Sequence[Group]) -> CrossTable:
    """Put cross-dataset groups together by direction.

    Args:
        groups: Groups whose results have a target, at least one.
    """
    titles = list(dict.fromkeys(group.title for group in groups))
    directions = tuple(_direction([group for group in groups if group.title == title]) for title in titles)
    notes = [
        "One number per cell, with its 95 % bootstrap interval over target videos.",
        f"PLCC is raw; PLCC mapped follows a 4-parameter logistic {mapping_text(groups[0])}.",
        "RMSE is in MOS units of the target, after the straight line between the ends of both rating scales.",
        *(f"{group.title}, {group.first.name}: protocol {group.protocol_text}." for group in groups),
    ]
    notes += dict.fromkeys(note for group in groups for note in damage_notes(group))
    cells = max(len(direction.ours) for direction in directions)
    if cells > 1:
        notes.append(f"k={cells} cells were compared on the same target videos, so the best one's score is optimistic.")
    if any(direction.published for direction in directions):
        notes += ["Published: Table III of the paper, without interval.", *TABLE_3_NOTES]
    return CrossTable(directions, tuple(notes))


def _direction(groups: Sequence[Group]) -> Direction:
    first = groups[0].first
    target = first.target.name if first.target is not None else first.dataset.name
    several = len({group.first.name for group in groups}) > 1
    ours = [
        (result, ", ".join(filter(None, [_scaling(result), group.first.name if several else "", settings])))
        for group in groups
        for result, settings in zip(group.results, group.settings, strict=True)
    ]
    ours.sort(key=lambda pair: -pair[0].srocc if pair[0].srocc == pair[0].srocc else 2.0)
    published = () if first.control else tuple(published_cross(first.dataset.name, target))
    return Direction(groups[0].title, banner(groups[0]), tuple(ours), published)


def _scaling(result: CellResult) -> str:
    """Whose statistics scaled the target, and how the one fit was chosen unless it is on the whole source."""
    settings = {key: result.protocol.get(key) for key in ("scaling", "selection")}
    return ", ".join(f"{key}={value}" for key, value in settings.items() if value not in (None, "all"))


def cross_csv(table: CrossTable) -> str:
    """The table as CSV with ``CROSS_COLUMNS``, ours and the published rows told apart by ``method``."""
    rows = []
    for direction in table.directions:
        for result, settings in direction.ours:
            plcc, srocc = result.scores["plcc"], result.scores["srocc"]
            numbers = [plcc.value, *(plcc.ci95 or (None, None)), srocc.value, *(srocc.ci95 or (None, None))]
            numbers += [result.scores[name].value for name in _ONE_NUMBER]
            start = [direction.title, OURS, result.cell.layers_text, result.cell.kernel, settings]
            rows.append(start + [grid.exact(number) for number in numbers])
        for published in direction.published:
            numbers = [published.plcc, None, None, published.srocc, None, None, *([None] * len(_ONE_NUMBER))]
            start = [direction.title, published.method, "", "", ""]
            rows.append(start + [grid.exact(number) for number in numbers])
    return grid.comma_separated(CROSS_COLUMNS, rows)


def cross_markdown(table: CrossTable) -> str:
    """The table as a markdown page: per direction the stand-in line, our cells, then the published methods."""
    parts = ["# Across datasets: trained on one, tested on the other\n"]
    for direction in table.directions:
        above = f"> **{direction.banner}**\n\n" if direction.banner else ""
        parts.append(f"## {direction.title}\n\n{above}{grid.markdown(HEADERS, direction_rows(direction), left=6)}")
    parts.append("".join(f"- {note}\n" for note in table.notes))
    return "\n".join(parts)


def cross_text(table: CrossTable) -> str:
    """The table for a terminal, one block per direction."""
    blocks = []
    for direction in table.directions:
        parts = [direction.title, direction.banner, grid.plain(HEADERS, direction_rows(direction), left=6)]
        blocks.append("\n".join(part for part in parts if part))
    return "\n".join(blocks)


HEADERS = ("method", "layers", "kernel", "settings", "PLCC [95 %]", "SROCC [95 %]", "KROCC", "PLCC mapped", "RMSE")


def direction_rows(direction: Direction) -> list[list[str]]:
    """A list of texts per row, as a page shows them under ``HEADERS``: our cells, then the published methods."""
    ours = [
        [OURS, result.cell.layers_text, result.cell.kernel, settings]
        + [grid.with_spread(result.scores[name], 3) for name in ("plcc", "srocc")]
        + [grid.decimal(result.scores[name].value, 3) for name in _ONE_NUMBER]
        for result, settings in direction.ours
    ]
    return ours + [
        [row.method, "", "", "", f"{row.plcc:g}", f"{row.srocc:g}", *([""] * len(_ONE_NUMBER))]
        for row in direction.published
    ]
