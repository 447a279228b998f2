"""Feature matrices: one row per video, one block of columns per (tap, pool); from the store or from anybody's file."""

from __future__ import annotations

import csv
import hashlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fmcvqa.errors import ConfigError, FeatureError
from fmcvqa.features.sketch import count_sketch

Block = tuple[str, str]
FloatArray = npt.NDArray[np.floating[Any]]
NonFinite = Literal["error", "zero"]

MATRIX_BLOCK: Block = ("matrix", "all")
_ROWS_AT_ONCE = 256
_NAMED_CELLS = 10


@dataclass(frozen=True)
class FeatureMatrix:
    """The pooled features of a set of videos.

    Attributes:
        ids: One id per row.
        blocks: Arrays ``[videos, columns]`` by (tap, pool); float32 from the store, float64 where a file has it.
        carries_ids: Whether ``ids`` name videos; False where a file held numbers only and ids are row numbers.

    Raises:
        FeatureError: If a block has another number of rows, is empty, or holds a value that is not finite.
    """

    ids: list[str]
    blocks: dict[Block, FloatArray]
    carries_ids: bool = True

    def __post_init__(self) -> None:
        if not self.blocks:
            raise FeatureError("there are no features", advice="name at least one layer and one pooling")
        if len(set(self.ids)) != len(self.ids):
            twice = sorted({i for i in self.ids if self.ids.count(i) > 1})
            raise FeatureError(f"{len(twice)} video ids occur more than once", found=", ".join(twice[:_NAMED_CELLS]))
        for (tap, pool), block in self.blocks.items():
            if block.ndim != 2 or block.shape[0] != len(self.ids) or block.shape[1] == 0:
                raise FeatureError(
                    f"block {tap}/{pool} has shape {list(block.shape)}, not [{len(self.ids)}, columns]",
                    advice="give one row per video",
                )
            _refuse_nonfinite(block, f"block {tap}/{pool}", self.ids if self.carries_ids else None)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def columns(self) -> int:
        """Number of columns of all blocks together."""
        return sum(block.shape[1] for block in self.blocks.values())

    def select(self, rows: Sequence[int] | npt.NDArray[np.intp]) -> FeatureMatrix:
        """The matrix with these rows only, in this order."""
        picked = np.asarray(rows, dtype=np.intp)
        blocks = {key: block[picked] for key, block in self.blocks.items()}
        return FeatureMatrix([self.ids[i] for i in picked], blocks, self.carries_ids)

    def aligned(self, ids: Sequence[str]) -> FeatureMatrix:
        """The matrix with one row per label, in the labels' order.

        Args:
            ids: The labels' ids. A matrix that carries ids is joined by them; one that does not must have as
                many rows, takes them over and is trusted to be in their order.

        Raises:
            FeatureError: If a label has no row, or the numbers of rows and labels differ.
        """
        if not self.carries_ids:
            if len(ids) != len(self.ids):
                raise FeatureError(
                    f"the feature matrix has {len(self.ids)} rows but there are {len(ids)} labels",
                    advice="give one row per label in the labels' order, or a matrix that carries ids",
                )
            return FeatureMatrix(list(ids), self.blocks)
        if list(ids) == self.ids:
            return self
        rows = {name: i for i, name in enumerate(self.ids)}
        missing = [name for name in ids if name not in rows]
        if missing:
            raise FeatureError(
                f"{len(missing)} of {len(ids)} labelled videos have no features: {', '.join(missing[:_NAMED_CELLS])}",
                found=f"{len(self.ids)} rows, the first of them {self.ids[0]}",
                advice="extract those videos, or leave their labels out",
            )
        return self.select([rows[name] for name in ids])

    def sketched(self, cells: int, seed: int = 0) -> FeatureMatrix:
        """The matrix with so many numbers of each block, as a recipe with this sketch would have stored them."""
        blocks: dict[Block, FloatArray] = {
            key: np.stack([count_sketch(row, cells, seed) for row in block]) for key, block in self.blocks.items()
        }
        return FeatureMatrix(self.ids, blocks, self.carries_ids)

    def fingerprint(self) -> str:
        """SHA-256 over ids, block names, shapes and every value."""
        digest = hashlib.sha256("\n".join(self.ids).encode())
        for key in sorted(self.blocks):
            block = np.ascontiguousarray(self.blocks[key])
            digest.update(f"{key} {block.dtype.str} {block.shape}".encode())
            digest.update(block.data)
        return digest.hexdigest()


