"""The scripts in experiments/: nothing that is scored has been learned from."""

from __future__ import annotations

import importlib.util
import json
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from fmcvqa.data.records import ImageRecord

FOLDER = Path(__file__).parents[1] / "experiments"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reconstruction() -> ModuleType:
    return script("reconstruction")


@pytest.fixture(scope="module")
def degradations() -> ModuleType:
    return script("degradations")


def images() -> list[ImageRecord]:
    """24 references x 24 types x 5 levels."""
    return [
        ImageRecord(f"i{r:02d}_{t:02d}_{level}", Path("x.bmp"), 5.0, reference=f"I{r:02d}")
        for r in range(1, 25)
        for t in range(1, 25)
        for level in range(1, 6)
    ]


@pytest.mark.parametrize("split, shared", [("reference", 0), ("image", 24)])
def test_folds_by_reference_share_no_reference_and_random_ones_share_all(
    split: str, shared: int, reconstruction: ModuleType
) -> None:
    records = images()
    scored_once: list[int] = []
    for fold in range(reconstruction.FOLDS):
        train, choosing, scored = reconstruction.folds(records, split, fold, seed=0)
        assert sorted([*train, *choosing, *scored]) == list(range(len(records)))
        assert (len(train), len(choosing), len(scored)) == (12 * 120, 4 * 120, 8 * 120)  # the same budget for both
        seen, choose, held = ({records[i].reference for i in part} for part in (train, choosing, scored))
        assert len(seen & held) == len(seen & choose) == len(choose & held) == shared
        assert reconstruction.folds(records, split, fold, seed=0) == (train, choosing, scored)
        scored_once += scored
    assert sorted(scored_once) == list(range(len(records)))


def rows() -> list[dict[str, str]]:
    return [
        {"id": f"{source}{level}", "group": source, "type": "blur", "mos": str(5 - level)}
        for source in "abcdef"
        for level in range(1, 6)
    ]


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_the_labels_of_a_source_do_not_change_what_is_predicted_for_it(kernel: str, degradations: ModuleType) -> None:
    videos, rng = rows(), np.random.default_rng(0)
    block = rng.normal(size=(len(videos), 12)).astype(np.float32)
    before = degradations.left_out(block, videos, kernel)
    other = [dict(row, mos=str(float(row["mos"]) ** 3 + 7)) if row["group"] == "c" else row for row in videos]
    after = degradations.left_out(block, other, kernel)
    same = [one == two for one, two in zip(before, after, strict=True)]
    assert same == [row["group"] == "c" for row in videos]


def test_a_feature_that_falls_with_strength_orders_every_pair_and_one_that_rises_none(degradations: ModuleType) -> None:
    videos = rows()
    falls = [float(row["mos"]) for row in videos]
    for sign, expected in ((1, (1.0, 1.0)), (-1, (0.0, -1.0)), (0, (0.5, 0.0))):
        found = degradations.by_source([sign * x for x in falls], videos)
        assert sorted(found) == list("abcdef")
        assert all(one == pytest.approx(expected) for one in found.values())


def test_no_photograph_that_was_learned_from_becomes_a_clip(degradations: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "kodak").mkdir()
    for k in range(1, 6):
        Image.new("RGB", (96, 64), (k, k, k)).save(tmp_path / "kodak" / f"kodim{k:02d}.png")
    (tmp_path / "cell.json").write_text(json.dumps({"train_references": ["I01", "I03"]}))
    options = Namespace(
        data=tmp_path, out=tmp_path / "out", finetuned=tmp_path / "cell.ckpt", height=32, frames=2, photos=2, seed=0
    )
    made = degradations.synthetic_motion(options)
    assert [path.name for path in made] == ["motion-kodim02.mp4", "motion-kodim04.mp4"]
