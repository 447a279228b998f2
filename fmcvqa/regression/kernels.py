"""Kernels that add: one N x N matrix per block and fold, shared by every cell, kernel and C.

The linear kernel of a concatenation of blocks is the sum of the blocks' kernels, and a radial basis function needs
only that sum and its diagonal. So each block is scaled and multiplied once per training fold, however many of the
14 cells of a table use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from scipy.linalg import blas

from fmcvqa.errors import ConfigError, FeatureError
from fmcvqa.features.matrix import Block, FeatureMatrix, FloatArray
from fmcvqa.regression.folds import Fold, FoldKernels, Moments, length, pack
from fmcvqa.regression.gram_cache import GramCache, GramFolder
from fmcvqa.regression.scaling import PER_FOLD, ColumnScale, Rows, column_scales, scale_rows, scale_samples

if TYPE_CHECKING:
    from fmcvqa.regression.torch_gram import TorchGram

Precision = Literal["float32", "float64"]

_COLUMNS_AT_ONCE = 4096  # a product this long hides the sum into float64 behind it
_SCALE_BYTES = 512 << 20


class KernelBank:
    """The kernels of a set of videos under any number of training folds.

    Args:
        features: The videos. Rows of ``target`` follow on its rows.
        target: A second set of videos, for ``cross``.
        precision: ``"float32"`` multiplies in float32 and adds chunks of columns in float64; ``"float64"`` does
            both in float64. Blocks of up to 4096 columns and scalings per sample, which are done once, are always
            float64: they cost little.
        device: ``"cpu"``, or where torch should multiply, such as ``"cuda"``. There, scalings per sample and cross
            with ``scaling=target``, which need few kernels, stay on the CPU.
        cache_bytes: Keep so many bytes of kernels in memory.
        folder: Keep kernels of blocks of more than 4096 columns on disk here too, for other processes.
        disk_bytes: Keep at most so many bytes in ``folder``.
        max_bytes: Refuse kernels of so many videos that their N x N working matrices are larger.

    Raises:
        FeatureError: If ``target`` lacks a block or has other columns.
        ConfigError: If there is no such precision or device.
    """

    def __init__(
        self,
        features: FeatureMatrix,
        *,
        target: FeatureMatrix | None = None,
        precision: Precision = "float32",
        device: str = "cpu",
        cache_bytes: int = 3 << 30,
        folder: str | Path | None = None,
        disk_bytes: int = 8 << 30,
        max_bytes: int = 12 << 30,
    ) -> None:
        if precision not in ("float32", "float64"):
            raise ConfigError(f"precision={precision} is unknown", found="float32, float64")
        self.features, self.target, self.precision = features, target, precision
        self.count = len(features) + (0 if target is None else len(target))
        self.max_bytes = max_bytes
        if target is not None:
            _refuse_other_columns(features, target)
        self._torch = None if device == "cpu" else _torch_gram(device)
        self._cache = GramCache(cache_bytes)
        if folder is not None:
            self._cache.disk = GramFolder(Path(folder), self._fingerprint(), disk_bytes)
        self._folds: dict[str, Fold] = {}
        self._scales: dict[tuple[str, Block], list[ColumnScale]] = {}
        self._moments: dict[tuple[str, Block], Moments] = {}

    def prepare(self, folds: Iterable[Fold]) -> None:
        """Say which folds will be asked for, in their order.

        Their statistics are then computed together, which is far quicker, and kernels of other folds make room.
        """
        self._folds = {fold.key: fold for fold in folds}
        self._scales = {}
        self._cache.current = set(self._folds)

    def fold(self, blocks: Iterable[Block], fold: Fold) -> FoldKernels:
        """The kernels of these blocks under a fold, from the cache as far as they are there.

        Raises:
            FeatureError: If a block does not exist, or there are too many videos.
        """
        if not self.fits:
            raise too_many(self.count, self.max_bytes)
        wanted = sorted(set(blocks))
        packed = {block: self._block(block, fold) for block in wanted}
        return FoldKernels(fold, self.count, packed, {block: self._moment(block, fold) for block in wanted})

    @property
    def fits(self) -> bool:
        """Whether there is room for N x N working matrices."""
        return working_bytes(self.count) <= self.max_bytes

    def against(self, block: Block, fold: Fold, rows: Rows) -> npt.NDArray[np.float64]:
        """The kernel ``[N, rows]`` of all videos with some, computed anew."""
        kind = self._kind(block, fold)
        total = np.zeros((self.count, len(rows)))
        for scaled in self._chunks(block, fold, kind):
            total += scaled @ scaled[rows].T
        return total

    def lengths(self, blocks: Iterable[Block], fold: Fold) -> npt.NDArray[np.float64]:
        """Euclidean length ``[N]`` of every video's concatenated blocks under a scaling per sample; 1 for 0."""
        return length(np.asarray(sum(self._moment(block, fold).squares for block in blocks)))

    def columns(self, block: Block, start: int, stop: int) -> FloatArray:
        """Unscaled columns ``[N, stop - start]`` of one block, the target's rows last."""
        part: FloatArray = self.features.blocks[block][:, start:stop]
        return part if self.target is None else np.concatenate([part, self.target.blocks[block][:, start:stop]])

    def width(self, block: Block) -> int:
        """Number of columns of a block.

        Raises:
            FeatureError: If there is no such block.
        """
        if block not in self.features.blocks:
            raise FeatureError(
                f"there are no features {block[0]}/{block[1]}",
                found=", ".join("/".join(known) for known in self.features.blocks),
                advice="choose layers and poolings among these, or extract the missing ones",
            )
        return int(self.features.blocks[block].shape[1])

    def scale(self, block: Block, fold: Fold) -> list[ColumnScale]:
        """The block's scaling by the fold; a second one for the rows ``fold.own``."""
        if (fold.key, block) not in self._scales:
            self._compute_scales(block, fold)
        return self._scales[fold.key, block]

    def _compute_scales(self, block: Block, fold: Fold) -> None:
        together = self._next_folds(fold)
        width = self.width(block)
        whole = self.features.blocks[block] if self.target is None else self.columns(block, 0, width)
        row_sets = [rows for known in together for rows in known.row_sets]
        found = iter(column_scales(whole, row_sets, fold.scaler))
        self._scales = {key: value for key, value in self._scales.items() if key[1] != block}
        for known in together:
            scales = [next(found) for _ in known.row_sets]
            self._scales[known.key, block] = scales
            self._moments[known.key, block] = Moments(width, scales[0].total, scales[0].squares)

    def _next_folds(self, fold: Fold) -> list[Fold]:
        """This fold and the announced ones behind it, as many as the memory for statistics holds."""
        room = max(1, _SCALE_BYTES // (16 * self.features.columns))
        keys = list(self._folds)
        place = keys.index(fold.key) if fold.key in keys else len(keys)
        behind = [self._folds[key] for key in keys[place + 1 :] if self._folds[key].scaler == fold.scaler]
        return [fold, *behind[: room - 1]]

    def _moment(self, block: Block, fold: Fold) -> Moments:
        if (fold.key, block) not in self._moments:
            if fold.scaler in PER_FOLD:
                self.scale(block, fold)
            else:
                self._moments[fold.key, block] = self._row_moments(block, fold)
        return self._moments[fold.key, block]

    def _row_moments(self, block: Block, fold: Fold) -> Moments:
        total, squares = np.zeros(self.count), np.zeros(self.count)
        for scaled in self._chunks(block, fold, np.dtype(np.float64)):
            total += scaled.sum(axis=1)
            squares += np.square(scaled).sum(axis=1)
        return Moments(self.width(block), total, squares)

    def _block(self, block: Block, fold: Fold) -> FloatArray:
        name = "-".join([self.precision, *block])
        dear = self.width(block) > _COLUMNS_AT_ONCE  # reading a narrow block's kernel takes longer than computing it
        held = self._cache.get(fold.key, name, self.count * (self.count + 1) // 2, on_disk=dear)
        if held is None:
            held = self._packed(block, fold)
            self._cache.put(fold.key, name, held, on_disk=dear)
        return held

    def _kind(self, block: Block, fold: Fold) -> np.dtype[np.floating]:
        cheap = fold.scaler not in PER_FOLD or self.width(block) <= _COLUMNS_AT_ONCE
        return np.dtype("float64" if cheap else self.precision)

    def _packed(self, block: Block, fold: Fold) -> FloatArray:
        kind = self._kind(block, fold)
        if self._torch is not None and fold.scaler in PER_FOLD and fold.own is None:
            raw = self.columns(block, 0, self.width(block))
            return self._torch.packed(block, raw, self.scale(block, fold)[0], kind)
        syrk = blas.ssyrk if kind == np.float32 else blas.dsyrk
        total = np.zeros((self.count, self.count), order="F")
        part = np.zeros((self.count, self.count), kind, order="F")
        for scaled in self._chunks(block, fold, kind):
            part = syrk(1.0, scaled.T, beta=0.0, c=part, trans=1, overwrite_c=1)
            total += part
        return pack(total.T).astype(kind)  # the upper triangle by columns is the lower one by rows

    def _chunks(self, block: Block, fold: Fold, kind: np.dtype[np.floating]) -> Iterable[FloatArray]:
        """The scaled block ``[N, columns]`` in chunks of columns; each is overwritten by the next."""
        scales = self.scale(block, fold) if fold.scaler in PER_FOLD else []
        width = self.width(block)
        buffer = np.empty(self.count * min(width, _COLUMNS_AT_ONCE), kind)
        for start in range(0, width, _COLUMNS_AT_ONCE):
            stop = min(start + _COLUMNS_AT_ONCE, width)
            out = buffer[: self.count * (stop - start)].reshape(self.count, stop - start)
            raw = self.columns(block, start, stop)
            if scales:
                scale_rows(raw, scales[0].part(start, stop), out)
            else:
                scale_samples(raw, fold.scaler, out)
            if fold.own is not None:
                out[fold.own] = (raw[fold.own] - scales[1].shift[start:stop]) / scales[1].scale[start:stop]
            yield out

    def _fingerprint(self) -> str:
        parts = [part.fingerprint() for part in (self.features, self.target) if part is not None]
        return hashlib.sha256("".join(parts).encode()).hexdigest()[:32]


def working_bytes(count: int) -> int:
    """Bytes of N x N working matrices for so many videos."""
    return 4 * 8 * count**2


def too_many(count: int, max_bytes: int) -> FeatureError:
    """What to say where so many videos need larger working matrices."""
    return FeatureError(
        f"the kernels of {count} videos need {working_bytes(count) / 2**30:.1f} GiB of working memory",
        found=f"a limit of {max_bytes / 2**30:.1f} GiB",
        advice="regressor.kernel=linear with regressor.solver=primal, which needs none; fewer videos; or a larger "
        "kernels.max_gib",
    )


def _torch_gram(device: str) -> TorchGram:
    from fmcvqa.regression.torch_gram import TorchGram  # torch only where it is asked for

    return TorchGram(device)


def _refuse_other_columns(features: FeatureMatrix, target: FeatureMatrix) -> None:
    for key, block in features.blocks.items():
        theirs = target.blocks[key].shape[1] if key in target.blocks else 0
        if theirs != block.shape[1]:
            raise FeatureError(
                f"the target's block {'/'.join(key)} has {theirs} columns, the source's {block.shape[1]}",
                advice="extract both sets with the same recipe",
            )
