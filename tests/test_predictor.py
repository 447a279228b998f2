"""A model file: it scores as before it was saved, and whatever is not such a file is refused."""

from __future__ import annotations

import json
import math
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from barcode import write_clip
from tiny import TAPS, clip, damage, textured

from fmcvqa.data.decoding import PyAVDecoder
from fmcvqa.data.records import VideoRecord
from fmcvqa.errors import ConfigError, ModelFileError, VideoError
from fmcvqa.features.extractor import PooledFeatures
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.features.streaming import extract_features
from fmcvqa.modelfile import read_model_file
from fmcvqa.models.inference import InferenceTrunk
from fmcvqa.models.trunk import Trunk
from fmcvqa.prediction import Interval, Prediction, Scale, Unlikeness
from fmcvqa.predictor import VideoQualityModel
from fmcvqa.regression.conformal import Calibration
from fmcvqa.regression.final import fit_final
from fmcvqa.regression.novelty import fit_training_set
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
    scores = regressor.predict(matrix.blocks)
    calibration = Calibration(np.sort(mos), np.arange(1, 13) / 10)
    around = fit_training_set(matrix, Cell(layers=recipe.taps).blocks)
    card = {"made": "by a test"}
    model = VideoQualityModel(trunk, bound(recipe, trunk), regressor, SCALE, card, calibration, around)
    return model, scores


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


