"""One cell on a whole set as one file: it scores as the features in the store do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import cut_clip
from tiny import TAPS, composed, errors, generated, labelled, network, places, run

from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.features.sketch import count_sketch
from fmcvqa.prediction import Scale
from fmcvqa.predictor import VideoQualityModel
from fmcvqa.regression.evaluate import evaluate
from fmcvqa.regression.final import fit_final
from fmcvqa.regression.protocols import Paper
from fmcvqa.regression.svr import Cell
from fmcvqa.sealed import read_sealed

Capture = pytest.CaptureFixture[str]


def stored(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of each video in the store."""
    return {path.stem: read_sealed(path)[0] for path in (folder / "cache").glob("*/*/*.safetensors")}


def first_tested(result: dict[str, Any], tmp_path: Path) -> list[dict[str, float]]:
    """MOS and prediction of each video in the first round of cross-validation alone."""
    store = stored(tmp_path)
    ids = [row["id"] for row in result["predictions"]]
    layer = result["cell"]["layers"][0]
    blocks = {(layer, pool): np.stack([store[i][f"{layer}/{pool}"] for i in ids]) for pool in ("mean", "max")}
    cell = Cell(layers=(layer,), kernel=result["cell"]["kernel"])
    mos = [row["mos"] for row in result["predictions"]]
    return evaluate(FeatureMatrix(ids, dict(blocks)), mos, cell, Paper(repeats=1)).predictions


