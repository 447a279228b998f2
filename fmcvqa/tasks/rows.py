"""Predictions as people and spreadsheets read them: a table, or CSV."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence

from fmcvqa.prediction import Prediction
from fmcvqa.tasks.terminal import coloured

COLUMNS = ("path", "score", "low", "high", "percentile", "unlike", "distance", "frames", "code", "timeline", "damage")
_HEADER = ("clip", "score", "90 % interval", "better than", "")


def table(predictions: Sequence[Prediction]) -> str:
    """One line per clip under a header; what is damaged, unlike the training set or failed says so, in colour."""
    cells = [_cells(prediction) for prediction in predictions]
    widths = [max(len(row[at]) for row in [_HEADER, *cells]) for at in range(len(_HEADER) - 1)]
    lines = [_line(_HEADER, widths)]
    for prediction, row in zip(predictions, cells, strict=True):
        doubtful = prediction.damage or (prediction.unlike and prediction.unlike.flag)
        colour = "red" if prediction.error else "yellow" if doubtful else ""
        line = _line(row, widths)
        lines.append(coloured(line, colour, sys.stdout) if colour else line)
        if prediction.timeline is not None:
            seconds = " ".join(f"{window.score:.2f}" for window in prediction.timeline)
            lines.append(f"  second by second: {seconds}")
    return "\n".join(lines)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first = f"{row[0]:{widths[0]}}"
    rest = [f"{text:>{width}}" for text, width in zip(row[1:-1], widths[1:], strict=True)]
    return "  ".join([first, *rest, row[-1]]).rstrip()


def _cells(prediction: Prediction) -> tuple[str, ...]:
    if prediction.score is None:
        return str(prediction.path), "-", "-", "-", prediction.code or ""
    interval, place = prediction.interval, prediction.percentile
    return (
        str(prediction.path),
        f"{prediction.score:.3f}",
        "-" if interval is None else f"{interval.low:.2f} to {interval.high:.2f}",
        "-" if place is None else f"{place:.0f} %",
        "; ".join(_doubts(prediction)),
    )


def _doubts(prediction: Prediction) -> list[str]:
    damage, unlike = prediction.damage, prediction.unlike
    marked = [f"damaged ({damage.code}), {prediction.frames} frames used"] if damage else []
    return marked + (["unlike the training set", *unlike.reasons] if unlike and unlike.flag else [])


def comma_separated(predictions: Sequence[Prediction]) -> str:
    """A header and one row per clip (RFC 4180); a timeline is the scores of the seconds with semicolons between."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for one in predictions:
        interval, unlike, timeline = one.interval, one.unlike, one.timeline
        writer.writerow(
            [
                one.path,
                one.score,
                interval and interval.low,
                interval and interval.high,
                one.percentile,
                unlike and str(unlike.flag).lower(),
                unlike and unlike.distance,
                one.frames,
                one.code,
                timeline and ";".join(repr(window.score) for window in timeline),
                one.damage and one.damage.code,
            ]
        )
    return text.getvalue().rstrip("\r\n")