def test_the_network_stays_ready_from_one_call_to_the_next_and_is_made_anew_of_other_weights(
    model: VideoQualityModel, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[InferenceTrunk] = []

    class Counted(InferenceTrunk):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            made.append(self)

    expected = model.predict(clips[0])
    copied = pickle.loads(pickle.dumps(model))  # with a network made ready, which is not copied
    monkeypatch.setattr("fmcvqa.predictor.InferenceTrunk", Counted)
    assert copied.predict(clips[0]) == pytest.approx(expected, abs=1e-6)
    assert copied.predict(clips[1]) != copied.predict(clips[0])
    assert len(made) == 1
    for value in copied.trunk.parameters():
        value.data.mul_(1.5)
    assert abs(copied.predict(clips[0]) - expected) > 1e-3
    assert len(made) == 2


def test_calls_in_several_threads_have_a_network_each(
    model: VideoQualityModel, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [model.predict(path) for path in clips[:2]]
    inside, used = threading.Barrier(2, timeout=60), set[int]()

    def both_inside(records: Any, network: InferenceTrunk, *arguments: Any, **options: Any) -> None:
        inside.wait()
        used.add(id(network))
        inside.wait()
        extract_features(records, network, *arguments, **options)

    monkeypatch.setattr("fmcvqa.predictor.extract_features", both_inside)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(model.predict, clips[:2])) == pytest.approx(expected, abs=1e-6)
    assert len(used) == 2


def test_equal_models_are_equal_files_of_tensors_and_json(model: VideoQualityModel, file: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "again")
    assert file.read_bytes() == (tmp_path / "again").read_bytes()
    arrays, record = read_model_file(file)
    assert json.loads(json.dumps(record)) == record
    assert record["format"] == 2
    assert record["backbone"] == "squeezenet1_1"
    assert record["regressor"]["kind"] == "linear"
    assert {name.split("/")[0] for name in arrays} == {"trunk", "regressor", "calibration", "training_set"}
    assert record["calibration"] == {"videos": 12}
    assert record["training_set"]["nearest"] == 5
    assert sum(a.size for name, a in arrays.items() if name.startswith("trunk/")) == sum(
        tensor.numel() for tensor in model.trunk.state_dict().values()
    )


def test_a_score_comes_with_its_interval_place_and_flag(model: VideoQualityModel, clips: list[Path]) -> None:
    [found] = model.predict_many([clips[3]], num_workers=0, trainer=CPU, progress=False)
    assert found.score is not None
    assert (found.scale, found.frames, found.timeline, found.code) == (SCALE, 4, None, None)
    assert found.interval == Interval(max(1.0, found.score - 1.2), min(5.0, found.score + 1.2), 0.9)  # rank 12 of 12
    assert found.percentile == pytest.approx(100 * np.mean(np.linspace(1.5, 4.5, 6) < found.score))
    assert found.unlike is not None
    assert found.unlike.reasons == ()
    assert found.unlike.distance == pytest.approx(0.0, abs=1)


def test_a_clip_unlike_the_training_set_is_flagged(model: VideoQualityModel, tmp_path: Path) -> None:
    black = write_clip(tmp_path / "black.mp4", [np.zeros((96, 128, 3), np.uint8)] * 4)
    [found] = model.predict_many([black], num_workers=0, trainer=CPU, progress=False)
    assert found.unlike is not None
    assert found.unlike.flag
    assert found.unlike.distance is not None
    assert found.unlike.distance > 1
    assert found.unlike.reasons[0] == (
        f"it lies {found.unlike.distance:.3g} times as far from the training clips as they do from each other"
    )
    biased = replace(model.regressor, bias=model.regressor.bias + 20)
    far = VideoQualityModel(model.trunk, model.recipe, biased, SCALE, {}, model.calibration)
    [outside] = far.predict_many([black], num_workers=0, trainer=CPU, progress=False)
    assert outside.unlike == Unlikeness(None, ("its score is not within 1 to 5",))
    assert outside.interval is not None
    assert outside.score is not None
    assert (outside.interval.low, outside.interval.high) == (outside.score - 1.2, outside.score + 1.2)


def test_the_timeline_scores_each_second_as_a_clip_of_its_own(model: VideoQualityModel, tmp_path: Path) -> None:
    frames = [*textured(5, seed=1), *textured(5, seed=2), *textured(3, seed=3)]
    whole = write_clip(tmp_path / "whole.mkv", frames, rate=5, codec="ffv1", pix_fmt="bgr0")
    [plain] = model.predict_many([whole], num_workers=0, trainer=CPU, progress=False)
    [found] = model.predict_many([whole], timeline=True, num_workers=1, trainer=CPU, progress=False)
    assert replace(found, timeline=None) == plain  # the clip's own score is the same to the last bit
    assert found.timeline is not None
    assert [(w.start, w.end, w.frames) for w in found.timeline] == [(0.0, 1.0, 5), (1.0, 2.0, 5), (2.0, 3.0, 3)]
    for window in found.timeline:
        part = frames[int(5 * window.start) :][: window.frames]
        alone = write_clip(tmp_path / "alone.mkv", part, rate=5, codec="ffv1", pix_fmt="bgr0")
        assert window.score == pytest.approx(model.predict(alone), abs=1e-5)


def test_a_stride_keeps_every_so_manieth_frame(model: VideoQualityModel, tmp_path: Path) -> None:
    path = clip(tmp_path / "long.mp4", 12, seed=5)
    [found] = model.predict_many([path], stride=5, num_workers=0, trainer=CPU, progress=False)
    assert found.frames == 3
    with pytest.raises(ConfigError) as caught:
        model.predict_many([path], stride=0)
    assert str(caught.value) == "recipe.stride is 0. Try: recipe.stride = a whole number from 1"


def test_one_path_is_no_list_of_clips(model: VideoQualityModel, clips: list[Path]) -> None:
    with pytest.raises(ConfigError, match=r"'clip\.mp4' is one video, not a list of videos"):
        model.predict_many("clip.mp4")


def test_a_model_of_changes_between_frames_takes_no_other_stride(model: VideoQualityModel, clips: list[Path]) -> None:
    moving = VideoQualityModel(
        model.trunk, replace(model.recipe, pools=("mean", "max", "delta")), model.regressor, SCALE, {}
    )
    [found] = moving.predict_many(clips[:1], stride=1, num_workers=0, trainer=CPU, progress=False)
    assert found.score == pytest.approx(model.predict(clips[0]), abs=1e-6)
    with pytest.raises(ConfigError) as caught:
        moving.predict_many(clips[:1], stride=2)
    assert str(caught.value) == (
        "stride 2: this model looks at the change from one frame to the next, which grows with the stride. "
        "Found: features of stride 1. Try: no other stride than 1, or a model without the pool delta"
    )


def test_predictions_are_handed_on_in_order(model: VideoQualityModel, clips: list[Path], tmp_path: Path) -> None:
    seen: list[Prediction] = []
    asked = [clips[0], tmp_path / "lost.mp4", clips[1]]
    found = model.predict_many(asked, num_workers=2, trainer=CPU, progress=False, done=seen.append)
    assert seen == found
    assert model.predict_many([]) == []


def test_a_file_of_the_format_1_still_scores(file: Path, clips: list[Path], model: VideoQualityModel) -> None:
    arrays, record = read_sealed(file)
    old = {name: array for name, array in arrays.items() if name.startswith(("trunk/", "regressor/"))}
    lacking = {key: value for key, value in record.items() if key not in ("calibration", "training_set")}
    write_sealed(file, old, lacking | {"format": 1})
    loaded = VideoQualityModel.load(file)
    [found] = loaded.predict_many([clips[0]], num_workers=0, trainer=CPU, progress=False)
    assert found.score == pytest.approx(model.predict(clips[0]), abs=1e-6)
    assert (found.interval, found.percentile, found.unlike) == (None, None, Unlikeness(None, ()))
    loaded.save(file)
    assert read_model_file(file)[1]["format"] == 2
    assert VideoQualityModel.load(file).calibration is None
    write_sealed(file, arrays, lacking)
    assert refusal(file) == (f"{file} is not a whole fmcvqa model ('calibration'). Try: fmcvqa fit writes one")


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
    write_sealed(file, arrays, record | {"format": 3})
    assert refusal(file) == f"{file} has the model format 3. Found: this release reads up to 2. Try: a newer fmcvqa"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"backbone": "resnet51"}, "there is no backbone 'resnet51'"),
        ({"backbone": None}, "there is no backbone 'None'"),
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
    name = next(name for name, array in arrays.items() if name.startswith("trunk/") and array.any())
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
