"""Write a report: tables and figures of every group of results in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fmcvqa.errors import ConfigError
from fmcvqa.files import write_atomic
from fmcvqa.report.cross import build_cross_table, cross_csv, cross_markdown, cross_text
from fmcvqa.report.differences import differences_csv, from_best
from fmcvqa.report.figures import heatmap_png, scatter_png, splits_png
from fmcvqa.report.groups import Group, group_results
from fmcvqa.report.page import FindVideos, report_page
from fmcvqa.report.results import CellResult, find_results
from fmcvqa.report.sections import Section, cells_section, direction_section
from fmcvqa.report.tables import CellTable, build_table, table_csv, table_markdown, table_text

PAGE = "report.html"


@dataclass(frozen=True)
class GroupFiles:
    """The files of one dataset, protocol and experiment, or of one direction; None for what it has not.

    Attributes:
        group: The results they were made from.
        table_md: 14-cell table, markdown.
        table_csv: The same as CSV.
        scatter: Best cell, predicted against subjective MOS.
        heatmap: Layers x kernels.
        splits: Every split of every cell.
        differences: Every pair of cells with its test, CSV.
    """

    group: Group
    scatter: Path
    heatmap: Path
    table_md: Path | None = None
    table_csv: Path | None = None
    splits: Path | None = None
    differences: Path | None = None

    @property
    def best(self) -> CellResult:
        """The cell that the scatter shows."""
        return self.group.best

    @property
    def paths(self) -> list[Path]:
        """The files that were written."""
        every = [self.table_md, self.table_csv, self.scatter, self.heatmap, self.splits, self.differences]
        return [path for path in every if path is not None]


@dataclass(frozen=True)
class ReportFiles:
    """What `write_report` wrote.

    Attributes:
        out: The folder.
        page: Everything in one HTML file.
        groups: One entry per table.
        table3_md: The cross-dataset table, where there are such results.
        table3_csv: The same as CSV.
        text: All tables for a terminal.
    """

    out: Path
    page: Path
    groups: tuple[GroupFiles, ...]
    text: str
    table3_md: Path | None = None
    table3_csv: Path | None = None
    cells: int = 0

    @property
    def paths(self) -> list[Path]:
        """Every file that was written."""
        crossed = [path for path in (self.table3_md, self.table3_csv) if path is not None]
        return [path for files in self.groups for path in files.paths] + crossed + [self.page]


def write_report(
    folder: Path, out: Path, *, find_videos: FindVideos | None = None, progress: bool = False
) -> ReportFiles:
    """Read the results under a folder and write their tables and figures.

    A single group gives ``table.md``, ``table.csv``, ``differences.csv``, ``scatter.png``, ``heatmap.png`` and
    ``splits.png``; several groups give each its own prefix (the dataset, and what else tells them apart). Cross-dataset
    results give ``table3.md`` and ``table3.csv`` and, per direction, scatter and heat map. ``report.html`` shows all of
    them. Each file is replaced whole.

    Args:
        folder: What `find_results` takes.
        out: Made if it is not there.
        find_videos: Gives the files of a result's tested videos by id, for frames in the page; None where none are
            wanted.
        progress: Whether to show bars on stderr while frames are read.

    Raises:
        ConfigError: If there are no results in ``folder``, or ``out`` is a file.
        ResultError: If a result is damaged or two contradict each other.
    """
    results = find_results(folder)
    groups = group_results(results)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"cannot write a report into {out}", found="a file of that name", advice="another --out")
    out.mkdir(parents=True, exist_ok=True)
    crossed = [group for group in groups if group.first.target is not None]
    crossed_table = build_cross_table(crossed) if crossed else None
    directions = {} if crossed_table is None else {one.title: one for one in crossed_table.directions}
    written, texts, sections = list[GroupFiles](), list[str](), list[Section]()
    for number, group in enumerate(groups):
        if crossed_table is not None and group.first.target is not None:
            written.append(_write_direction(group, out))
            sections.append(direction_section(f"table-{number}", group, directions[group.title], crossed_table))
        else:
            table = build_table(group)
            written.append(_write_group(group, table, out))
            sections.append(cells_section(f"table-{number}", group, table))
            texts.append(table_text(table))
    page = _write(out / PAGE, report_page(sections, find_videos=find_videos, progress=progress))
    if crossed_table is None:
        return ReportFiles(out, page, tuple(written), "\n".join(texts), cells=len(results))
    table3_md = _write(out / "table3.md", cross_markdown(crossed_table).encode())
    table3_csv = _write(out / "table3.csv", cross_csv(crossed_table).encode())
    text = "\n".join([*texts, cross_text(crossed_table)])
    return ReportFiles(out, page, tuple(written), text, table3_md, table3_csv, len(results))


def _write_group(group: Group, table: CellTable, out: Path) -> GroupFiles:
    prefix = f"{group.slug}_" if group.slug else ""
    pictures = {
        "scatter": scatter_png(group),
        "heatmap": heatmap_png(group, [row.result for row in table.rows]),
        "splits": splits_png(group, table),
    }
    page = table_markdown(table) + "".join(f"\n![{name}]({prefix}{name}.png)\n" for name in pictures)
    paths = {name: _write(out / f"{prefix}{name}.png", data) for name, data in pictures.items()}
    table_md = _write(out / f"{prefix}table.md", page.encode())
    csv = _write(out / f"{prefix}table.csv", table_csv(table).encode())
    compared = from_best(group)
    name = out / f"{prefix}differences.csv"
    differences = None if compared is None else _write(name, differences_csv(compared).encode())
    return GroupFiles(group, paths["scatter"], paths["heatmap"], table_md, csv, paths["splits"], differences)


def _write_direction(group: Group, out: Path) -> GroupFiles:
    prefix = f"{group.slug}_" if group.slug else ""
    scatter = _write(out / f"{prefix}scatter.png", scatter_png(group))
    return GroupFiles(group, scatter, _write(out / f"{prefix}heatmap.png", heatmap_png(group, _ordered(group.results))))


def _ordered(results: Sequence[CellResult]) -> list[CellResult]:
    return sorted(results, key=lambda result: (len(result.cell.layers), result.cell.layers_text, result.cell.kernel))


def _write(path: Path, data: bytes) -> Path:
    write_atomic(path, data)
    return path
