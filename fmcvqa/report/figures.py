"""The paper's Figures 2 and 3 and two more, as PNG: scatter, layer x kernel heat map, spread over the splits.

Colours are told apart by colour-blind readers and in grey print (Okabe and Ito's; cividis), and marks differ in shape.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fmcvqa.report.grid import decimal
from fmcvqa.report.groups import Group
from fmcvqa.report.results import CellResult, DatasetCard
from fmcvqa.report.tables import CellTable, Row

DPI = 200
BLUE, ORANGE, GREY, BLACK = "#0072B2", "#D55E00", "#6F6F6F", "#000000"
_TITLE, _TEXT = 10.0, 9.0


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    return out.getvalue()


def _heading(figure: Figure, *lines: str) -> None:
    width = int(11 * figure.get_figwidth())  # letters that fit at this size
    figure.suptitle("\n".join(_wrapped(line, width) for line in lines), fontsize=_TITLE)


def _label(text: str) -> str:
    """Layers as an axis writes them: a long set on a line per layer."""
    return text if len(text) <= 40 else text.replace("+", "+\n")


def _label_width(labels: Sequence[str]) -> float:
    """Inches that an axis with these labels needs beside what it labels."""
    return 1.2 + 0.078 * max(len(line) for label in labels for line in label.split("\n"))


def _lines(labels: Sequence[str]) -> int:
    return sum(label.count("\n") + 1 for label in labels)


def _set_name(card: DatasetCard) -> str:
    said = "stand-in" in card.name.lower()
    return f"{card.name} (stand-in)" if card.stand_in and not said else card.name


def group_name(group: Group) -> str:
    """The dataset or direction as figures title it, stand-ins and controls marked as such."""
    first = group.first
    where = _set_name(first.dataset) + ("" if first.target is None else f" → {_set_name(first.target)}")
    where = f"{where}, ablation" if group.ablation else where
    return f"{where}, labels permuted" if first.control else where


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=_TEXT)


def scatter_png(group: Group) -> bytes:
    """Predicted against subjective MOS of the group's best cell (the paper's Figures 2 and 3), 900 pixels wide.

    Within a dataset both axes have the same limits and the diagonal is drawn. Across datasets a prediction need not
    be on the scale of the rated set, so the axes differ and there is no diagonal.
    """
    best = group.best
    rated = best.dataset if best.target is None else best.target
    figure = _figure(4.5, 4.8)
    axes = figure.add_subplot()
    axes.scatter(best.predicted, best.mos, s=_dot(len(best.mos)), c=BLUE, alpha=0.45, linewidths=0)
    if best.target is None:
        limits = _limits(best)
        axes.plot(limits, limits, color=BLACK, linewidth=0.9, linestyle="--", label="predicted = MOS")
        axes.set(xlim=limits, ylim=limits, aspect="equal")
        axes.legend(loc="upper left", fontsize=_TEXT - 1, frameon=False)
        axes.set_xlabel(f"predicted MOS, mean over the splits ({_range(best.dataset)})", fontsize=_TEXT)
    else:
        axes.set_xlabel(_wrapped(f"predicted MOS, trained on {_set_name(best.dataset)}", 50), fontsize=_TEXT)
    axes.set_ylabel(f"MOS ({_range(rated)})", fontsize=_TEXT)
    lines = [_wrapped(group_name(group), 46), _wrapped(_cell_name(best), 46), _score_text(best)]
    axes.set_title("\n".join(lines), fontsize=_TITLE)
    axes.grid(color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)
    _plain(axes)
    return _png(figure)


def _dot(videos: int) -> float:
    return float(np.clip(6000 / max(videos, 1), 9, 36))


def _range(card: DatasetCard) -> str:
    return f"{card.mos_range[0]:g} to {card.mos_range[1]:g}"


def _limits(result: CellResult) -> tuple[float, float]:
    """Both axes: what the points need and a margin, never wider than that asks for."""
    both = np.concatenate([result.mos, result.predicted])
    both = both[np.isfinite(both)]
    low, high = (float(both.min()), float(both.max())) if len(both) else result.dataset.mos_range
    margin = 0.04 * ((high - low) or 1.0)
    return low - margin, high + margin


def _cell_name(result: CellResult) -> str:
    return f"{result.cell.layers_text}, {result.cell.kernel}"


def _score_text(result: CellResult) -> str:
    srocc, plcc = (decimal(result.scores[name].value, 3) for name in ("srocc", "plcc"))
    kind = " (medians)" if result.target is None else ""
    return f"SROCC {srocc}, PLCC {plcc}{kind}, {len(result.mos)} videos"


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width)) or text


def heatmap_png(group: Group, table_rows: Sequence[CellResult]) -> bytes:
    """SROCC and PLCC of every set of layers, or row of an ablation, with every kernel; the best cell framed.

    Args:
        group: The cells.
        table_rows: The same cells in the table's order; the better of two with the same layers and kernel is shown.
    """
    layers = list(dict.fromkeys(result.place for result in table_rows))
    kernels = list(dict.fromkeys(result.cell.kernel for result in table_rows))
    labels = [_label(text) for text in layers]
    figure = _figure(max(4.8, _label_width(labels) + 1.5 * len(kernels)), 1.5 + 0.42 * _lines(labels))
    panels = np.atleast_1d(figure.subplots(1, 2, sharey=True))
    for axes, score, name in zip(panels, ("srocc", "plcc"), ("SROCC", "PLCC"), strict=True):
        values = np.full((len(layers), len(kernels)), np.nan)
        for result in table_rows:
            place = layers.index(result.place), kernels.index(result.cell.kernel)
            values[place] = np.fmax(values[place], result.scores[score].value)
        _heat(axes, values, name)
        axes.set_xticks(range(len(kernels)), kernels, fontsize=_TEXT)
        axes.set_yticks(range(len(layers)), labels, fontsize=_TEXT)
        axes.set_xlabel("kernel", fontsize=_TEXT)
        best = kernels.index(group.best.cell.kernel), layers.index(group.best.place)
        for colour, width in (("white", 4.0), (BLACK, 2.0)):  # seen on light and on dark
            axes.add_patch(Rectangle((best[0] - 0.46, best[1] - 0.44), 0.92, 0.88, fill=False, ec=colour, lw=width))
    panels[0].set_ylabel("row" if group.ablation else "layers", fontsize=_TEXT)
    kind = "median over splits" if group.first.target is None else "all target videos"
    _heading(figure, group_name(group), f"{kind}, best SROCC framed")
    return _png(figure)


def _heat(axes: Axes, values: npt.NDArray[np.float64], name: str) -> None:
    low, high = (np.nanmin(values), np.nanmax(values)) if np.isfinite(values).any() else (0.0, 1.0)
    image = axes.imshow(values, cmap="cividis", vmin=low, vmax=low + ((high - low) or 1.0), aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        red, green, blue = image.to_rgba(np.array(value))[:3]
        light = math.isnan(value) or 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.46
        where: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": _TEXT}
        axes.text(column, row, decimal(float(value), 3), color=BLACK if light else "white", **where)
    axes.set_title(name, fontsize=_TEXT)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def splits_png(group: Group, table: CellTable) -> bytes:
    """SROCC and PLCC of every split, one row per cell: a box from quartile to quartile over the splits' own dots.

    For real sets a diamond marks the published median.
    """
    rows = table.rows
    labels = [_label(_row_name(row)) for row in rows]
    figure = _figure(max(7.2, _label_width(labels) + 3.6), 1.5 + 0.3 * _lines(labels))
    panels = np.atleast_1d(figure.subplots(1, 2, sharey=True))
    kernels = list(dict.fromkeys(row.result.cell.kernel for row in rows))
    for axes, score, name in zip(panels, ("srocc", "plcc"), ("SROCC", "PLCC"), strict=True):
        for place, row in enumerate(rows):
            colour = (BLUE, ORANGE, GREY)[min(kernels.index(row.result.cell.kernel), 2)]
            _strip(axes, place, row.result.splits[score], colour, seed=place)
        _published_marks(axes, rows, score, not group.first.stand_in)
        axes.set_xlabel(f"{name} of one split", fontsize=_TEXT)
        axes.grid(axis="x", color="#DDDDDD", linewidth=0.5)
        axes.set_axisbelow(True)
        _plain(axes)
    panels[0].set_yticks(range(len(rows)), labels, fontsize=_TEXT - 1)
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    panels[1].tick_params(axis="y", length=0)
    count = len(group.first.splits["srocc"])
    marks = "; diamond: published median" if any(row.published for row in rows) and not group.first.stand_in else ""
    _heading(figure, group_name(group), f"{count} splits per cell, line at the median{marks}")
    return _png(figure)


def _row_name(row: Row) -> str:
    """A cell in words; a row of an ablation by its name."""
    if row.name:
        return f"{row.name}, {row.result.cell.kernel}"
    return ", ".join(filter(None, [_cell_name(row.result), row.settings]))


def _strip(axes: Axes, place: int, values: npt.NDArray[np.float64], colour: str, seed: int) -> None:
    values = values[np.isfinite(values)]
    if not len(values):
        return
    jitter = np.random.default_rng(seed).uniform(-0.24, 0.24, len(values))
    axes.scatter(values, place + jitter, s=4, c=colour, alpha=0.35, linewidths=0)
    low, middle, high = np.percentile(values, [25, 50, 75])
    axes.add_patch(Rectangle((low, place - 0.3), high - low, 0.6, fill=False, ec=colour, lw=1.1))
    axes.plot([middle, middle], [place - 0.3, place + 0.3], color=BLACK, linewidth=1.8, solid_capstyle="butt")


def _published_marks(axes: Axes, rows: Sequence[Row], score: str, real: bool) -> None:
    for place, row in enumerate(rows):
        if real and row.published is not None:
            value = row.published.srocc if score == "srocc" else row.published.plcc
            axes.plot(value, place, marker="D", markersize=4.5, color="white", markeredgecolor=BLACK, zorder=4)
