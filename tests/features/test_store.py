"""The store: what is written is read, and nothing else is taken for it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fmcvqa.data.records import VideoRecord
from fmcvqa.errors import Damage, StoreError
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.features.store import FeatureStore, SourceStamp
from fmcvqa.sealed import DamagedError

RECIPE = FeatureRecipe(taps=("A.1", "B")).bind(backbone="net", weights="ab12", decoder="pyav", decoder_version="18.1.0")
WIDTHS = {("A.1", "mean"): 6, ("A.1", "max"): 6, ("B", "mean"): 4, ("B", "max"): 4}
Blocks = dict[tuple[str, str], np.ndarray]


def blocks(seed: int) -> Blocks:
    rng = np.random.default_rng(seed)
    return {block: rng.normal(size=width).astype(np.float32) for block, width in WIDTHS.items()}


def equal(one: Blocks, other: Blocks) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


@pytest.fixture
def records(tmp_path: Path) -> list[VideoRecord]:
    made = []
    for k, name in enumerate(("one", "two words", "3339962845")):
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(bytes([k]) * 1000)
        made.append(VideoRecord(name, path, float(k)))
    return made


@pytest.fixture
def store(tmp_path: Path, records: list[VideoRecord]) -> FeatureStore:
    made = FeatureStore(tmp_path / "cache", "KoNViD-1k", RECIPE)
    for k, record in enumerate(records):
        made.write(record, blocks(k), frames=10 + k, reader="pyav")
    return made


def test_what_is_written_is_read_by_any_store_of_the_recipe(
    store: FeatureStore, records: list[VideoRecord], tmp_path: Path
) -> None:
    again = FeatureStore(str(tmp_path / "cache"), "konvid 1K", RECIPE)
    assert again.folder == tmp_path / "cache" / "konvid_1k" / RECIPE.key()[:32]
    for k, record in enumerate(records):
        found, entry = again.read(record.id)
        assert equal(found, blocks(k))
        assert (entry["video"], entry["frames"], entry["reader"]) == (record.id, 10 + k, "pyav")
        assert entry["key"] == RECIPE.key()
        assert again.source_digest(record.id) == SourceStamp.of(record.path).sha256
    assert again.missing(records) == []
    assert FeatureRecipe.from_dict(json.loads((store.folder / "recipe.json").read_text())) == RECIPE
    assert sorted(path.name for path in store.folder.iterdir()) == [
        "3339962845.safetensors",
        "one.safetensors",
        "recipe.json",
        "two words.safetensors",
    ]


def test_a_mark_stays_with_its_features(store: FeatureStore, records: list[VideoRecord], tmp_path: Path) -> None:
    allowing = replace(RECIPE, damage="mark")
    marking = FeatureStore(tmp_path / "cache", "KoNViD-1k", allowing)
    damage = Damage("E_CORRUPT", "7 good frames, then: a damaged packet")
    marking.write(records[0], blocks(0), frames=7, reader="pyav", damage=damage)
    marking.write(records[1], blocks(1), frames=11, reader="pyav")
    again = FeatureStore(tmp_path / "cache", "KoNViD-1k", allowing)
    assert again.missing(records) == records[2:]
    assert again.damaged([record.id for record in records[:2]]) == {records[0].id: damage}
    assert "damage" not in again.read(records[1].id)[1]
    marking.write(records[0], blocks(0), frames=30, reader="pyav")  # the file was mended
    assert marking.damaged([records[0].id]) == {}
    assert store.damaged([record.id for record in records]) == {}


def test_rows_follow_the_ids_and_blocks_the_layers(store: FeatureStore) -> None:
    matrix = store.load(["two words", "one"], ["B", "A.1"], ["max"])
    assert matrix.ids == ["two words", "one"]
    assert list(matrix.blocks) == [("B", "max"), ("A.1", "max")]
    for row, seed in enumerate((1, 0)):
        assert np.array_equal(matrix.blocks["A.1", "max"][row], blocks(seed)["A.1", "max"])
        assert np.array_equal(matrix.blocks["B", "max"][row], blocks(seed)["B", "max"])


def test_missing_videos_are_named(store: FeatureStore) -> None:
    with pytest.raises(StoreError) as caught:
        store.load(["nine", "one", "ten"], ["B"], ["mean"])
    assert str(caught.value) == (
        f"2 of 3 videos have no features in {store.folder}: nine, ten. "
        "Try: fmcvqa extract with the same settings; finished videos are kept"
    )
    with pytest.raises(KeyError, match="nine"):
        store.read("nine")


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "foreign"])
def test_a_damaged_entry_is_set_aside_and_made_again(
    harm: str, store: FeatureStore, records: list[VideoRecord]
) -> None:
    path = store.path("one")
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes({"flip": bytes(data), "cut": data[:-10], "empty": b"", "foreign": b"not an entry"}[harm])
    harmed = path.read_bytes()
    assert store.missing(records) == records[:1]
    assert not path.exists()
    assert path.with_suffix(".damaged").read_bytes() == harmed
    store.write(records[0], blocks(0), frames=10, reader="pyav")
    assert store.missing(records) == []
    assert equal(store.read("one")[0], blocks(0))


def test_a_damaged_entry_is_never_loaded(store: FeatureStore) -> None:
    data = bytearray(store.path("one").read_bytes())
    data[-3] ^= 4
    store.path("one").write_bytes(data)
    with pytest.raises(DamagedError, match="has changed since it was written"):
        store.read("one")
    with pytest.raises(StoreError, match=r"^1 of 2 videos have no features in .*: one\. Try: fmcvqa extract"):
        store.load(["one", "3339962845"], ["B"], ["mean"])


def test_a_changed_source_is_missing_and_a_touched_one_is_not(store: FeatureStore, records: list[VideoRecord]) -> None:
    os.utime(records[0].path, ns=(0, 0))
    assert store.missing(records) == []
    records[1].path.write_bytes(b"\xff" * 1000)  # of the same size
    assert store.missing(records) == records[1:2]
    records[2].path.write_bytes(b"longer" * 1000)
    assert store.missing(records) == records[1:]
    before = store.source_digest(records[1].id)
    store.write(records[1], blocks(5), frames=10, reader="pyav")
    assert store.missing(records) == records[2:]
    assert store.source_digest(records[1].id) == SourceStamp.of(records[1].path).sha256 != before


def test_features_that_are_not_finite_are_refused(store: FeatureStore, records: list[VideoRecord]) -> None:
    bad = blocks(0)
    bad["A.1", "max"][2] = np.nan
    bad["B", "mean"][0] = np.inf
    with pytest.raises(StoreError) as caught:
        store.write(records[0], bad, frames=10, reader="pyav")
    assert str(caught.value) == "the features of one are not finite in A.1/max, B/mean"
    assert equal(store.read("one")[0], blocks(0))


@pytest.mark.parametrize(
    "other",
    [{"stride": 2}, {"weights": "cd34"}, {"decoder_version": "18.2.0"}, {"crop": 224}, {"batchnorm": "per_frame"}],
    ids=str,
)
def test_two_recipes_do_not_mix(
    other: dict[str, object], store: FeatureStore, records: list[VideoRecord], tmp_path: Path
) -> None:
    neighbour = FeatureStore(tmp_path / "cache", "KoNViD-1k", replace(RECIPE, **other))  # type: ignore[arg-type]
    assert neighbour.missing(records) == records
    neighbour.write(records[0], blocks(9), frames=1, reader="pyav")
    assert equal(store.read("one")[0], blocks(0))
    assert equal(neighbour.read("one")[0], blocks(9))


def test_a_disk_that_refuses_is_told(
    store: FeatureStore, records: list[VideoRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fmcvqa.features.store.write_sealed", refuse)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2e6))
    with pytest.raises(StoreError) as caught:
        store.write(records[0], blocks(3), frames=10, reader="pyav")
    assert str(caught.value) == (
        f"the features of one (0.0 MB) cannot be written to {store.folder}: No space left on device. "
        "Found: 2.0 MB free. Try: free space or choose another folder with paths.cache=; finished videos are kept"
    )
    assert equal(store.read("one")[0], blocks(0))
