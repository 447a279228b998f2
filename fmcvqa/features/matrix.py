"""Feature matrices: one row per video, one block of columns per (tap, pool)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fmcvqa.errors import FeatureError
from fmcvqa.features.sketch import count_sketch

Block = tuple[str, str]
FloatArray = npt.NDArray[np.floating[Any]]

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
        """The matrix with these rows only, in this order.

        Raises:
            IndexError: If there is no such row.
        """
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
