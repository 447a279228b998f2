"""Lightning's Trainer on Slurm, or refused, never ends in a traceback and says nothing of its own."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins import HalfPrecision
from tiny import errors, labelled, network, places, run

from fmcvqa.errors import ConfigError
from fmcvqa.trainer import by_itself, listed, make_trainer, refusals_told

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return ["extract", "data=csv", f"data.labels={labelled(tmp_path_factory.mktemp('set'), ['a', 'b'])}", *network()]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch script's surroundings that asked for two tasks and starts none."""
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text("#!/bin/sh\nexit 1\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{srun.parent}:{os.environ['PATH']}")
    for name, value in {"NTASKS": "2", "JOB_NAME": "job", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)


@pytest.mark.usefixtures("slurm")
def test_one_process_in_an_allocation_of_two_tasks_extracts(words: list[str], tmp_path: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, *words, *places(tmp_path))
    assert (code, out.splitlines()[-1][:24]) == (0, "2 videos of labels: feat")


@pytest.mark.usefixtures("slurm")
def test_nothing_is_said_of_srun(
    words: list[str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_NTASKS")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        lightning.Trainer(accelerator="cpu", logger=False)
        assert sum("srun" in str(one.message) for one in said) == 1
        said.clear()
        assert run(capsys, *words, *places(tmp_path))[0] == 0
        make_trainer(accelerator="cpu", logger=False)
        assert [str(one.message) for one in said if "srun" in str(one.message)] == []


def test_what_lightning_refuses_is_told(words: list[str], tmp_path: Path, capsys: Capture) -> None:
    code, _, err = run(capsys, *words, *places(tmp_path), "trainer.accelerator=tpu")
    assert code == 2
    (told,) = errors(err)
    assert told.startswith("Lightning refuses these settings of its trainer: ")
    assert " on this machine. Try: trainer.accelerator=auto, " in told


@pytest.mark.usefixtures("slurm")
@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("trainer.devices=1", "You set `--ntasks=2`"),
        ("trainer.strategy=nonsense", "invalid strategy name: `strategy='nonsense'`"),
    ],
)
def test_fine_tuning_tells_it_too(setting: str, why: str, tmp_path: Path, capsys: Capture) -> None:
    """It is not told to go on by itself: the tasks of an allocation would write over each other's checkpoints."""
    small = ["data=synthetic_tid2013", "data.references=4", "data.distortions=[1]", "data.size=[96,96]"]
    small += ["model=squeezenet1_1", "model.weights=none", "training.crop=80", "tracker=none", "training.num_workers=0"]
    code, _, err = run(capsys, "finetune", *small, *places(tmp_path), "trainer.accelerator=cpu", setting)
    (told,) = errors(err)
    assert code == 2
    assert told.startswith("Lightning refuses these settings of its trainer: ") and why in told


@pytest.mark.parametrize(
    ("module", "error", "told"),
    [
        ("lightning.planted", RuntimeError("no such\nmetric."), True),
        ("lightning.planted", torch.OutOfMemoryError("of a batch's transfer"), False),
        ("elsewhere", RuntimeError("a bug"), False),
    ],
)
def test_only_what_lightning_itself_refuses_in_a_run_is_a_setting(module: str, error: Exception, told: bool) -> None:
    planted: dict[str, Any] = {"__name__": module}
    exec("def refuse(error):\n    raise error", planted)
    with pytest.raises(ConfigError if told else type(error)) as caught, refusals_told():
        planted["refuse"](error)
    if told:
        assert str(caught.value) == "Lightning refuses these settings of its trainer: no such metric"


def test_only_one_device_is_by_itself() -> None:
    for several in ({"devices": 2}, {"devices": "auto"}, {}, {"devices": 1, "num_nodes": 2}, {"devices": -1}):
        assert by_itself(**several) == several
    (only,) = by_itself(devices=1)["plugins"]
    assert isinstance(only, LightningEnvironment)
    half, given = HalfPrecision(), LightningEnvironment()
    assert by_itself(devices="1", plugins=half)["plugins"][0] is half
    assert by_itself(devices=1, plugins=[given]) == {"devices": 1, "plugins": [given]}


def test_an_extraction_that_would_see_a_part_of_the_videos_does_not_start(
    words: list[str], tmp_path: Path, capsys: Capture
) -> None:
    for setting in ("limit_predict_batches=1", "limit_predict_batches=0", "fast_dev_run=true"):
        code, _, err = run(capsys, *words, *places(tmp_path), f"+trainer.{setting}")
        assert code == 2
        assert errors(err)[0].startswith(
            f"trainer.{setting.partition('=')[0]} would leave out the ends of videos. Try: "
        )


def test_callbacks_and_loggers_of_ones_own_are_used_beside_ours(tmp_path: Path, capsys: Capture) -> None:
    stop = "{_target_:lightning.pytorch.callbacks.EarlyStopping,monitor:val/srocc,mode:max,stopping_threshold:-2}"
    csv = f"{{_target_:lightning.pytorch.loggers.CSVLogger,save_dir:{tmp_path / 'mine'},name:x}}"
    own = [f"+trainer.callbacks=[{stop}]", "--allow-target", "lightning.pytorch.callbacks.EarlyStopping"]
    own += [f"+trainer.logger={csv}", "--allow-target", "lightning.pytorch.loggers.CSVLogger"]
    small = ["data=synthetic_tid2013", "data.references=4", "data.distortions=[1]", "data.size=[96,96]"]
    small += ["model=squeezenet1_1", "model.weights=none", "training.crop=80", "tracker=none", "training.num_workers=0"]
    small += ["training.max_epochs=3", "training.head_hidden=16", "trainer.accelerator=cpu"]
    assert run(capsys, "finetune", *small, *places(tmp_path), *own)[0] == 0
    told = json.loads((tmp_path / "outputs" / "finetune" / "result.json").read_text())
    assert [epoch["epoch"] for epoch in told["epochs"]] == [0]
    for folder in (tmp_path / "mine" / "x", tmp_path / "outputs" / "finetune" / "logs"):
        assert "val/srocc" in (folder / "version_0" / "metrics.csv").read_text()


def test_an_extraction_calls_callbacks_of_ones_own(
    words: list[str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[lightning.Trainer] = []
    monkeypatch.setattr(Callback, "on_predict_end", lambda self, trainer, module: ended.append(trainer))
    name = "lightning.pytorch.callbacks.Callback"
    own = [f"+trainer.callbacks=[{{_target_:{name}}}]", "--allow-target", name]
    assert run(capsys, *words, *places(tmp_path), *own)[0] == 0
    assert Callback in [type(callback) for trainer in ended for callback in trainer.callbacks]


def test_one_several_or_none() -> None:
    assert [listed(given) for given in (None, True, 3, [3], (3, 4))] == [[], [], [3], [3], [3, 4]]


def test_a_refusal_keeps_its_cause() -> None:
    with pytest.raises(ConfigError, match=r"unexpected keyword argument 'speed'\. Found: cpu") as caught:
        make_trainer(speed=1)
    assert isinstance(caught.value.__cause__, TypeError)
