"""Tables I and II, and ablations: one row per cell, with spread and what the differences are worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fmcvqa.regression.compare import Comparison
from fmcvqa.report import grid
from fmcvqa.report.ablation import Gains, changes, from_reference
from fmcvqa.report.differences import Differences, from_best
from fmcvqa.report.groups import REFERENCE, Group
from fmcvqa.report.notes import banner, table_notes
from fmcvqa.report.published import BACKBONE, KERNELS, TABLE_1, PublishedCell, PublishedTable, published_table
from fmcvqa.report.results import CellResult
from fmcvqa.report.selection import group_selection

CSV_COLUMNS = (
    "layers",
    "kernel",
    "srocc",
    "srocc_std",
    "plcc",
    "plcc_std",
    "krocc",
    "rmse",
    "plcc_mapped",
    "published_srocc",
    "published_plcc",
)
ABLATION_COLUMNS = ("row", "pools", "difference", "p", "p_holm")
_PLACE = ("row", "layers", "pools", "kernel", "settings")
_SHOWN = ("srocc", "plcc", "krocc", "rmse", "plcc_mapped")
_DIFFERENCE = f"SROCC minus {REFERENCE}"
VERDICTS = ("against the best", f"against {REFERENCE}")
_BESIDE = ("published SROCC / PLCC", *VERDICTS)


@dataclass(frozen=True)
class Row:
    """One cell of a table.

    Attributes:
        result: Its numbers.
        settings: What tells it from another cell of the same layers and kernel; mostly empty. In an ablation what it
            changes.
        published: The paper's numbers for the cell, or None.
        best: Whether it has the highest SROCC of the table.
        verdict: Against the best: ``best``, ``lower`` (beyond noise), ``not told apart`` or ``not tested``; in an
            ablation see `Gains.verdict`.
        name: Of a row of an ablation; else empty.
        test: Such a row against the paper's, or None.
    """

    result: CellResult
    settings: str
    published: PublishedCell | None
    best: bool
    verdict: str
    name: str = ""
    test: Comparison | None = None

    @property
    def label(self) -> str:
        """What tells it from another cell of the same layers and kernel, in few words."""
        return self.name or self.settings


@dataclass(frozen=True)
class CellTable:
    """A table of cells, ready to be written.

    Attributes:
        title: One line.
        banner: That the set is a stand-in and the published numbers are for the real one, or a control; mostly empty.
        rows: In the paper's order.
        notes: What to know when reading it, one paragraph each.
    """

    title: str
    banner: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def settings(self) -> bool:
        """Whether rows need a column that tells same layers and kernels apart."""
        return any(row.settings for row in self.rows)

    @property
    def ablation(self) -> bool:
        """Whether rows have names."""
        return any(row.name for row in self.rows)

    @property
    def verdict(self) -> str:
        """Header of the column that says what a difference is worth."""
        return VERDICTS[self.ablation]


def build_table(group: Group) -> CellTable:
    """Put a group's cells in the paper's order beside the published numbers.

    Args:
        group: Cells of one dataset and protocol; not cross-dataset.
    """
    published = None if group.first.control else published_table(group.first.dataset.name)
    compared = from_reference(group) if group.ablation else from_best(group)
    pairs = sorted(
        zip(group.results, group.settings, strict=True), key=lambda pair: _place(pair[0], pair[1], published)
    )
    rows = tuple(_row(group, result, settings, published, compared) for result, settings in pairs)
    splits = len(group.first.splits["srocc"])
    title = f"{group.title}: median and standard deviation over {splits} splits"
    shown = published if any(row.published for row in rows) else None
    notes = table_notes(group, shown, compared, group_selection(group))
    return CellTable(title, banner(group), rows, notes)


def _row(
    group: Group,
    result: CellResult,
    settings: str,
    published: PublishedTable | None,
    compared: Differences | Gains | None,
) -> Row:
    same_network = result.backbone in (None, BACKBONE)  # others have an avgpool too
    cells = published.cells if published is not None and same_network and result.row in ("", REFERENCE) else {}
    beside, best = cells.get((result.cell.layer_set, result.cell.kernel)), result is group.best
    if isinstance(compared, Gains):
        changed, test = changes(result, group.reference(result)), compared.tests.get(result.path)
        return Row(result, changed, beside, best, compared.verdict(result), settings or result.row, test)
    verdict = _verdict(result, compared) if not best else "best" if len(group.results) > 1 else ""
    return Row(result, settings, beside, best, verdict)


def _verdict(result: CellResult, differences: Differences | None) -> str:
    if differences is None or result.key not in differences.lower:
        return "not tested"
    return "lower" if differences.lower[result.key] else "not told apart"


def _place(result: CellResult, settings: str, published: PublishedTable | None) -> tuple[int, int, str, int, str, str]:
    """Sort key: the paper's order of layers and kernels, then everything the paper does not have.

    In an ablation kernel by kernel, the row that others are compared with first.
    """
    order = (published or TABLE_1).layer_order
    cell = result.cell
    layers = order.index(cell.layer_set) if cell.layer_set in order else len(order)
    kernel = KERNELS.index(cell.kernel) if cell.kernel in KERNELS else len(KERNELS)
    if result.row:
        return kernel, int(result.row != REFERENCE), result.row, layers, cell.layers_text, settings
    return layers, len(cell.layers), cell.layers_text, kernel, cell.kernel, settings


def table_csv(table: CellTable) -> str:
    """The table as CSV with the columns ``CSV_COLUMNS`` (and ``settings`` where rows need it), numbers unrounded.

    An ablation has ``ABLATION_COLUMNS`` too.
    """
    more = ABLATION_COLUMNS if table.ablation else ()
    headers = [*CSV_COLUMNS, *(["settings"] if table.settings else []), *more]
    rows = []
    for row in table.rows:
        scores, published = row.result.scores, row.published
        numbers = [
            *(scores["srocc"].value, scores["srocc"].std, scores["plcc"].value, scores["plcc"].std),
            *(scores["krocc"].value, scores["rmse"].value, scores["plcc_mapped"].value),
            *((None, None) if published is None else (published.srocc, published.plcc)),
        ]
        texts = [row.result.cell.layers_text, row.result.cell.kernel, *(grid.exact(number) for number in numbers)]
        test = [None] * 3 if row.test is None else [row.test.difference, row.test.p, row.test.p_holm]
        named = [row.name, "+".join(row.result.cell.pools), *map(grid.exact, test)] if table.ablation else []
        rows.append(texts + ([row.settings] if table.settings else []) + named)
    return grid.comma_separated(headers, rows)


def table_rows(table: CellTable) -> tuple[list[str], list[list[str]]]:
    """Headers and a list of texts per row, as a page shows them; no empty columns."""
    headers = [*_PLACE, "SROCC", "SROCC 95 %", _DIFFERENCE, "PLCC", "KROCC", "RMSE", "PLCC mapped"]
    headers += [_BESIDE[0], table.verdict]
    rows = []
    for row in table.rows:
        spread = {name: grid.with_spread(row.result.scores[name]) for name in _SHOWN}
        interval = grid.interval(row.result.scores["srocc"])
        texts = [*_place_texts(row), spread.pop("srocc"), interval, _difference_text(row), *spread.values()]
        rows.append([*texts, _published_text(row), row.verdict])
    return grid.filled(headers, rows)


def table_markdown(table: CellTable) -> str:
    """The table as a markdown page: title, stand-in line, rows with the best in bold, notes."""
    headers, rows = table_rows(table)
    ours = len(headers) - sum(name in headers for name in _BESIDE)
    for row, texts in zip(table.rows, rows, strict=True):
        if row.best:
            texts[:ours] = [f"**{text}**" if text else text for text in texts[:ours]]
    above = f"> **{table.banner}**\n\n" if table.banner else ""
    notes = "".join(f"- {note}\n" for note in table.notes)
    return f"# {table.title}\n\n{above}{grid.markdown(headers, rows, place_columns(headers))}\n{notes}"


def table_text(table: CellTable) -> str:
    """The table for a terminal: aligned columns in plain ASCII below title and stand-in line, without the notes."""
    headers = [*_PLACE, "SROCC (std)", "PLCC (std)", _DIFFERENCE, "published", table.verdict]
    rows = []
    for row in table.rows:
        scores = [_bracketed(row.result, name) for name in ("srocc", "plcc")]
        rows.append([*_place_texts(row), *scores, _difference_text(row), _published_text(row), row.verdict])
    kept, texts = grid.filled(headers, rows)
    parts = [table.title, table.banner, grid.plain(kept, texts, place_columns(kept))]
    return "\n".join(part for part in parts if part)


def place_columns(headers: Sequence[str]) -> int:
    """How many of a table's columns say which cell a row is."""
    return sum(header in _PLACE for header in headers)


def _place_texts(row: Row) -> list[str]:
    cell = row.result.cell
    return [row.name, cell.layers_text, "+".join(cell.pools) if row.name else "", cell.kernel, row.settings]


def _difference_text(row: Row) -> str:
    return "" if row.test is None else f"{row.test.difference:+.4f}"


def _bracketed(result: CellResult, name: str) -> str:
    score = result.scores[name]
    return f"{grid.decimal(score.value)} ({grid.decimal(math.nan if score.std is None else score.std)})"


def _published_text(row: Row) -> str:
    return "" if row.published is None else f"{row.published.srocc:.4f} / {row.published.plcc:.4f}"
