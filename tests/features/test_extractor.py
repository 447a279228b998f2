"""The fast way to pooled features against the slow one, and everything they must not depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
import torch
from barcode import write_clip
from damage import cut_clip, moving
from tiny import TAPS, clip, damage

from fmcvqa.data.decoding import PyAVDecoder
from fmcvqa.data.frames import FrameBatch
from fmcvqa.data.records import VideoRecord
from fmcvqa.errors import ConfigError, VideoError
from fmcvqa.features import streaming
from fmcvqa.features.extractor import GramExtractor, PooledFeatures
from fmcvqa.features.pooling import POOLS
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.features.sketch import count_sketch
from fmcvqa.features.streaming import extract_features
from fmcvqa.features.windows import WindowFeatures, WindowPools
from fmcvqa.models.backbones import load_backbone
from fmcvqa.models.trunk import Trunk

RECIPE = FeatureRecipe(taps=TAPS, resize=64, crop=48)


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    return Trunk("squeezenet1_1", TAPS, "none")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[VideoRecord]:
    folder = tmp_path_factory.mktemp("clips")
    lengths = {"a": 33, "b": 7, "c": 16}
    return [VideoRecord(name, clip(folder / f"{name}.mp4", n, seed=n), 3.0) for name, n in lengths.items()]


def extract(
    records: list[VideoRecord], trunk: Trunk, recipe: FeatureRecipe = RECIPE, **options: Any
) -> dict[str, PooledFeatures]:
    found: dict[str, PooledFeatures] = {}
    settings: dict[str, Any] = {"num_workers": 0, "progress": False, "trainer": {"accelerator": "cpu"}} | options
    extract_features(
        records, trunk, recipe, PyAVDecoder(), done=lambda pooled: found.update({pooled.video_id: pooled}), **settings
    )
    return found


def difference(one: dict[Any, Any], other: dict[Any, Any]) -> float:
    """Largest difference of a block over its largest value, of the worst block."""
    assert one.keys() == other.keys()
    return max(float(np.abs(one[key] - other[key]).max() / np.abs(other[key]).max()) for key in one)


def test_inception_v3_equals_the_slow_reference(tmp_path: Path) -> None:
    recipe = FeatureRecipe()
    path = clip(tmp_path / "clip.mp4", 3, width=400, height=320)
    trunk = Trunk("inception_v3", recipe.taps, "none", seed=3)
    pooled = extract([VideoRecord("clip", path, 3.0)], trunk, recipe, chunk_frames=2)["clip"]
    network = load_backbone("inception_v3", "none", seed=3)
    slow = reference.video_features(path, network, recipe.taps, resize=299, crop=299)
    assert difference(pooled.blocks, slow) < 1e-5
    widths = {"Mixed_5b": 32_896, "Mixed_5c": 41_616, "avgpool": 2_048}
    assert {block: values.shape for block, values in pooled.blocks.items()} == {
        (tap, pool): (width,) for tap, width in widths.items() for pool in ("mean", "max")
    }
    assert all(values.dtype == np.float32 for values in pooled.blocks.values())
    assert not np.array_equal(pooled.blocks["Mixed_5b", "mean"], pooled.blocks["Mixed_5b", "max"])


@pytest.mark.parametrize("name", ["resnet50", "squeezenet1_1"])
def test_other_backbones_equal_it_too(name: str, tmp_path: Path) -> None:
    taps = {"resnet50": ("layer1", "avgpool"), "squeezenet1_1": TAPS}[name]
    recipe = FeatureRecipe(taps=taps, resize=72, crop=64)
    record = VideoRecord("clip", clip(tmp_path / "clip.mp4", 3), 3.0)
    pooled = extract([record], Trunk(name, taps, "none", seed=1), recipe)["clip"]
    slow = reference.video_features(record.path, load_backbone(name, "none", seed=1), taps, resize=72, crop=64)
    assert difference(pooled.blocks, slow) < 1e-5


@pytest.mark.parametrize(
    ("batch", "workers", "turned"),
    [(1, 0, False), (7, 0, True), (32, 0, False), (16, 4, True), (7, 1, False), (5, 2, True)],
)
def test_features_depend_on_neither_batch_nor_workers_nor_order(
    batch: int, workers: int, turned: bool, trunk: Trunk, records: list[VideoRecord]
) -> None:
    plain = extract(records, trunk)
    found = extract(records[::-1] if turned else records, trunk, chunk_frames=batch, num_workers=workers)
    assert found.keys() == {"a", "b", "c"}
    for name, pooled in found.items():
        assert pooled.frames == plain[name].frames == {"a": 33, "b": 7, "c": 16}[name]
        assert pooled.reader == "pyav"
        assert difference(pooled.blocks, plain[name].blocks) <= 1e-6


def test_the_same_run_twice_is_the_same_bytes(trunk: Trunk, records: list[VideoRecord]) -> None:
    one, other = extract(records, trunk), extract(records, trunk)
    assert all(
        np.array_equal(values, other[name].blocks[block])
        for name, pooled in one.items()
        for block, values in pooled.blocks.items()
    )


def test_stride_is_that_of_the_recipe(trunk: Trunk, records: list[VideoRecord]) -> None:
    recipe = FeatureRecipe(taps=TAPS, resize=64, crop=48, stride=10, pools=POOLS)
    pooled = extract(records[:1], trunk, recipe)["a"]
    assert pooled.frames == 4
    network = load_backbone("squeezenet1_1", "none")
    slow = reference.video_features(records[0].path, network, TAPS, 64, 48, stride=10, pools=POOLS)
    assert difference(pooled.blocks, slow) < 1e-5


@pytest.mark.parametrize(("chunk", "workers"), [(1, 0), (5, 1)])
def test_spread_and_change_equal_the_slow_reference_whatever_the_chunks(
    chunk: int, workers: int, trunk: Trunk, records: list[VideoRecord]
) -> None:
    recipe = replace(RECIPE, pools=POOLS)
    found = extract(records[1:], trunk, recipe, chunk_frames=chunk, num_workers=workers)
    plain = extract(records[1:], trunk)
    for record in records[1:]:
        blocks = found[record.id].blocks
        slow = reference.video_features(
            record.path, load_backbone("squeezenet1_1", "none"), TAPS, resize=64, crop=48, pools=POOLS
        )
        assert difference(blocks, slow) < 1e-5
        assert slow["features.4", "delta"].max() > 0.01 * slow["features.4", "mean"].max()
        assert difference({block: blocks[block] for block in plain[record.id].blocks}, plain[record.id].blocks) <= 1e-6


@pytest.mark.parametrize("normalisation", ["signed_sqrt_l2", "matrix_sqrt"])
def test_normalised_frames_equal_the_slow_reference_whatever_the_chunks(
    normalisation: Any, trunk: Trunk, records: list[VideoRecord]
) -> None:
    recipe = replace(RECIPE, normalisation=normalisation, pools=("mean", "delta"))
    one, several = (extract(records[1:2], trunk, recipe, chunk_frames=chunk)["b"].blocks for chunk in (1, 5))
    network = load_backbone("squeezenet1_1", "none")
    slow = reference.video_features(
        records[1].path, network, TAPS, 64, 48, normalisation=normalisation, pools=("mean", "delta")
    )
    assert difference(several, slow) < 1e-3
    assert difference(one, several) <= 1e-5


def test_a_sketch_is_that_of_the_pooled_features_in_windows_too(trunk: Trunk, records: list[VideoRecord]) -> None:
    plain = extract(records[1:2], trunk, replace(RECIPE, pools=POOLS))["b"].blocks
    recipe = replace(RECIPE, pools=POOLS, sketch=100, sketch_seed=3)
    windows: list[WindowFeatures] = []
    watched = WindowPools(windows.append, recipe)
    found = extract(records[1:2], trunk, recipe, on_frames=watched)["b"].blocks
    assert watched.finish("b")
    assert {len(values) for values in found.values()} == {100}
    assert all(np.array_equal(values, count_sketch(plain[block], 100, 3)) for block, values in found.items())
    assert len(windows) == 1  # seven frames at 25 a second
    assert all(np.array_equal(values, found[block]) for block, values in windows[0].blocks.items())


def test_pools_beside_them_leave_mean_and_maximum_as_they_are(trunk: Trunk, records: list[VideoRecord]) -> None:
    plain = extract(records[1:2], trunk)["b"].blocks
    found = extract(records[1:2], trunk, replace(RECIPE, pools=POOLS[::-1]))["b"].blocks
    assert list(found) == [(tap, pool) for tap in TAPS for pool in POOLS]
    assert all(found[block].tobytes() == values.tobytes() for block, values in plain.items())


def test_a_frame_normalised_by_itself_depends_on_no_other(tmp_path: Path) -> None:
    recipe = FeatureRecipe(taps=("layer1",), resize=64, crop=48, batchnorm="per_frame", jpeg_quality=95)
    trunk = Trunk("resnet50", recipe.taps, "none", batchnorm="per_frame")
    record = VideoRecord("clip", clip(tmp_path / "clip.mp4", 4), 3.0)
    one, all_ = (extract([record], trunk, recipe, chunk_frames=batch)["clip"] for batch in (1, 4))
    assert difference(one.blocks, all_.blocks) <= 1e-6
    plain = extract([record], Trunk("resnet50", recipe.taps, "none"), FeatureRecipe(("layer1",), 64, 48))["clip"]
    assert difference(one.blocks, plain.blocks) > 0.01


def test_a_bad_video_raises_or_is_told_and_the_others_go_on(
    trunk: Trunk, records: list[VideoRecord], tmp_path: Path
) -> None:
    bad = VideoRecord("bad", damage(clip(tmp_path / "bad.mp4", 24)), 3.0)
    with pytest.raises(VideoError, match=r"^E_CORRUPT: the video '.*bad\.mp4' is damaged"):
        extract([bad, *records], trunk)
    told: list[tuple[str, str]] = []

    def failed(video_id: str, error: VideoError) -> None:
        told.append((video_id, error.code))

    found = extract([records[1], bad, records[2]], trunk, failed=failed, chunk_frames=3, num_workers=1)
    assert told == [("bad", "E_CORRUPT")]
    assert found.keys() == {"b", "c"}
    assert difference(found["c"].blocks, extract(records[2:], trunk)["c"].blocks) <= 1e-6


def test_a_damaged_video_gives_the_features_of_its_good_frames(trunk: Trunk, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mkv", moving(48))
    record = VideoRecord("cut", cut_clip(tmp_path / "cut.mkv", whole), 3.0)
    recipe = replace(RECIPE, damage="mark", pools=POOLS)
    runs = [extract([record], trunk, recipe, num_workers=workers)["cut"] for workers in (0, 1)]
    for pooled in runs:
        assert pooled.damage is not None and pooled.damage.code == "E_TRUNCATED"
        assert all(np.array_equal(values, pooled.blocks[block]) for block, values in runs[0].blocks.items())
    network = load_backbone("squeezenet1_1", "none")
    slow = reference.video_features(whole, network, TAPS, 64, 48, first=runs[0].frames, pools=POOLS)
    assert difference(runs[0].blocks, slow) < 1e-5


def test_features_that_are_not_finite_fail_by_name(records: list[VideoRecord]) -> None:
    broken = Trunk("squeezenet1_1", TAPS, "none")
    next(broken.parameters()).mul_(1e30)  # float32 holds such maps, but not their products
    with pytest.raises(VideoError) as caught:
        extract(records[1:2], broken)
    assert str(caught.value) == ("E_NONFINITE: the features of b are not finite in features.4/mean, features.4/max")
    told: list[str] = []
    assert extract(records[1:], broken, failed=lambda name, error: told.append(f"{name} {error.code}")) == {}
    assert told == ["b E_NONFINITE", "c E_NONFINITE"]


def test_another_precision_than_the_recipes_is_refused(trunk: Trunk, records: list[VideoRecord]) -> None:
    with pytest.raises(ConfigError) as caught:
        extract(records, trunk, trainer={"accelerator": "cpu", "precision": "bf16-mixed"})
    assert str(caught.value) == (
        "trainer.precision is bf16-mixed but recipe.precision is 32-true. "
        "Try: recipe.precision alone, which the stored features are named by"
    )


def test_a_file_that_changes_while_it_is_read_has_no_features(trunk: Trunk, tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 20)

    class Replaces(PyAVDecoder):
        def frames(self, path: str | Path, *, stride: int = 1) -> Iterator[Any]:
            yield from super().frames(path, stride=stride)
            clip(tmp_path / "a.mp4", 3, seed=9)

    done: list[PooledFeatures] = []
    with pytest.raises(VideoError) as caught:
        extract_features(
            [VideoRecord("a", path, 3.0)], trunk, RECIPE, Replaces(), done=done.append, num_workers=0, progress=False
        )
    assert str(caught.value).startswith(f"E_CHANGED: the file {path} changed while it was read. Try: ") and not done


def test_one_device_and_unfilled_memory_while_it_runs(
    trunk: Trunk, records: list[VideoRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    real, settings = streaming.make_trainer, torch.utils.deterministic

    def trainer(**arguments: Any) -> Any:
        asked.append((arguments["devices"], settings.fill_uninitialized_memory))  # type: ignore[attr-defined]
        return real(**arguments)

    monkeypatch.setattr(streaming, "make_trainer", trainer)
    extract(records[1:2], trunk)
    extract(records[1:2], trunk, trainer={"accelerator": "cpu", "devices": "auto"})
    assert asked == [(1, False), ("auto", False)]
    assert settings.fill_uninitialized_memory is True  # type: ignore[attr-defined]


def batch(name: str, n: int, last: bool) -> FrameBatch:
    frames = torch.rand(n, 3, 48, 48, generator=torch.Generator().manual_seed(n))
    return FrameBatch(frames, list(range(n)), name, last, "pyav")


def test_videos_may_arrive_mixed_and_a_discarded_one_is_void(trunk: Trunk) -> None:
    extractor = GramExtractor(trunk)
    step: Callable[[FrameBatch], PooledFeatures | None] = extractor.predict_step
    assert step(batch("a", 2, False)) is None
    assert step(batch("b", 3, False)) is None
    extractor.discard("b")
    mixed = step(batch("a", 1, True))
    assert mixed is not None
    assert mixed.frames == 3
    assert step(batch("b", 3, True)) is None
    alone = GramExtractor(trunk)
    alone.predict_step(batch("a", 2, False))
    assert difference(mixed.blocks, alone.predict_step(batch("a", 1, True)).blocks) == 0  # type: ignore[union-attr]
