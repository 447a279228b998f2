"""Where the videos of a finished run lie, for the frames of a page."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fmcvqa.data.labels import LIVEVQC, CSVVideos, KoNViD1k
from fmcvqa.data.records import VideoDataset
from fmcvqa.data.synthetic import SyntheticKoNViD1k, SyntheticLIVEVQC
from fmcvqa.data.synthetic.generated import MANIFEST
from fmcvqa.errors import FmcvqaError
from fmcvqa.report.results import CellResult

# By name and nothing else: a result may come from anywhere, so what it names is not instantiated.
_REAL = {f"fmcvqa.data.labels.{kind.__name__}": kind for kind in (KoNViD1k, LIVEVQC, CSVVideos)}
_MADE = {f"fmcvqa.data.synthetic.{kind.__name__}": kind for kind in (SyntheticKoNViD1k, SyntheticLIVEVQC)}


def find_videos(result: CellResult) -> Mapping[str, Path]:
    """The files of the videos a result was tested on, by id, as far as they are where its configuration says.

    Relative folders start from the current one. A synthetic set that is not there is not made.
    """
    data = result.config.get("data" if result.target is None else "target")
    if not isinstance(data, Mapping):
        return {}
    try:
        dataset = _dataset(data)
        return {} if dataset is None else {record.id: record.path for record in dataset.records()}
    except (FmcvqaError, OSError, TypeError, ValueError):  # moved, changed, or a configuration of another version
        return {}


def _dataset(data: Mapping[str, Any]) -> VideoDataset | None:
    name = str(data.get("_target_"))
    kind: Any = _REAL.get(name) or _MADE.get(name)
    if kind is None or (name in _MADE and not (Path(str(data.get("root"))) / MANIFEST).is_file()):
        return None
    known = inspect.signature(kind).parameters
    given = {key: value for key, value in data.items() if key in known}
    dataset: VideoDataset = kind(**given | ({"allow_missing": True} if "allow_missing" in known else {}))
    return dataset