@pytest.fixture
def konvid(shared_folder: Path, tmp_path: Path) -> list[str]:
    """Twelve clips with a store of their own."""
    return [*generated(), *network(), *places(shared_folder, tmp_path), f"paths.cache={tmp_path / 'cache'}"]


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_a_model_scores_clips_as_the_store_does(
    kernel: str, konvid: list[str], shared_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "sub" / "model.fmcvqa"
    words = [*konvid, f"output={file}", f"features.layers=[{TAPS[0]}]", f"regressor.kernel={kernel}"]
    code, out, _ = run(capsys, "fit", *words, "protocol.repeats=2")
    assert code == 0
    model = VideoQualityModel.load(file)
    features = stored(tmp_path)
    name = "KoNViD-1k (synthetic stand-in)"
    for path in sorted((shared_folder / "data").rglob("*.mp4"))[:3]:
        blocks = {(TAPS[0], pool): features[path.stem][f"{TAPS[0]}/{pool}"][None] for pool in ("mean", "max")}
        assert model.predict(path) == pytest.approx(model.regressor.predict(blocks)[0], abs=1e-6)
    assert model.scale == Scale(name, 1.0, 5.0, stand_in=True)
    assert model.recipe.taps == model.trunk.taps == TAPS[:1]
    assert (model.card["dataset"], model.card["cell"]["kernel"]) == (
        {"name": name, "stand_in": True, "videos": 12, "mos_range": [1.0, 5.0]},
        kernel,
    )
    assert model.card["trunk"] == {"weights": "none", "seed": 0}
    assert model.card["licence"] is None
    assert str(tmp_path) not in str(model.card)  # what is handed on names nobody's folders
    score = model.card["scores"]["srocc"]
    assert out == (
        f"{file} ({file.stat().st_size / 1e6:.1f} MB): {TAPS[0]} {kernel} on 12 videos of {name}; "
        f"cross-validated SROCC {score['median']:.4f} (std {score['std']:.4f})\n"
        f"report: {tmp_path / 'outputs' / 'fit' / 'table.md'}; fmcvqa info {file} shows the model's card\n"
    )
    result = json.loads((tmp_path / "outputs" / "fit" / "result.json").read_text())
    assert result["scores"] == model.card["scores"]
    assert {path.name for path in (tmp_path / "outputs" / "fit").glob("*.png")} == {
        "heatmap.png",
        "scatter.png",
        "splits.png",
    }
    residuals = sorted(abs(row["mos"] - row["predicted"]) for row in first_tested(result, tmp_path))
    assert model.calibration is not None
    assert model.calibration.residuals == pytest.approx(residuals, abs=1e-4)  # kernels are summed in float32
    assert model.calibration.mos.tolist() == sorted(row["mos"] for row in result["predictions"])


def test_a_model_of_what_the_paper_has_not_scores_clips_as_the_store_does(
    konvid: list[str], shared_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "model.fmcvqa"
    words = [*konvid, "recipe.pools=[mean,max,std,delta]", f"features.layers=[{TAPS[0]}]", "features.pools=[std,delta]"]
    words += ["recipe.normalisation=matrix_sqrt", "recipe.sketch=200", "recipe.sketch_seed=4"]
    assert run(capsys, "fit", *words, f"output={file}", "protocol.repeats=1", "report=false")[0] == 0
    model, features = VideoQualityModel.load(file), stored(tmp_path)
    assert model.recipe.pools == ("std", "delta")
    assert (model.recipe.normalisation, model.recipe.sketch, model.recipe.sketch_seed) == ("matrix_sqrt", 200, 4)
    assert model.card["cell"]["pools"] == ["std", "delta"]
    for path in sorted((shared_folder / "data").rglob("*.mp4"))[:2]:
        blocks = {(TAPS[0], pool): features[path.stem][f"{TAPS[0]}/{pool}"][None] for pool in ("std", "delta")}
        assert model.predict(path) == pytest.approx(model.regressor.predict(blocks)[0], abs=1e-6)


def test_a_sketch_of_what_is_stored_is_the_models_recipe(
    konvid: list[str], shared_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "model.fmcvqa"
    words = [*konvid, f"features.layers=[{TAPS[0]}]", "features.sketch=150", "features.sketch_seed=3"]
    assert run(capsys, "fit", *words, f"output={file}", "protocol.repeats=1", "report=false")[0] == 0
    model, features = VideoQualityModel.load(file), stored(tmp_path)
    assert (model.recipe.sketch, model.recipe.sketch_seed) == (150, 3)
    path = min((shared_folder / "data").rglob("*.mp4"))
    whole = {pool: features[path.stem][f"{TAPS[0]}/{pool}"] for pool in ("mean", "max")}
    blocks = {(TAPS[0], pool): count_sketch(values, 150, 3)[None] for pool, values in whole.items()}
    assert len(whole["mean"]) > 150
    assert model.predict(path) == pytest.approx(model.regressor.predict(blocks)[0], abs=1e-6)


def test_the_regressor_is_fitted_on_every_video_with_its_label(
    konvid: list[str], shared_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "model.fmcvqa"
    words = [*konvid, f"output={file}", f"features.layers=[{TAPS[1]}]", "protocol.repeats=2", "report=false"]
    assert run(capsys, "fit", *words)[0] == 0
    csv = next((shared_folder / "data").rglob("KoNViD_1k_mos.csv")).read_text().splitlines()[1:]
    mos = {name: float(score) for name, score in (line.replace('"', "").split(",") for line in csv)}
    features = stored(tmp_path)
    blocks = {
        (TAPS[1], pool): np.stack([features[name][f"{TAPS[1]}/{pool}"] for name in sorted(mos)])
        for pool in ("mean", "max")
    }
    own = fit_final(
        FeatureMatrix(sorted(mos), dict(blocks)), [mos[name] for name in sorted(mos)], Cell(layers=TAPS[1:])
    )
    made = VideoQualityModel.load(file).regressor.predict(blocks)
    assert made == pytest.approx(own.predict(blocks), abs=1e-2)  # libsvm stops at 1e-3 of a deviation
    assert np.corrcoef(made, [mos[name] for name in sorted(mos)])[0, 1] > 0.9


def test_the_file_holds_no_more_of_the_network_than_the_cell_needs(
    konvid: list[str], tmp_path: Path, capsys: Capture
) -> None:
    sizes = []
    for tap in TAPS:
        file = tmp_path / f"{tap}.fmcvqa"
        words = [*konvid, f"output={file}", f"features.layers=[{tap}]", "protocol.repeats=1", "report=false"]
        assert run(capsys, "fit", *words)[0] == 0
        sizes.append(sum(tensor.numel() for tensor in VideoQualityModel.load(file).trunk.state_dict().values()))
    assert sizes[0] < sizes[1] / 10


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["protocol=cross"], "a model is fitted on one set with its own labels. Try: protocol=paper"),
        (["protocol.permute_labels=true"], "a model is fitted on one set with its own labels. Try: protocol=paper"),
        (["features=matrix", "features.path=m.npz"], "a model needs features it can make itself. Try: features=store"),
        (["regressor.C=0"], "regressor.C=0 is not above 0. Try: 1.0 is the paper's"),
    ],
    ids=str,
)
def test_what_is_no_model_is_refused_before_any_work(
    words: list[str], message: str, konvid: list[str], tmp_path: Path, capsys: Capture
) -> None:
    layers = [] if "features=matrix" in words else [f"features.layers=[{TAPS[1]}]"]
    code, out, err = run(capsys, "fit", *konvid, *layers, *words, f"output={tmp_path / 'model.fmcvqa'}")
    assert (code, out, errors(err)) == (2, "", [message])
    assert not (tmp_path / "model.fmcvqa").exists()
    assert "to extract" not in err


def csv_of(tmp_path: Path, rows: list[str]) -> list[str]:
    (tmp_path / "my.csv").write_text("\n".join(["path,mos", *rows]) + "\n")
    words = ["data=csv", f"data.labels={tmp_path / 'my.csv'}", "data.mos_range=[1,5]", "features.layers=[features.4]"]
    return [*words, *network(), *places(tmp_path), f"output={tmp_path / 'model.fmcvqa'}"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [f"{k}.mp4,{k % 5 + 1}" for k in range(9)],
            "my has 9 labelled videos. Try: label 10 or more: with fewer nothing can be tested, and a hundred are a "
            "fair start",
        ),
        (
            [f"{k}.mp4,3.0" for k in range(12)],
            "all 12 labels of my are 3. Try: give videos of different quality",
        ),
        (
            ["a.mp4,3", "./a.mp4,3", "b.mp4,62", "a.mp4,4"],
            "the labels of my in {folder} cannot be used\n"
            "  my.csv line 3: './a.mp4' is the file of line 2 again\n"
            "  my.csv line 4: the MOS of 'b.mp4' is 62, outside 1 to 5\n"
            "  my.csv line 5: 'a.mp4' is the file of line 2 again, with the MOS 4 here and 3 there",
        ),
    ],
    ids=["few", "one value", "rows"],
)
def test_labels_are_checked_before_any_work(rows: list[str], message: str, tmp_path: Path, capsys: Capture) -> None:
    code, out, err = run(capsys, "fit", *csv_of(tmp_path, rows))
    assert (code, out) == (4, "")
    assert message.format(folder=tmp_path) in err
    assert "to extract" not in err