def fused(matrices: Mapping[str, FeatureMatrix], ids: Sequence[str]) -> FeatureMatrix:
    """Matrices of one block each as one matrix whose blocks have their names.

    Args:
        matrices: By name.
        ids: The labels' ids, see :meth:`FeatureMatrix.aligned`.

    Raises:
        FeatureError: If a matrix does not fit the labels.
    """
    rows = {name: matrix.aligned(ids) for name, matrix in matrices.items()}
    blocks = {(name, MATRIX_BLOCK[1]): matrix.blocks[MATRIX_BLOCK] for name, matrix in rows.items()}
    return FeatureMatrix(list(ids), blocks)


def _refuse_nonfinite(block: FloatArray, what: str, ids: Sequence[str] | None) -> None:
    cells = [
        (start + int(row), int(column))
        for start in range(0, block.shape[0], _ROWS_AT_ONCE)
        for row, column in np.argwhere(~np.isfinite(block[start : start + _ROWS_AT_ONCE]))
    ]
    if cells:
        names = [f" ({name})" for name in ids] if ids else [""] * len(block)
        shown = [f"row {row}{names[row]} column {column}" for row, column in cells[:_NAMED_CELLS]]
        more = f" and {len(cells) - len(shown)} more" if len(shown) < len(cells) else ""
        raise FeatureError(
            f"{what} holds {len(cells)} values that are not finite numbers: {', '.join(shown)}{more}",
            advice="repair them, leave those videos out, or set features.nonfinite=zero to put 0 in their place",
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
    values, ids = readers[file.suffix.lower()](file, array, id_column)
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
    found = ", ".join(f"{key} {list(value.shape)}" for key, value in usable.items()) or "no 2-D array of numbers"
    raise FeatureError(f"cannot find {asked} in {file}", found=found, advice="name it with features.array")


def _read_mat(file: Path, name: str | None, id_column: str | None) -> _Read:
    from scipy.io import loadmat  # here: not every reader needs scipy
    from scipy.io.matlab import MatReadError

    try:
        arrays = loadmat(file)
    except (MatReadError, ValueError, TypeError, LookupError, NotImplementedError, OSError, zlib.error) as error:
        advice = "save it with -v7 or as .npz; version 7.3 files are HDF5"
        raise FeatureError(f"cannot read {file} as a MATLAB file: {error}", advice=advice) from error
    return _pick(arrays, name, file), None


def _read_npz(file: Path, name: str | None, id_column: str | None) -> _Read:
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise FeatureError(f"cannot read {file} as an .npz file: {error}") from error
    ids = arrays.get("ids")
    named = [str(i) for i in ids] if ids is not None and ids.ndim == 1 and ids.dtype.kind in "US" else None
    return _pick(arrays, name, file), named


def _read_npy(file: Path, name: str | None, id_column: str | None) -> _Read:
    try:
        return _pick({"array": np.load(file, allow_pickle=False)}, None, file), None
    except (ValueError, OSError) as error:
        raise FeatureError(f"cannot read {file} as an .npy file: {error}") from error


def _read_csv(file: Path, name: str | None, id_column: str | None) -> _Read:
    with file.open(newline="", encoding="utf-8-sig") as stream:
        rows = [row for row in csv.reader(stream) if row]
    header = rows.pop(0) if rows and not all(_is_number(cell) for cell in rows[0]) else None
    if id_column is not None and (header is None or id_column not in header):
        found = "no header" if header is None else ", ".join(header[:_NAMED_CELLS])
        raise FeatureError(f"{file} has no column {id_column}", found=found, advice="check features.id_column")
    key = None if id_column is None or header is None else header.index(id_column)
    ids = None if key is None else [row[key] for row in rows]
    if len({len(row) for row in rows}) > 1:
        raise FeatureError(f"the lines of {file} differ in their number of columns")
    cells = [[cell for i, cell in enumerate(row) if i != key] for row in rows]
    for line, row in enumerate(cells):
        wrong = next((cell for cell in row if not _is_number(cell)), None)
        if wrong is not None:
            advice = "name the column of ids with features.id_column; every other column must hold numbers"
            raise FeatureError(f"{file} has {wrong!r} in data line {line}, which is no number", advice=advice)
    return np.array(cells, dtype=np.float64), ids


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
