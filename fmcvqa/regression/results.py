"""``result.json``: one cell's numbers, whole or not there; every table and figure is a view of such files."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fmcvqa.errors import FmcvqaError
from fmcvqa.files import write_atomic
from fmcvqa.regression.evaluate import Evaluation
from fmcvqa.regression.splits import write_splits

FILE_NAME = "result.json"
SPLITS_NAME = "splits.json"
_LIBRARIES = ("numpy", "scipy", "scikit-learn")


def dataset_card(
    name: str, *, videos: int, mos_range: tuple[float, float], stand_in: bool, damaged: int = 0
) -> dict[str, Any]:
    """What a result says of a dataset; ``stand_in`` marks a synthetic one, ``damaged`` counts videos used in part."""
    card = {"name": name, "stand_in": stand_in, "videos": videos, "mos_range": list(mos_range)}
    return card | ({"damaged": damaged} if damaged else {})  # left out, results of whole videos keep their keys


def build_result(
    evaluation: Evaluation,
    *,
    name: str,
    dataset: Mapping[str, Any],
    target: Mapping[str, Any] | None = None,
    config: Mapping[str, Any],
    key: str,
    versions: Mapping[str, str] | None = None,
    command: str = "",
) -> dict[str, Any]:
    """The content of ``result.json``.

    Args:
        evaluation: One cell's evaluation.
        name: Of the experiment.
        dataset: A :func:`dataset_card`.
        target: That of the tested set across datasets, or None.
        config: The resolved configuration.
        key: SHA-256 of everything the numbers depend on.
        versions: Of more software than the regression's own.
        command: What to type for this cell alone.
    """
    return {
        "name": name,
        "cell": evaluation.cell.as_dict(),
        "dataset": dict(dataset),
        "target": None if target is None else dict(target),
        "protocol": evaluation.protocol,
        "scores": evaluation.scores,
        "splits": evaluation.rows,
        "predictions": evaluation.predictions,
        "config": dict(config),
        "key": key,
        "versions": software_versions() | dict(versions or {}),
        "command": command,
    }


def software_versions() -> dict[str, str]:
    """Versions of what computed the numbers."""
    return {"python": platform.python_version()} | {library: version(library) for library in _LIBRARIES}


def write_splits_beside(folder: Path, ids: Sequence[str], evaluation: Evaluation) -> None:
    """Write ``splits.json`` into a folder, to be imported with ``protocol.splits_file``; nothing where none tests."""
    if all(len(split.test) for split in evaluation.splits):
        write_splits(folder / SPLITS_NAME, ids, evaluation.splits)


def write_result(folder: Path, result: Mapping[str, Any]) -> Path:
    """Write ``result.json`` into a folder, atomically, and give its path.

    Raises:
        FmcvqaError: If the disk refuses.
    """
    path = folder / FILE_NAME
    try:
        write_atomic(path, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
    except OSError as error:
        advice = "free space and run the same command: finished cells are skipped"
        raise FmcvqaError(f"{path} cannot be written ({error.strerror})", advice=advice) from error
    return path


def read_result(folder: Path) -> dict[str, Any] | None:
    """The result in a folder, or None if there is none.

    Raises:
        FmcvqaError: If there is one that cannot be read.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
        if not isinstance(content, dict) or "scores" not in content or "key" not in content:
            raise ValueError("no scores")
    except (ValueError, RecursionError) as error:
        raise FmcvqaError(f"{path} is not a result ({error})", advice="delete it and run that cell again") from error
    return content
