"""Where a regression's features come from, and what ties them to their labels."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny import labelled

from fmcvqa.data.labels import CSVVideos, KoNViD1k
from fmcvqa.data.records import VideoDataset
from fmcvqa.errors import ConfigError, FeatureError
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.tasks.sources import LabelledFeatures, MatrixFeatures, StoreFeatures

VALUES = np.arange(8, dtype=np.float64).reshape(4, 2)
IDS = ["v0", "v1", "v2", "v3"]


@pytest.fixture
def labels(tmp_path: Path) -> CSVVideos:
    rows = [f"{name},{3 - k / 2}" for k, name in enumerate(IDS)]
    (tmp_path / "labels.csv").write_text("id,mos\n" + "\n".join(rows) + "\n")
    return CSVVideos(tmp_path / "labels.csv", id_column="id")


@pytest.fixture
def konvid(tmp_path: Path) -> KoNViD1k:
    folder = tmp_path / "konvid"
    folder.mkdir()
    lines = [f'"{name}","{mos}"' for name, mos in (("30", 4.5), ("10", 3.5), ("20", 2.5))]
    (folder / "KoNViD_1k_mos.csv").write_text('"flickr_id","mos"\n' + "\n".join(lines) + "\n")
    return KoNViD1k(folder, expected=3)


def no_network() -> Any:
    raise AssertionError("a matrix needs no network")


def opened(features: MatrixFeatures, dataset: Any) -> LabelledFeatures:
    return features.open(dataset, no_network)


def test_rows_without_ids_are_in_the_labels_order(tmp_path: Path, labels: CSVVideos) -> None:
    np.save(tmp_path / "m.npy", VALUES)
    found = opened(MatrixFeatures(tmp_path / "m.npy"), labels)
    assert found.ids == IDS
    assert found.mos.tolist() == [3.0, 2.5, 2.0, 1.5]
    matrix = found.read()
    assert matrix.ids == IDS
    assert np.array_equal(matrix.blocks["matrix", "all"], VALUES)


def test_rows_with_ids_are_joined_by_them(tmp_path: Path, labels: CSVVideos, konvid: KoNViD1k) -> None:
    np.savez(tmp_path / "m.npz", ids=IDS[::-1], x=VALUES)
    found = opened(MatrixFeatures(tmp_path / "m.npz"), labels)
    assert np.array_equal(found.read().blocks["matrix", "all"], VALUES[::-1])
    lines = ["name,a,b", "10,0,1", "20,2,3", "30,4,5", "40,6,7"]
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    found = opened(MatrixFeatures(tmp_path / "m.csv", id_column="name"), konvid)
    expected = {"10": [0, 1], "20": [2, 3], "30": [4, 5]}
    rows = found.read().blocks["matrix", "all"].tolist()
    assert dict(zip(found.ids, rows, strict=True)) == expected
    assert dict(zip(found.ids, found.mos, strict=True)) == {"10": 3.5, "20": 2.5, "30": 4.5}


def test_rows_without_ids_are_refused_where_labels_have_no_order(tmp_path: Path, konvid: KoNViD1k) -> None:
    np.save(tmp_path / "m.npy", VALUES[:3])
    with pytest.raises(ConfigError) as caught:
        opened(MatrixFeatures(tmp_path / "m.npy"), konvid)
    assert str(caught.value) == (
        f"{tmp_path / 'm.npy'} carries no ids, so its rows cannot be told apart: KoNViD-1k is ordered by id. "
        "Try: data=csv with labels in the matrix's order, or a matrix with ids (.npz, .csv)"
    )


def test_a_label_without_a_row_is_named(tmp_path: Path, labels: CSVVideos) -> None:
    np.savez(tmp_path / "m.npz", ids=["v0", "v1", "v3"], x=VALUES[:3])
    with pytest.raises(FeatureError) as caught:
        opened(MatrixFeatures(tmp_path / "m.npz"), labels).read()
    assert str(caught.value).startswith("1 of 4 labelled videos have no features: v2. Found: 3 rows")


def test_a_layer_is_one_of_the_matrices(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        MatrixFeatures(tmp_path / "m.npy", layers=["Mixed_5b"])
    assert str(caught.value) == (
        "features.layers=[Mixed_5b] with features.pools=[all] of feature matrices. Found: layers [matrix], pools [all]"
    )
    with pytest.raises(ConfigError):
        MatrixFeatures(tmp_path / "m.npy", pools=["mean"])
    with pytest.raises(ConfigError) as caught:
        MatrixFeatures({"a": tmp_path / "m.npy", "b": tmp_path / "n.npy"}, layers=["a", "c"])
    assert str(caught.value).endswith("Found: layers [a,b], pools [all]")


def test_several_matrices_are_a_layer_each(tmp_path: Path, labels: CSVVideos) -> None:
    np.savez(tmp_path / "a.npz", ids=IDS[::-1], x=VALUES[::-1])
    np.save(tmp_path / "b.npy", VALUES[:, :1] * 10)
    both = MatrixFeatures({"a": tmp_path / "a.npz", "b": tmp_path / "b.npy"}, layers=["b"])
    found = opened(both, labels)
    assert found.origin == tmp_path
    matrix = found.read()
    assert set(matrix.blocks) == {("a", "all"), ("b", "all")}
    assert np.array_equal(matrix.blocks["a", "all"], VALUES)
    assert np.array_equal(matrix.blocks["b", "all"], VALUES[:, :1] * 10)
    np.save(tmp_path / "b.npy", VALUES[:, :1] * 11)
    assert opened(both, labels).identity != found.identity
    np.save(tmp_path / "b.npy", VALUES[:3, :1])
    with pytest.raises(FeatureError, match="the feature matrix has 3 rows but there are 4 labels"):
        opened(both, labels).read()


def test_identity_sees_features_labels_and_how_they_are_read(tmp_path: Path, labels: CSVVideos) -> None:
    def identity(dataset: CSVVideos = labels, **options: Any) -> str:
        return opened(MatrixFeatures(tmp_path / "m.npy", **options), dataset).identity

    np.save(tmp_path / "m.npy", VALUES)
    before = identity()
    assert identity() == before
    assert identity(nonfinite="zero") != before
    np.save(tmp_path / "m.npy", VALUES + 1e-9)
    assert identity() != before
    np.save(tmp_path / "m.npy", VALUES)
    assert identity() == before
    (tmp_path / "labels.csv").write_text((tmp_path / "labels.csv").read_text().replace("1.5", "1.6"))
    assert identity(CSVVideos(tmp_path / "labels.csv", id_column="id")) != before


class Made:
    """Stands for an extraction whose store is full."""

    recipe = FeatureRecipe(taps=("A", "B")).bind(backbone="n", weights="w", decoder="d", decoder_version="1")

    def __init__(self) -> None:
        self.loads: list[Any] = []
        self.marked: set[str] = set()
        self.digests = {"a": "aa", "b": "bb"}

    def ensure(self, name: str, records: Any) -> Any:
        return SimpleNamespace(
            folder=Path("s"),
            source_digest=self.digests.get,
            load=lambda *asked: self.loads.append(asked),
            damaged=lambda ids: {video_id: "E_CORRUPT" for video_id in ids if video_id in self.marked},
        )


def test_the_store_is_asked_for_all_taps_at_once(tmp_path: Path) -> None:
    dataset: VideoDataset = CSVVideos(labelled(tmp_path, ["a", "b"], count=2))
    made: Any = Made()
    found = StoreFeatures(["B"]).open(dataset, lambda: made)
    assert found.ids == ["a", "b"]
    assert found.mos.tolist() == [1.0, 2.0]
    assert made.loads == []
    found.read()
    assert made.loads == [(["a", "b"], ("A", "B"), ("mean", "max"))]
    assert StoreFeatures(["A"], ["max"]).open(dataset, lambda: made).identity == found.identity
    own = StoreFeatures(["B"], ["max"], shared=False).open(dataset, lambda: made)
    own.read()
    assert made.loads[1:] == [(["a", "b"], ["B"], ["max"])]
    assert own.identity == found.identity
    made.digests["b"] = "another file"
    assert StoreFeatures(["B"]).open(dataset, lambda: made).identity != found.identity
    assert found.damaged == 0
    made.marked = {"b", "of another set"}
    assert StoreFeatures(["B"]).open(dataset, lambda: made).damaged == 1


def test_a_sketch_of_what_is_stored_is_in_the_identity(tmp_path: Path) -> None:
    dataset: VideoDataset = CSVVideos(labelled(tmp_path, ["a", "b"], count=2))
    made: Any = Made()
    all_of_it, sketches = StoreFeatures(["A"]), [StoreFeatures(["A"], sketch=8, sketch_seed=seed) for seed in (0, 1)]
    assert len({source.open(dataset, lambda: made).identity for source in (all_of_it, *sketches)}) == 3
    with pytest.raises(ConfigError) as caught:
        StoreFeatures(["A"], sketch=0).open(dataset, lambda: made)
    assert str(caught.value) == "recipe.sketch is 0. Try: recipe.sketch = numbers from 1, or null for all"


def test_a_layer_or_pool_that_is_not_extracted_is_told(tmp_path: Path) -> None:
    made: Any = Made()
    with pytest.raises(ConfigError) as caught:
        StoreFeatures(["A", "C"]).open(CSVVideos(labelled(tmp_path, ["a"], count=2)), lambda: made)
    assert str(caught.value) == (
        "features.layers names C, which the recipe does not extract. "
        "Found: recipe.taps = A, B. Try: add the layer to recipe.taps"
    )
    with pytest.raises(ConfigError) as caught:
        StoreFeatures(["A"], ["mean", "std"]).open(CSVVideos(labelled(tmp_path, ["a"], count=2)), lambda: made)
    assert str(caught.value) == (
        "features.pools names std, which the recipe does not extract. "
        "Found: recipe.pools = mean, max. Try: add the pool to recipe.pools"
    )
