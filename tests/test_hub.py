"""Models in folders and on a Hub that is played here: no network in these tests."""

from __future__ import annotations

import builtins
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from tiny import composed, network, places, run

from fmcvqa.errors import ConfigError, ModelFileError
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.hub import local_model, share
from fmcvqa.models.trunk import Trunk
from fmcvqa.prediction import Scale
from fmcvqa.predictor import VideoQualityModel
from fmcvqa.regression.conformal import Calibration
from fmcvqa.regression.final import LinearRegressor
from fmcvqa.tasks import fit
from fmcvqa.tasks.extract import Extraction
from fmcvqa.tasks.inputs import cell_of

CARD = {"licence": "CC-BY-4.0", "dataset": {"name": "mine", "videos": 20}}
HEAD = """---
library_name: "fmcvqa"
tags: ["video-quality-assessment", "no-reference"]
license: "cc-by-4.0"
datasets: ["mine"]
---

# mine: a cell that is not described
"""


class Hub:
    """What of the Hub is used, as folders; refuses where it is told to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.refuses = False
        self.asked: list[Any] = []

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        self.asked.append((repo_id, private, exist_ok))
        (self.root / repo_id).mkdir(parents=True, exist_ok=exist_ok)

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> str:
        if self.refuses:
            raise OSError("401 Client Error\nand more")
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)
        return f"https://hub/{repo_id}"

    def hf_hub_download(self, repo_id: str, filename: str, *, revision: str | None = None) -> str:
        self.asked.append((repo_id, filename, revision))
        if not (self.root / repo_id / filename).is_file():
            raise OSError(f"404: no {filename} in {repo_id}\nand more")
        return str(self.root / repo_id / filename)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: made)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", made.hf_hub_download)
    return made


@pytest.fixture(scope="module")
def model() -> VideoQualityModel:
    trunk = Trunk("squeezenet1_1", ("features.3",), "none")
    recipe = FeatureRecipe(taps=("features.3",)).bind(
        backbone=trunk.name, weights=trunk.fingerprint(), decoder="pyav", decoder_version="1"
    )
    regressor = LinearRegressor({("features.3", "mean"): np.ones(8256)}, 3.0)
    calibration = Calibration(np.arange(20.0), np.arange(20.0) / 10)
    return VideoQualityModel(trunk, recipe, regressor, Scale("mine", 1.0, 5.0), CARD, calibration)


@pytest.fixture
def file(model: VideoQualityModel, tmp_path: Path) -> Path:
    model.save(tmp_path / "my.fmcvqa")
    return tmp_path / "my.fmcvqa"


def test_a_folder_holds_the_model_and_its_card(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "handed on"
    assert run(capsys, "share", str(file), str(folder)) == (0, f"{folder / 'model.fmcvqa'}\n", "")
    assert (folder / "model.fmcvqa").read_bytes() == file.read_bytes()
    readme = (folder / "README.md").read_text()
    assert readme.startswith(HEAD)
    assert readme.endswith("fmcvqa predict clip.mp4 --model model.fmcvqa\n```\n")
    assert local_model(folder) == folder / "model.fmcvqa"
    assert local_model(str(file)) == file
    assert VideoQualityModel.from_pretrained(folder).card == CARD


def test_to_the_hub_and_back(hub: Hub, model: VideoQualityModel, file: Path) -> None:
    assert model.push_to_hub("hf://me/good", private=True) == "https://hub/me/good"
    assert hub.asked == [("me/good", True, True)]
    assert sorted(path.name for path in (hub.root / "me" / "good").iterdir()) == ["README.md", "model.fmcvqa"]
    assert "--model hf://me/good\n" in (hub.root / "me" / "good" / "README.md").read_text()
    again = VideoQualityModel.from_pretrained("hf://me/good")
    assert (again.card, again.recipe) == (model.card, model.recipe)
    assert local_model("hf://me/good@v1/README.md").name == "README.md"
    assert hub.asked[1:] == [("me/good", "model.fmcvqa", None), ("me/good", "README.md", "v1")]


def test_commands_take_models_from_the_hub(hub: Hub, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    share(file, "hf://me/good")
    assert run(capsys, "info", "hf://me/good")[1].startswith("# mine: ")
    code, _, err = run(capsys, "predict", "none.mp4", "--model", "hf://me/good")
    assert (code, err.split(":")[1]) == (3, " E_NOT_FOUND")


def test_a_network_from_the_hub_starts_another(hub: Hub, file: Path, model: VideoQualityModel, tmp_path: Path) -> None:
    share(file, "hf://me/good")
    cfg = composed(
        "fit",
        *network(),
        *places(tmp_path),
        "recipe.taps=[features.3]",
        "features.layers=[features.3]",
        "model.weights=hf://me/good",
        "data=csv",
    )
    made = Extraction.from_config(cfg)
    assert made.recipe.weights == model.recipe.weights
    trunk, recipe = fit._trunk(cfg, cell_of(cfg))
    assert trunk.fingerprint() == recipe.weights == model.recipe.weights
    assert fit._parent(cfg)["from_model"]["dataset"] == "mine"


def test_what_goes_wrong_is_told(hub: Hub, file: Path, tmp_path: Path) -> None:
    for reference in ("hf://", "hf://me", "hf://me/", "hf:///good"):
        with pytest.raises(ConfigError) as incomplete:
            local_model(reference)
        assert str(incomplete.value) == (
            f"{reference} names no repository. Try: hf://OWNER/NAME, such as hf://me/my-model"
        )
    with pytest.raises(ModelFileError) as missing:
        local_model("hf://me/none")
    assert str(missing.value) == (
        "the Hub does not give hf://me/none (404: no model.fmcvqa in me/none). "
        "Try: look at the name and the network; a private repository needs HF_TOKEN"
    )
    hub.refuses = True
    with pytest.raises(ModelFileError) as refused:
        share(file, "hf://me/good")
    assert str(refused.value) == (
        "the Hub does not take hf://me/good (401 Client Error). "
        "Try: log in with `hf auth login` or HF_TOKEN, and look at the name"
    )
    with pytest.raises(ConfigError) as more:
        share(file, "hf://me/good@v1")
    assert str(more.value) == "hf://me/good@v1 is more than a repository. Try: hf://me/good"
    with pytest.raises(ModelFileError, match=r"cannot be written to \(File exists\)"):
        share(file, str(file))
    file.write_bytes(b"not a model")
    with pytest.raises(ModelFileError, match="bytes that are not a whole fmcvqa model"):
        share(file, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("huggingface_hub"):
            raise ImportError(name)
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError) as error:
        local_model("hf://me/good")
    assert str(error.value) == ("a model on the Hugging Face Hub needs huggingface_hub. Try: pip install 'fmcvqa[hub]'")
