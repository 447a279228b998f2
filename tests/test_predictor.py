"""A model file: it scores as before it was saved, and whatever is not such a file is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from tiny import TAPS, clip, damage

from fmcvqa.data.decoding import PyAVDecoder
from fmcvqa.data.records import VideoRecord
from fmcvqa.errors import ModelFileError, VideoError
from fmcvqa.features.extractor import PooledFeatures, extract_features
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.models.trunk import Trunk
from fmcvqa.predictor import Prediction, Scale, VideoQualityModel, read_model_file
from fmcvqa.regression.final import fit_final
from fmcvqa.regression.svr import Cell
from fmcvqa.sealed import read_sealed, write_sealed

CPU = {"accelerator": "cpu"}
SCALE = Scale("KoNViD-1k", 1.0, 5.0)


def features(paths: list[Path], trunk: Trunk, recipe: FeatureRecipe) -> FeatureMatrix:
    found: dict[str, PooledFeatures] = {}
    extract_features(
        [VideoRecord(path.stem, path, 3.0) for path in paths],
        trunk,
        recipe,
        PyAVDecoder(),
        done=lambda pooled: found.update({pooled.video_id: pooled}),
        trainer=CPU,
        progress=False,
    )
    ids = [path.stem for path in paths]
    blocks = {block: np.stack([found[i].blocks[block] for i in ids]) for block in found[ids[0]].blocks}
    return FeatureMatrix(ids, blocks)


def bound(recipe: FeatureRecipe, trunk: Trunk) -> FeatureRecipe:
    return recipe.bind(
        backbone=trunk.name, weights=trunk.fingerprint(), decoder="pyav", decoder_version=PyAVDecoder().version()
    )


def fitted(paths: list[Path], trunk: Trunk, recipe: FeatureRecipe, kernel: str) -> tuple[VideoQualityModel, Any]:
    """A model of these clips, and the scores its regressor gives their features."""
    matrix = features(paths, trunk, recipe)
    mos = np.linspace(1.5, 4.5, len(paths))
    regressor = fit_final(matrix, mos, Cell(layers=recipe.taps, kernel=kernel))
    model = VideoQualityModel(trunk, bound(recipe, trunk), regressor, SCALE, {"made": "by a test"})
    return model, regressor.predict(matrix.blocks)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [clip(folder / f"clip {k}.mp4", 4, seed=k) for k in range(6)]


@pytest.fixture(scope="module")
def recipe() -> FeatureRecipe:
    return FeatureRecipe(taps=TAPS, resize=64, crop=48)


@pytest.fixture(scope="module")
def model(clips: list[Path], recipe: FeatureRecipe) -> VideoQualityModel:
    return fitted(clips, Trunk("squeezenet1_1", TAPS, "none"), recipe, "linear")[0]


@pytest.fixture
def file(model: VideoQualityModel, tmp_path: Path) -> Path:
    model.save(tmp_path / "model.fmcvqa")
    return tmp_path / "model.fmcvqa"


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_a_loaded_model_gives_the_scores_of_the_stored_features(
    kernel: str, clips: list[Path], recipe: FeatureRecipe, tmp_path: Path
) -> None:
    made, expected = fitted(clips, Trunk("squeezenet1_1", TAPS, "none"), recipe, kernel)
    assert np.ptp(expected) > 0.1
    made.save(tmp_path / "model.fmcvqa")
    loaded = VideoQualityModel.load(str(tmp_path / "model.fmcvqa"))
    assert [made.predict(path) for path in clips] == pytest.approx(expected, abs=1e-6)
    assert [loaded.predict(str(path)) for path in clips] == pytest.approx(expected, abs=1e-6)
    assert loaded.recipe == made.recipe
    assert loaded.scale == SCALE
    assert loaded.card == {"made": "by a test"}
    assert str(loaded.scale) == "1 (worst) to 5 (best), as in KoNViD-1k"
    assert str(replace(SCALE, stand_in=True)) == "1 (worst) to 5 (best), as in KoNViD-1k, a synthetic stand-in"


def test_transform_input_survives(clips: list[Path], tmp_path: Path) -> None:
    taps, file = ("Conv2d_1a_3x3",), tmp_path / "model.fmcvqa"
    state = Trunk("inception_v3", taps, "none").state_dict()
    trunks = {on: Trunk.from_state("inception_v3", taps, state, transform_input=on) for on in (True, False)}
    for on, trunk in trunks.items():
        made, expected = fitted(clips, trunk, FeatureRecipe(taps=taps, resize=64, crop=48), "linear")
        made.save(file)
        loaded = VideoQualityModel.load(file)
        assert loaded.trunk.transform_input is on
        assert loaded.predict(clips[0]) == pytest.approx(expected[0], abs=1e-6)
        without = VideoQualityModel(trunks[not on], made.recipe, made.regressor, SCALE, {})
        assert abs(without.predict(clips[0]) - expected[0]) > 1e-3
        arrays, record = read_sealed(file)
        write_sealed(file, arrays, record | {"transform_input": not on})
        with pytest.raises(ModelFileError, match=r"\(the network in .* is not the one its recipe names\)"):
            VideoQualityModel.load(file)


def test_predictions_come_in_the_clips_order_with_those_that_failed(
    model: VideoQualityModel, clips: list[Path], tmp_path: Path
) -> None:
    bad, lost = damage(clip(tmp_path / "bad.mp4", 24)), tmp_path / "lost.mp4"
    found = list(model.predict_many([clips[1], lost, bad, clips[0]], num_workers=2, trainer=CPU, progress=False))
    assert [type(one) for one in found] == [Prediction] * 4
    assert [one.path for one in found] == [clips[1], lost, bad, clips[0]]
    assert [None if one.error is None else one.error.code for one in found] == [None, "E_NOT_FOUND", "E_CORRUPT", None]
    assert [one.score for one in found] == [
        pytest.approx(model.predict(clips[1]), abs=1e-6),
        None,
        None,
        pytest.approx(model.predict(clips[0]), abs=1e-6),
    ]
    with pytest.raises(VideoError) as caught:
        model.predict(lost)
    assert caught.value.code == "E_NOT_FOUND"


def test_equal_models_are_equal_files_of_tensors_and_json(model: VideoQualityModel, file: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "again")
    assert file.read_bytes() == (tmp_path / "again").read_bytes()
    arrays, record = read_model_file(file)
    assert json.loads(json.dumps(record)) == record
    assert record["format"] == 1
    assert record["backbone"] == "squeezenet1_1"
    assert record["regressor"]["kind"] == "linear"
    assert {name.split("/")[0] for name in arrays} == {"trunk", "regressor"}
    assert sum(a.size for name, a in arrays.items() if name.startswith("trunk/")) == sum(
        tensor.numel() for tensor in model.trunk.state_dict().values()
    )


def test_every_flipped_bit_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for seed in range(50):
        random = Random(seed)
        data = bytearray(whole)
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        file.write_bytes(data)
        with pytest.raises(ModelFileError):
            VideoQualityModel.load(file)
    file.write_bytes(whole)
    assert VideoQualityModel.load(file).scale == SCALE


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        VideoQualityModel.load(path)
    return str(caught.value)


def test_what_is_no_model_is_told(file: Path, tmp_path: Path) -> None:
    missing, folder = tmp_path / "none.fmcvqa", tmp_path
    assert refusal(missing) == (
        f"{missing} cannot be opened (No such file or directory). Try: fmcvqa fit writes a model"
    )
    assert refusal(folder) == f"{folder} cannot be opened (Is a directory). Try: fmcvqa fit writes a model"
    text = tmp_path / "text.fmcvqa"
    text.write_text("a model, honestly")
    assert refusal(text) == (
        f"{text} cannot be read (ValueError). Found: bytes that are not a whole fmcvqa model. Try: a fresh copy"
    )
    entry = tmp_path / "entry.safetensors"
    write_sealed(entry, {"A/mean": np.ones(3, np.float32)}, {"video": "a", "frames": 3})
    assert refusal(entry) == f"{entry} is no fmcvqa model. Try: fmcvqa fit writes a model"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert refusal(file) == (
        f"{file} has changed since it was written. Found: bytes that are not a whole fmcvqa model. Try: a fresh copy"
    )


def test_a_newer_format_is_told(file: Path) -> None:
    arrays, record = read_sealed(file)
    write_sealed(file, arrays, record | {"format": 2})
    assert refusal(file) == f"{file} has the model format 2. Found: this release reads up to 1. Try: a newer fmcvqa"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"backbone": "resnet51"}, "there is no backbone 'resnet51'"),
        ({"backbone": None}, "there is no backbone None"),
        ({"scale": {"name": "x"}}, "missing 2 required positional arguments"),
        ({"recipe": {}}, "this is not a feature recipe: its names are none"),
        ({"regressor": {"kind": "os.system", "blocks": []}}, "the regressor is of the unknown kind os.system"),
    ],
    ids=str,
)
def test_a_whole_file_of_another_content_is_refused(change: dict[str, object], reason: str, file: Path) -> None:
    arrays, record = read_sealed(file)
    write_sealed(file, arrays, record | change)
    with pytest.raises(ModelFileError, match=f"model.fmcvqa is not a whole fmcvqa model .*{reason}"):
        VideoQualityModel.load(file)


def test_a_swapped_tensor_is_refused(file: Path) -> None:
    arrays, record = read_sealed(file)
    name = next(name for name in arrays if name.startswith("trunk/"))
    write_sealed(file, arrays | {name: arrays[name] * 2}, record)
    assert refusal(file).startswith(f"{file} is not a whole fmcvqa model (the network in {file} is not the one")
    write_sealed(file, {key: array for key, array in arrays.items() if key != name}, record)
    assert "1 tensors missing" in refusal(file)


def test_the_network_stays_frozen(file: Path) -> None:
    trunk = VideoQualityModel.load(file).trunk
    assert not trunk.training
    assert not any(parameter.requires_grad for parameter in trunk.parameters())
    assert torch.is_grad_enabled()
    assert math.isfinite(sum(float(tensor.sum()) for tensor in trunk.state_dict().values()))
