"""One cell on a whole set as one file: it scores as the features in the store do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import TAPS, composed, errors, generated, network, places, run

from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.prediction import Scale
from fmcvqa.predictor import VideoQualityModel
from fmcvqa.regression.final import fit_final
from fmcvqa.regression.svr import Cell
from fmcvqa.sealed import read_sealed

Capture = pytest.CaptureFixture[str]


def stored(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of each video in the store."""
    return {path.stem: read_sealed(path)[0] for path in (folder / "cache").glob("*/*/*.safetensors")}


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
        {"name": name, "stand_in": True, "videos": 12},
        kernel,
    )
    score = model.card["scores"]["srocc"]
    assert out == (
        f"{file} ({file.stat().st_size / 1e6:.1f} MB): {TAPS[0]} {kernel} on 12 videos of {name}; "
        f"cross-validated SROCC {score['median']:.4f} (std {score['std']:.4f})\n"
    )


def test_the_regressor_is_fitted_on_every_video_with_its_label(
    konvid: list[str], shared_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "model.fmcvqa"
    assert run(capsys, "fit", *konvid, f"output={file}", f"features.layers=[{TAPS[1]}]", "protocol.repeats=2")[0] == 0
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
        assert run(capsys, "fit", *konvid, f"output={file}", f"features.layers=[{tap}]", "protocol.repeats=2")[0] == 0
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


def test_the_default_is_the_papers_best_cell() -> None:
    cfg = composed("fit")
    assert (list(cfg.features.layers), cfg.regressor.kernel) == (["Mixed_5b"], "linear")
    assert list(cfg.features.pools) == ["mean", "max"]
