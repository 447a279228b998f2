"""Files that want to be more than data: refused without anything of theirs being run, imported or unpickled."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import hostile_models as hostile
import pytest
from sandbox import watched
from tiny import run

from fmcvqa import matfile
from fmcvqa.data.records import VideoRecord
from fmcvqa.errors import ConfigError, FeatureError, FmcvqaError, ModelFileError, WeightsError
from fmcvqa.features.matrixfile import read_matrix
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.features.store import FeatureStore
from fmcvqa.models.weights import file_weights
from fmcvqa.predictor import VideoQualityModel
from fmcvqa.sealed import DamagedError, read_sealed


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "model.fmcvqa"
    hostile.model().save(path)
    VideoQualityModel.load(path)
    return path


def refused(error: type[FmcvqaError], read: Callable[[], object]) -> None:
    """A reader refuses a file with one line, and does nothing else."""
    with watched() as seen, pytest.raises(error) as caught:
        read()
    assert seen == []
    assert "\n" not in str(caught.value)


def test_the_sandbox_notices_each_of_them() -> None:
    with watched() as seen:
        Evil = hostile.pickle.loads(hostile.pickle.dumps(os.getpid))
        assert Evil
        os.system("true")
        hostile.joblib.load(hostile.io.BytesIO(hostile._joblib(os.getpid)))
    assert [event.split()[0] for event in seen] == ["pickle.find_class", "os.system", "pickle.find_class"]


@pytest.mark.parametrize("kind", hostile.FOREIGN)
def test_a_foreign_model_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model.fmcvqa"
    path.write_bytes(hostile.FOREIGN[kind]())
    refused(ModelFileError, lambda: VideoQualityModel.load(path))


@pytest.mark.parametrize("kind", hostile.SEALED)
def test_a_sealed_model_file_of_hostile_content(kind: str, whole: Path, tmp_path: Path) -> None:
    path = hostile.sealed(tmp_path / "model.fmcvqa", hostile.SEALED[kind], whole)
    refused(ModelFileError, lambda: VideoQualityModel.load(path))


def test_a_decoder_named_as_a_call_is_only_a_name(whole: Path, tmp_path: Path) -> None:
    path = hostile.sealed(tmp_path / "model.fmcvqa", hostile.DECODER, whole)
    model = VideoQualityModel.load(path)
    refused(ConfigError, lambda: model.predict(tmp_path / "a.mp4"))


def test_a_config_in_a_model_is_data(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(_: object, record: dict[str, object]) -> None:
        record["card"] = {"config": {"_target_": "os.system", "command": "touch /tmp/fmcvqa-was-here"}}

    path = hostile.sealed(tmp_path / "model.fmcvqa", change, whole)
    with watched() as seen:
        assert VideoQualityModel.load(path).card["config"]["_target_"] == "os.system"
        assert run(capsys, "info", str(path))[0] == 0
    assert seen == []


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "sparse terabyte", "loop"])
def test_what_is_no_file_neither_hangs_nor_fills_memory(kind: str, tmp_path: Path, whole: Path) -> None:
    path = tmp_path / "model.fmcvqa"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path.write_bytes(whole.read_bytes())
        os.truncate(path, 10**12)
    start = time.monotonic()
    refused(ModelFileError, lambda: VideoQualityModel.load(path))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("name", hostile.WEIGHTS)
def test_hostile_weights(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(hostile.WEIGHTS[name]())
    refused(WeightsError, lambda: file_weights("squeezenet1_1", path))


@pytest.mark.parametrize("name", [name for name in hostile.MATRICES if not name.endswith(".mat")])
def test_hostile_matrices(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(hostile.MATRICES[name]())
    refused(FeatureError, lambda: read_matrix(path))


@pytest.mark.parametrize("name", [name for name in hostile.MATRICES if name.endswith(".mat")])
def test_a_hostile_matlab_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    path.write_bytes(hostile.MATRICES[name]())
    with watched() as seen, pytest.raises(IndexError):
        matfile._load(str(path), None)  # what the process does that tries the file
    assert seen == []
    honest, started = subprocess.run, list[list[str]]()

    def noted(command: list[str], **options: Any) -> Any:
        started.append(command)
        return honest(command, **options)

    monkeypatch.setattr(subprocess, "run", noted)
    with watched() as seen, pytest.raises(FeatureError) as caught:
        read_matrix(path)
    assert started == [[sys.executable, "-P", matfile.__file__, str(path)]]
    assert [event.split()[0] for event in seen] == ["subprocess.Popen"]  # that process, and nothing else
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", hostile.FOREIGN)
def test_a_foreign_store_entry_is_set_aside(kind: str, tmp_path: Path) -> None:
    recipe = FeatureRecipe().bind(backbone="net", weights="ab", decoder="pyav", decoder_version="1")
    store = FeatureStore(tmp_path, "set", recipe)
    store.path("a").parent.mkdir(parents=True)
    store.path("a").write_bytes(hostile.FOREIGN[kind]())
    with watched() as seen:
        missing = store.missing([VideoRecord("a", tmp_path / "a.mp4", 1.0)])
    assert [record.id for record in missing] == ["a"]
    assert [event.split()[0] for event in seen] == ["os.rename"]  # set aside, and nothing else


def flips(whole: Path, path: Path, count: int) -> int:
    """How many of so many single flipped bits are refused."""
    data, refused_ones = bytearray(whole.read_bytes()), 0
    for seed in range(count):
        random = Random(seed)
        position, bit = random.randrange(len(data)), 1 << random.randrange(8)
        data[position] ^= bit
        path.write_bytes(data)
        data[position] ^= bit
        try:
            read_sealed(path)
        except DamagedError:
            refused_ones += 1
    return refused_ones


@pytest.mark.faults
def test_ten_thousand_flipped_bits(tmp_path: Path, figure: Callable[[str], None]) -> None:
    from fmcvqa.sealed import write_sealed

    rng = hostile.np.random.default_rng(0)
    arrays = {f"tap/{k}": rng.normal(size=300).astype("float32") for k in range(8)}
    write_sealed(tmp_path / "entry", arrays, {"video": "a", "frames": 3, "source": {"size": 1}})
    found = flips(tmp_path / "entry", tmp_path / "flipped", 10_000)
    figure(f"{found} of 10000 flipped bits refused")
    assert found == 10_000
