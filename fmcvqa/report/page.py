"""``report.html``: every table of a report with charts to point at, in one file that opens from the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fmcvqa import __version__
from fmcvqa.report.frames import Glimpse, pictures
from fmcvqa.report.html import render
from fmcvqa.report.results import CellResult
from fmcvqa.report.sections import Section, charted

FindVideos = Callable[[CellResult], Mapping[str, Path]]

HOVER = Glimpse(count=1, width=160, most=25)  # a second into the clip: the first frame is often black
CLOSE = Glimpse(count=3, width=240)
MOST_HOVERED = 1500  # about 4 kB each in the page


def report_page(sections: Sequence[Section], *, find_videos: FindVideos | None = None, progress: bool = False) -> bytes:
    """The page, with frames of the videos that are at hand.

    Args:
        sections: One per table, at least one.
        find_videos: Gives the files of a result's tested videos by id; None where no frames are wanted.
        progress: Whether to show bars on stderr while frames are read.
    """
    found = {} if find_videos is None else {s.videos: find_videos(s.group.best) for s in sections}
    worst = {key: _some(files, _worst(sections, key)) for key, files in found.items()}
    close = {key: pictures(files, CLOSE, progress=progress) for key, files in worst.items()}
    hover = {key: pictures(_first(files), HOVER, progress=progress) for key, files in found.items()}
    data: dict[str, Any] = {
        "sections": [charted(section) for section in sections],
        "thumbnails": {key: {name: frames[0] for name, frames in shown.items()} for key, shown in hover.items()},
    }
    scripts = ("charts.js", "plots.js", "report.js")
    return render("report.html", scripts=scripts, sections=sections, close=close, data=data, version=__version__)


def _worst(sections: Sequence[Section], key: str) -> set[str]:
    return {miss.id for section in sections if section.videos == key for miss in section.worst}


def _some(files: Mapping[str, Path], ids: Iterable[str]) -> dict[str, Path]:
    return {name: files[name] for name in sorted(ids) if name in files}


def _first(files: Mapping[str, Path]) -> dict[str, Path]:
    return dict(list(files.items())[:MOST_HOVERED])
