"""Where a regression's features come from: our store, or matrices from anybody's files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from fmcvqa.data.labels import CSVVideos
from fmcvqa.data.records import VideoDataset
from fmcvqa.errors import ConfigError
from fmcvqa.features.matrix import MATRIX_BLOCK, FeatureMatrix, fused
from fmcvqa.features.matrixfile import NonFinite, read_matrix
from fmcvqa.files import file_digest

if TYPE_CHECKING:
    from fmcvqa.features.recipe import FeatureRecipe
    from fmcvqa.tasks.extract import Extraction


@dataclass(frozen=True)
class LabelledFeatures:
    """Features and labels that belong together, the features still to be read.

    Attributes:
        ids: One id per video.
        mos: MOS per video, [N].
        identity: SHA-256 that changes with any feature or label.
        read: Reads the features, rows in the order of ``ids``.
        origin: Folder in the store, or file, that holds them.
        damaged: How many videos are marked as damaged.
    """

    ids: list[str]
    mos: npt.NDArray[np.float64]
    identity: str
    read: Callable[[], FeatureMatrix]
    origin: Path
    damaged: int = 0


class FeatureSource(Protocol):
    """Layers and poolings of a cell, and how to get at them."""

    layers: list[str]
    pools: list[str]

    def open(self, dataset: VideoDataset, extraction: Callable[[], Extraction]) -> LabelledFeatures:
        """The dataset's features with its labels."""
        ...


class StoreFeatures:
    """Our own features; what the store lacks is extracted first.

    Args:
        layers: Taps a cell uses.
        pools: Poolings a cell uses, of those of the recipe.
        sketch: Numbers of each tap and pool a cell uses, sketched from all of them where the recipe keeps all; None
            for as many as there are.
        sketch_seed: Which sketch.
        shared: Read all taps and pools of the recipe at once, for the cells of a multirun to share; else only those
            of this cell, for recipes too wide for the memory.
    """

    def __init__(
        self,
        layers: Sequence[str],
        pools: Sequence[str] = ("mean", "max"),
        *,
        sketch: int | None = None,
        sketch_seed: int = 0,
        shared: bool = True,
    ) -> None:
        self.layers, self.pools = list(layers), list(pools)
        self.sketch, self.sketch_seed, self.shared = sketch, sketch_seed, shared

    def open(self, dataset: VideoDataset, extraction: Callable[[], Extraction]) -> LabelledFeatures:
        """The dataset's features in the store, with its labels.

        Raises:
            DatasetError: If the dataset is not complete.
            SomeFailedError: If videos could not be read.
            ConfigError: If a layer is not among the recipe's taps, a pool not among its pools, or the recipe keeps
                another sketch.
        """
        records = dataset.records()
        made = extraction()
        taps, pools = made.recipe.taps, made.recipe.pools
        _refuse_others("layer", self.layers, "taps", taps)
        _refuse_others("pool", self.pools, "pools", pools)
        later = self._sketched_later(made.recipe)
        store = made.ensure(dataset.name, records)
        ids = [record.id for record in records]
        mos = np.array([record.mos for record in records], dtype=np.float64)
        sources = [store.source_digest(video_id) for video_id in ids]
        more = [f"sketch {self.sketch} {self.sketch_seed}"] if later else []
        identity = _identity(made.recipe.key(), ids, mos, sources + more)
        blocks = (taps, pools) if self.shared else (self.layers, self.pools)

        def read() -> FeatureMatrix:
            matrix = store.load(ids, *blocks)
            return matrix.sketched(self.sketch, self.sketch_seed) if later and self.sketch else matrix

        return LabelledFeatures(ids, mos, identity, read, store.folder, len(store.damaged(ids)))

    def _sketched_later(self, recipe: FeatureRecipe) -> bool:
        """Whether what is stored is still to be sketched."""
        if (self.sketch, self.sketch_seed) == (recipe.sketch, recipe.sketch_seed):
            return False
        if recipe.sketch is not None:
            raise ConfigError(
                f"features.sketch={self.sketch} features.sketch_seed={self.sketch_seed} cannot be had from a sketch",
                found=f"recipe.sketch={recipe.sketch} recipe.sketch_seed={recipe.sketch_seed}",
                advice="recipe.sketch=null, which keeps all numbers, or the same for both",
            )
        replace(recipe, sketch=self.sketch, sketch_seed=self.sketch_seed)  # refuses what no recipe can have
        return self.sketch is not None


