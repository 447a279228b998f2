"""A table of texts as markdown, CSV or aligned plain text."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from fmcvqa.report.results import Score


def decimal(value: float, digits: int = 4) -> str:
    """A number with a fixed count of decimals; ``n/a`` for NaN."""
    return "n/a" if math.isnan(value) else f"{value:.{digits}f}"


def with_spread(score: Score, digits: int = 4, sign: str = "±") -> str:
    """A score and its standard deviation or 95 % interval, e.g. ``0.8179 ± 0.0210`` or ``0.69 [0.66, 0.73]``."""
    text = decimal(score.value, digits)
    if score.std is not None:
        return f"{text} {sign} {decimal(score.std, digits)}"
    return f"{text} {interval(score, digits)}" if score.ci95 is not None else text


def interval(score: Score, digits: int = 3) -> str:
    """The 95 % interval, e.g. ``[0.795, 0.838]``; empty where there is none."""
    return "" if score.ci95 is None else f"[{decimal(score.ci95[0], digits)}, {decimal(score.ci95[1], digits)}]"


def exact(value: float | None) -> str:
    """A number as CSV keeps it, without rounding; empty for None and NaN."""
    return "" if value is None or math.isnan(value) else repr(float(value))


def filled(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """The same table without the columns that are empty in every row."""
    kept = [i for i in range(len(headers)) if any(row[i] for row in rows)]
    return [headers[i] for i in kept], [[row[i] for i in kept] for row in rows]


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]], left: int = 2) -> str:
    """A markdown table; the first ``left`` columns are left aligned, the others right."""
    lines = [_line(headers), "|" + "|".join([":---"] * left + ["---:"] * (len(headers) - left)) + "|"]
    return "\n".join(lines + [_line(row) for row in rows]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def comma_separated(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """CSV with a header line and unix line ends."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([headers, *rows])
    return text.getvalue()


def plain(headers: Sequence[str], rows: Sequence[Sequence[str]], left: int = 2) -> str:
    """Columns aligned with spaces for a terminal; the first ``left`` are left aligned."""
    widths = [max(len(row[i]) for row in [headers, *rows]) for i in range(len(headers))]
    rule = ["-" * width for width in widths]
    return "".join(f"{_aligned(row, widths, left)}\n" for row in [headers, rule, *rows])


def _aligned(row: Sequence[str], widths: Sequence[int], left: int) -> str:
    pairs = enumerate(zip(row, widths, strict=True))
    return "  ".join(cell.ljust(width) if i < left else cell.rjust(width) for i, (cell, width) in pairs).rstrip()
