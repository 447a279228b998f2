"""The model file: its format, what older formats lack, and reading one without building anything.

Format 1: trunk, regressor, recipe, scale, card.
Format 2: also ``calibration`` (MOS and out-of-fold residuals of the training set: interval and percentile) and
``training_set`` (its videos as sketches: the flag for a clip unlike them); each may be None.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fmcvqa.errors import ModelFileError
from fmcvqa.sealed import Arrays, DamagedError, read_sealed

FORMAT = 2  # raise when older releases can no longer read what this one writes, and say above what is new
SUFFIX = ".fmcvqa"
TRUNK, REGRESSOR, CALIBRATION, TRAINING_SET = "trunk/", "regressor/", "calibration/", "training_set/"
_WRITES = "fmcvqa fit writes a model"


def read_model_file(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and the record of a model file, verified but not yet used; the record's ``format`` is the file's.

    Raises:
        ModelFileError: If the file is missing, damaged, no model, or of a newer format.
    """
    try:
        arrays, record = read_sealed(path)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be opened ({error.strerror})", advice=_WRITES) from error
    except DamagedError as error:
        raise ModelFileError(
            str(error), found="bytes that are not a whole fmcvqa model", advice="a fresh copy"
        ) from error
    if not isinstance(record, dict) or not isinstance(record.get("format"), int):
        raise ModelFileError(f"{path} is no fmcvqa model", advice=_WRITES)
    if record["format"] > FORMAT:
        raise ModelFileError(
            f"{path} has the model format {record['format']}",
            found=f"this release reads up to {FORMAT}",
            advice="a newer fmcvqa",
        )
    broken = [name for name, array in arrays.items() if array.dtype.kind == "f" and not np.isfinite(array).all()]
    if broken:
        raise ModelFileError(f"{path} holds numbers that are not finite in {', '.join(broken[:3])}", advice=_WRITES)
    return arrays, record


def migrated(record: dict[str, Any]) -> dict[str, Any]:
    """The record of any format as the present one, what an older format lacks being None."""
    missing = {"calibration": None, "training_set": None} if record["format"] < 2 else {}
    return {**missing, **record}


def under(prefix: str, arrays: Arrays) -> Arrays:
    """The arrays whose name starts with a prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