def _refuse_others(noun: str, asked: Sequence[str], field: str, extracted: Sequence[str]) -> None:
    unknown = [name for name in asked if name not in extracted]
    if unknown:
        raise ConfigError(
            f"features.{noun}s names {', '.join(unknown)}, which the recipe does not extract",
            found=f"recipe.{field} = {', '.join(extracted)}",
            advice=f"add the {noun} to recipe.{field}",
        )


class MatrixFeatures:
    """Feature matrices from files, joined to the labels by their ids where they have them, by row order elsewhere.

    Several matrices are fused as layers are: the kernel of a cell is the sum of its matrices' kernels.

    Args:
        path: A .mat, .npz, .npy or .csv file, whose layer is named ``matrix``; or several, by their layers' names.
        array: Array to read where a file holds several.
        id_column: Column of ids in a .csv.
        nonfinite: ``error``, or ``zero`` to put 0 in place of values that are not finite.
        layers: The matrices a cell uses.
        pools: Always ``all``.

    Raises:
        ConfigError: If a layer is none of the matrices.
    """

    def __init__(
        self,
        path: str | Path | Mapping[str, str | Path],
        *,
        array: str | None = None,
        id_column: str | None = None,
        nonfinite: NonFinite = "error",
        layers: Sequence[str] = ("matrix",),
        pools: Sequence[str] = ("all",),
    ) -> None:
        named = path if isinstance(path, Mapping) else {MATRIX_BLOCK[0]: path}
        self.paths = {name: Path(file) for name, file in named.items()}
        if not layers or not set(layers) <= set(self.paths) or list(pools) != [MATRIX_BLOCK[1]]:
            raise ConfigError(
                f"features.layers=[{','.join(layers)}] with features.pools=[{','.join(pools)}] of feature matrices",
                found=f"layers [{','.join(self.paths)}], pools [all]",
            )
        self.array, self.id_column = array, id_column
        self.nonfinite: NonFinite = nonfinite
        self.layers, self.pools = list(layers), list(pools)

    def open(self, dataset: VideoDataset, extraction: Callable[[], Extraction]) -> LabelledFeatures:
        """The matrices with the dataset's labels; no video is looked for.

        Raises:
            FeatureError: If a file holds no matrix that fits the labels.
            ConfigError: If neither a matrix carries ids nor the labels keep their file's order.
        """
        labels = dataset.labels()
        ids = [label.id for label in labels]
        mos = np.array([label.mos for label in labels], dtype=np.float64)
        read = {name: self._read(file, dataset) for name, file in self.paths.items()}
        digests = "".join(f"{name} {file_digest(file)}" for name, file in sorted(self.paths.items()))
        identity = _identity(digests, ids, mos, [str(self.array), str(self.id_column), self.nonfinite])
        origin = Path(os.path.commonpath([file.resolve() for file in self.paths.values()]))
        return LabelledFeatures(ids, mos, identity, lambda: fused(read, ids), origin)

    def _read(self, file: Path, dataset: VideoDataset) -> FeatureMatrix:
        matrix = read_matrix(file, array=self.array, id_column=self.id_column, nonfinite=self.nonfinite)
        if not matrix.carries_ids and not isinstance(dataset, CSVVideos):
            raise ConfigError(
                f"{file} carries no ids, so its rows cannot be told apart: {dataset.name} is ordered by id",
                advice="data=csv with labels in the matrix's order, or a matrix with ids (.npz, .csv)",
            )
        return matrix


def _identity(features: str, ids: list[str], mos: npt.NDArray[np.float64], more: list[str]) -> str:
    return hashlib.sha256(json.dumps([features, ids, mos.tolist(), more]).encode()).hexdigest()
