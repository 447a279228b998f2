"""Feature matrices from anybody's file."""

from __future__ import annotations

import csv
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fmcvqa.errors import ConfigError, FeatureError
from fmcvqa.features.matrix import MATRIX_BLOCK, Block, FeatureMatrix, FloatArray
from fmcvqa.matfile import MatFileError, load_mat

NonFinite = Literal["error", "zero"]
_NAMED_COLUMNS = 10
_MANY = (".mat", ".npz")  # files that hold arrays by name
# What NumPy raises on damaged files, tried on some thousands.
_DAMAGE = (
    *(ArithmeticError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError, TypeError, ValueError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)


def with_zeros(blocks: Mapping[Block, FloatArray]) -> dict[Block, FloatArray]:
    """The blocks with 0 in place of every value that is not finite; untouched arrays are not copied."""
    return {
        key: block if np.isfinite(block).all() else np.where(np.isfinite(block), block, np.zeros((), block.dtype))
        for key, block in blocks.items()
    }


def read_matrix(
    path: str | Path, *, array: str | None = None, id_column: str | None = None, nonfinite: NonFinite = "error"
) -> FeatureMatrix:
    """A feature matrix from a .mat, .npz, .npy or .csv file, as the block ``("matrix", "all")``.

    Args:
        path: The file. A .csv may have a header line.
        array: The array of a .mat or .npz to read; not needed where there is only one 2-D array.
        id_column: The column of a .csv with a header that holds video ids. An array of strings called ``ids`` in
            a .npz does the same.
        nonfinite: ``"error"`` names every cell that is not a finite number; ``"zero"`` puts 0 there, which is what
            the published reference results did.

    Raises:
        FeatureError: If the file is missing, is none of these, or holds no such matrix.
    """
    file = Path(path)
    readers = {".mat": _read_mat, ".npz": _read_npz, ".npy": _read_npy, ".csv": _read_csv}
    if nonfinite not in ("error", "zero"):
        raise ConfigError(f"features.nonfinite={nonfinite} is unknown", found="error, zero")
    if file.suffix.lower() not in readers:
        raise FeatureError(f"cannot tell what kind of feature matrix {file} is", found=", ".join(readers))
    if not file.is_file():
        raise FeatureError(f"there is no feature matrix {file}", advice="check features.path")
    if array is not None and file.suffix.lower() not in _MANY:
        problem = f"{file} holds a single matrix without a name, so none called {array}"
        raise FeatureError(problem, advice=f"leave out features.array, or give a {' or '.join(_MANY)} file")
    values, ids = readers[file.suffix.lower()](file, array, id_column)
    if id_column is not None and ids is None:
        advice = "a .csv with that column, an .npz with an array of strings called ids, or no features.id_column"
        raise FeatureError(f"{file} has no column {id_column}, nor ids of another kind", advice=advice)
    if values.ndim != 2 or 0 in values.shape:
        raise FeatureError(f"{file} holds an array of shape {list(values.shape)}, not [videos, columns]")
    blocks = {MATRIX_BLOCK: values if values.dtype == np.float32 else values.astype(np.float64)}
    blocks = with_zeros(blocks) if nonfinite == "zero" else blocks
    return FeatureMatrix(ids or [str(row) for row in range(len(values))], blocks, carries_ids=ids is not None)


_Read = tuple[FloatArray, list[str] | None]


def _pick(arrays: Mapping[str, Any], name: str | None, file: Path) -> FloatArray:
    usable = {
        key: value
        for key, value in arrays.items()
        if isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind in "fiu" and not key.startswith("__")
    }
    if name is None and len(usable) == 1:
        return next(iter(usable.values()))
    if name in usable:
        return usable[name]
    asked = "one matrix" if name is None else f"a matrix called {name}"
    if not usable:
        advice = "one row a video, one column a feature"
        raise FeatureError(f"cannot find {asked} in {file}", found="no 2-D array of numbers", advice=advice)
    found = ", ".join(f"{key} {list(value.shape)}" for key, value in usable.items())
    raise FeatureError(f"cannot find {asked} in {file}", found=found, advice="name it with features.array")


def _read_mat(file: Path, name: str | None, id_column: str | None) -> _Read:
    try:
        arrays = load_mat(file)
    except MatFileError as error:
        raise FeatureError(f"{file} {error}", advice=error.advice and f"{error.advice}, or as .npz") from error
    return _pick(arrays, name, file), None


def _read_npz(file: Path, name: str | None, id_column: str | None) -> _Read:
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except _DAMAGE as error:
        raise FeatureError(f"cannot read {file} as an .npz file: {error}") from error
    ids = arrays.get("ids")
    named = [str(i) for i in ids] if ids is not None and ids.ndim == 1 and ids.dtype.kind in "US" else None
    return _pick(arrays, name, file), named


def _read_npy(file: Path, name: str | None, id_column: str | None) -> _Read:
    try:
        return _pick({"array": np.load(file, allow_pickle=False)}, None, file), None
    except _DAMAGE as error:
        raise FeatureError(f"cannot read {file} as an .npy file: {error}") from error


def _read_csv(file: Path, name: str | None, id_column: str | None) -> _Read:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = [row for row in csv.reader(stream) if row]
    except UnicodeDecodeError as error:
        raise FeatureError(f"{file} is not UTF-8 text", advice="save it as UTF-8") from error
    except csv.Error as error:
        raise FeatureError(f"{file} is not valid CSV ({error})") from error
    header = rows.pop(0) if rows and not all(_is_number(cell) for cell in rows[0]) else None
    if id_column is not None and (header is None or id_column not in header):
        found = "no header" if header is None else ", ".join(header[:_NAMED_COLUMNS])
        raise FeatureError(f"{file} has no column {id_column}", found=found, advice="check features.id_column")
    key = None if id_column is None or header is None else header.index(id_column)
    if len({len(row) for row in (rows if header is None else [header, *rows])}) > 1:
        raise FeatureError(f"the lines of {file} differ in their number of columns")
    ids = None if key is None else [row[key] for row in rows]
    cells = [[cell for i, cell in enumerate(row) if i != key] for row in rows]
    for line, row in enumerate(cells):
        wrong = next((cell for cell in row if not _is_number(cell)), None)
        if wrong is not None:
            advice = "name the column of ids with features.id_column; every other column must hold numbers"
            raise FeatureError(f"{file} has {wrong!r} in data line {line}, which is no number", advice=advice)
    return np.array([[float(cell) for cell in row] for row in cells]), ids


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