def test_training_videos_that_were_used_in_part_are_counted(tmp_path: Path, capsys: Capture) -> None:
    labels = labelled(tmp_path / "set", [f"v{k}" for k in range(11)])
    cut = cut_clip(tmp_path / "set" / "cut.mkv").name
    names = [*(f"v{k}.mp4" for k in range(11)), cut]
    labels.write_text("path,mos\n" + "".join(f"{name},{1 + k / 3:.2f}\n" for k, name in enumerate(names)))
    file = tmp_path / "model.fmcvqa"
    words = ["data=csv", f"data.labels={labels}", *network(), *places(tmp_path), f"features.layers=[{TAPS[0]}]"]
    words += ["recipe.damage=mark", "protocol.repeats=2", f"output={file}"]
    code, out, err = run(capsys, "fit", *words)
    assert code == 0, err
    assert "on 12 videos of labels (1 marked as damaged); " in out
    [table] = (tmp_path / "outputs").rglob("table.md")
    assert "1 of the 12 videos of labels are marked as damaged" in table.read_text()
    card = run(capsys, "info", str(file))[1]
    assert "| trained on | 12 videos of labels, 1 of them damaged and used up to the damage |" in card
    assert "| damage | mark |" in card


def test_the_network_of_another_model_is_named_in_the_card(
    shared_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    konvid = [*generated(), *network(), *places(shared_folder, tmp_path), "report=false"]
    first, second = tmp_path / "first.fmcvqa", tmp_path / "second.fmcvqa"
    layer = f"features.layers=[{TAPS[0]}]"
    cheap = [layer, "protocol.repeats=1", "licence=CC0-1.0"]
    assert run(capsys, "fit", *konvid, *cheap, f"output={first}")[0] == 0
    words = [*konvid, *cheap, f"recipe.taps=[{TAPS[0]}]", f"model.weights={first}", f"output={second}"]
    assert run(capsys, "fit", *words)[0] == 0
    card = VideoQualityModel.load(second).card
    assert card["trunk"] == {
        "weights": "first.fmcvqa",
        "seed": 0,
        "from_model": {
            "dataset": "KoNViD-1k (synthetic stand-in)",
            "fingerprint": VideoQualityModel.load(first).recipe.weights,
            "trunk": {"weights": "none", "seed": 0},
            "licence": "CC0-1.0",
        },
    }
    assert VideoQualityModel.load(second).recipe.weights == VideoQualityModel.load(first).recipe.weights
    code, _, err = run(capsys, "fit", *konvid, layer, f"model.weights={first}", f"output={second}")
    assert code == 4
    assert errors(err)[0].startswith(f"the network in {first} ends before the taps {', '.join(TAPS)}. Found: ")


def test_the_default_is_the_papers_best_cell() -> None:
    cfg = composed("fit")
    assert (list(cfg.features.layers), cfg.regressor.kernel) == (["Mixed_5b"], "linear")
    assert list(cfg.features.pools) == ["mean", "max"]
