from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from noisy import config

from fmcvqa import configs
from fmcvqa.errors import ConfigError, DatasetError, FmcvqaError, WeightsError
from fmcvqa.models.iqa import IQARegressor
from fmcvqa.models.trunk import Trunk
from fmcvqa.tasks import finetune, job, ranks


@pytest.fixture(autouse=True)
def _where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(finetune, "job_folder", lambda: tmp_path / "run")


def result(tmp_path: Path) -> dict[str, Any]:
    return dict(json.loads((tmp_path / "run" / "result.json").read_text()))


def test_it_learns_and_leaves_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = finetune.run(config(tmp_path, "training.max_epochs=10", "training.lr=1e-3"))
    told = result(tmp_path)
    assert told["epochs"][0]["srocc"] < 0 and best > 0.8  # the random start ranks the wrong way round
    assert told["epochs"][-1]["loss"] < told["epochs"][0]["loss"] / 2
    path = tmp_path / "run" / "best.ckpt"
    assert told["dataset"] == {"name": "Noisy", "stand_in": True, "images": 24, "mos_range": [0.0, 9.0]}
    assert told["split"] == {
        "by": "reference",
        "seed": 0,
        "train_images": 16,
        "val_images": 8,
        "train_references": ["R0", "R1", "R4", "R5"],
        "val_references": ["R2", "R3"],
    }
    assert [epoch["epoch"] for epoch in told["epochs"]] == list(range(10))
    assert told["scores"]["srocc"]["value"] == best == max(epoch["srocc"] for epoch in told["epochs"])
    assert told["epochs"][told["best_epoch"]]["plcc"] == told["scores"]["plcc"]["value"]
    assert told["config"]["training"]["optimizer"] == "adamw" and told["versions"]["torch"] == version("torch")
    assert told["checkpoint"] == str(path)
    content = torch.load(path, weights_only=True)
    assert content["epoch"] == told["best_epoch"]
    assert torch.load(path.with_name("last.ckpt"), weights_only=True)["epoch"] == 9
    rows = (tmp_path / "run" / "logs" / "version_0" / "metrics.csv").read_text().splitlines()
    assert "val/srocc" in rows[0] and len(rows) >= 10
    assert capsys.readouterr().out == (
        f"best epoch {told['best_epoch']}: SROCC {best:.4f}, PLCC {told['scores']['plcc']['value']:.4f} on 8 images of "
        f"held-out references (Noisy)\ncheckpoint: {path}\n"
    )
    assert Trunk("squeezenet1_1", ["features.6"], path).taps == ("features.6",)


@pytest.mark.parametrize("ema", ["null", "0.9"])
def test_a_resumed_run_ends_with_the_same_weights(ema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ("training.max_epochs=3", "training.schedule=constant", "training.optimizer=sgd", f"training.ema={ema}")
    finetune.run(config(tmp_path, *settings))
    whole = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    epochs = result(tmp_path)["epochs"]

    monkeypatch.setattr(finetune, "job_folder", lambda: tmp_path / "halves")
    finetune.run(config(tmp_path, *settings, "training.max_epochs=1"))
    last = tmp_path / "halves" / "last.ckpt"
    finetune.run(config(tmp_path, *settings, f"ckpt_path={last}"))
    halves = torch.load(last, weights_only=True)["state_dict"]
    assert all(torch.equal(whole[key], halves[key]) for key in whole)
    assert json.loads((tmp_path / "halves" / "result.json").read_text())["epochs"] == epochs


def test_only_the_same_fine_tuning_goes_on(tmp_path: Path) -> None:
    first = ("training.max_epochs=1", "training.schedule=cosine", "training.optimizer=adamw")
    finetune.run(config(tmp_path, *first))
    last, moved = tmp_path / "run" / "last.ckpt", tmp_path / "moved.ckpt"
    last.rename(moved)
    steps = torch.load(moved, weights_only=True)["global_step"]
    for setting, told in (
        ("model.name=resnet50", "the checkpoint is of a fine-tuning with backbone=squeezenet1_1, not resnet50"),
        ("training.head_hidden=7", "the checkpoint is of a fine-tuning with head_hidden=16, not 7"),
        ("training.optimizer=sgd", "the checkpoint is of a fine-tuning with optimizer=adamw, not sgd"),
        ("training.lr=0.5", "the checkpoint is of a fine-tuning with lr=0.0003, not 0.5"),
        ("training.max_epochs=3", f"the checkpoint's learning rate falls to 0 at step {steps}"),
        ("training.batch_size=3", f"the checkpoint's learning rate falls to 0 at step {steps}"),
    ):
        with pytest.raises(ConfigError) as refused:
            finetune.run(config(tmp_path, *first, f"ckpt_path={moved}", setting))
        assert refused.value.problem == told
        other = "or model.weights=FILE to begin a new fine-tuning with the checkpoint's network"
        assert refused.value.advice.endswith("the checkpoint's" if "resnet50" in setting else other)
        assert not last.exists()


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    one = ("training.max_epochs=1",)
    finetune.run(config(tmp_path, *one))
    last = tmp_path / "run" / "last.ckpt"
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError) as refused:
        finetune.run(config(tmp_path, *one, "ckpt_path=last"))
    advice = "Try: another checkpoint, or leave out ckpt_path to start anew"
    assert str(refused.value) == f"the checkpoint {last} cannot be read. {advice}"
    for part, without, odd in (
        ("loops", {}, "loops.fit_loop"),
        ("loops", None, "loops.fit_loop"),
        ("loops", [1], "loops.fit_loop"),
        ("hyper_parameters", {"hidden": 3}, "hyper_parameters.backbone"),
        ("optimizer_states", [], "optimizer_states.0"),
    ):
        torch.save({**torch.load(io.BytesIO(whole), weights_only=True), part: without}, last)
        with pytest.raises(WeightsError) as refused:
            finetune.run(config(tmp_path, *one, "ckpt_path=last"))
        assert str(refused.value) == f"a fine-tuning cannot go on from {last}, in which there is no {odd}. {advice}"
    content = torch.load(io.BytesIO(whole), weights_only=True)
    del content["state_dict"]["head.0.bias"]
    torch.save(content, last)
    with pytest.raises(WeightsError) as refused:
        finetune.run(config(tmp_path, *one, "ckpt_path=last"))
    assert str(refused.value) == f"the checkpoint has not this network's weights in head.0.bias. {advice}"


def test_averaged_weights_are_those_that_are_validated_and_kept(tmp_path: Path) -> None:
    def kept(*overrides: str) -> torch.Tensor:
        finetune.run(config(tmp_path, "training.lr=1e-2", "training.schedule=constant", *overrides))
        head: torch.Tensor = torch.load(tmp_path / "run" / "best.ckpt", weights_only=True)["state_dict"][
            "head.0.weight"
        ]
        return head

    # The average begins with the weights after the first step, and one that keeps nearly all of itself stays there.
    begun, last = kept("+trainer.limit_train_batches=1"), kept()
    assert torch.allclose(kept("training.ema=0.999999"), begun, atol=1e-6)
    assert not torch.allclose(last, begun, atol=1e-3)
    with pytest.raises(ConfigError, match=r"^training\.ema is 1\. Try: a decay between 0 and 1, or null for none$"):
        finetune.weight_averaging(1)


def test_the_authors_split_is_called_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finetune.run(config(tmp_path, "training.split=image", "trainer.precision=bf16-mixed"))
    assert result(tmp_path)["split"]["by"] == "image"
    assert " on 6 images, contents shared with training (Noisy)\n" in capsys.readouterr().out


def test_wandb_sees_every_epoch_offline(tmp_path: Path) -> None:
    finetune.run(config(tmp_path, "tracker=wandb", "training.max_epochs=2"))
    runs = list((tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(runs) == 1
    assert runs[0].stem == f"run-{result(tmp_path)['key'][:16]}"
    content = runs[0].read_bytes()
    assert content.count(b"val/srocc") >= 2 and b"best/srocc" in content


def test_nothing_starts_on_an_incomplete_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="3 of 24 images are missing"):
        finetune.run(config(tmp_path, "+data.complete=false", "model.weights=/nowhere/at/all.pth"))
    assert not (tmp_path / "run").exists()


def test_no_epoch_no_result(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        finetune.run(config(tmp_path, "training.max_epochs=0"))
    assert str(caught.value) == (
        "no epoch was validated, so there is no best one. "
        "Try: training.max_epochs of at least 1, and trainer.limit_val_batches above 0"
    )
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_network_that_predicts_one_number_has_no_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scores = {0: 3.0, 2: 4.0}  # by epoch; in the others as the network predicts

    def forward(model: IQARegressor, x: torch.Tensor) -> torch.Tensor:
        predicted = honest(model, x)
        return 0 * predicted + scores[model.current_epoch] if model.current_epoch in scores else predicted

    honest = IQARegressor.forward
    monkeypatch.setattr(IQARegressor, "forward", forward)
    best = finetune.run(config(tmp_path, "training.max_epochs=3"))
    told = result(tmp_path)
    assert [epoch["srocc"] for epoch in told["epochs"]] == [None, best, None]
    assert [epoch["plcc"] is None for epoch in told["epochs"]] == [True, False, True]
    assert told["best_epoch"] == 1 == torch.load(tmp_path / "run" / "best.ckpt", weights_only=True)["epoch"]
    assert caplog.text.count("no SROCC, since all predictions or all MOS are alike") == 2

    scores[1] = 5.0
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(FmcvqaError, match=r"^the fine-tuning has collapsed: in every epoch all predictions, or "):
        finetune.run(config(tmp_path, "training.max_epochs=3"))
    assert not (tmp_path / "run" / "result.json").exists()


STOPPING = "+trainer.callbacks=[{_target_:lightning.pytorch.callbacks.EarlyStopping,monitor:none}]"


@pytest.mark.parametrize("setting", ["+trainer.val_check_interval=2.5", "+trainer.val_check_interval=99", STOPPING])
def test_what_lightning_refuses_is_a_wrong_setting(setting: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^Lightning refuses these settings of its trainer: \S"):
        finetune.run(config(tmp_path, setting))


def test_more_devices_are_started_by_this_jobs_own_command(monkeypatch: pytest.MonkeyPatch) -> None:
    hydra = SimpleNamespace(overrides=SimpleNamespace(task=["training=strong", "seed=1"]))
    monkeypatch.setattr(job, "HydraConfig", SimpleNamespace(get=lambda: hydra))
    script = str(Path(job.__file__).parents[1] / "__main__.py")
    monkeypatch.setenv(job.EXPERIMENT, "mine.yaml")
    assert job.rank_arguments("finetune") == [script, "finetune", "mine.yaml", "training=strong", "seed=1"]
    monkeypatch.delenv(job.EXPERIMENT)
    assert job.rank_arguments("extract") == [script, "extract", "training=strong", "seed=1"]


@pytest.mark.release
def test_two_ranks_share_the_steps_of_one_fine_tuning(tmp_path: Path) -> None:
    settings = [
        *("data=synthetic_tid2013", "data.references=4", "data.distortions=[1,8]", "data.size=[96,96]"),
        *("model=squeezenet1_1", "model.weights=none", "training.crop=80", "training.batch_size=4"),
        *("training.max_epochs=1", "training.num_workers=0", "training.head_hidden=16"),
        *("trainer.accelerator=cpu", "tracker=none", f"paths.data={tmp_path / 'data'}"),
    ]
    steps = []
    for devices in (1, 2):
        places = [f"paths.outputs={tmp_path / str(devices)}", f"trainer.devices={devices}", "trainer.strategy=ddp"]
        command = [sys.executable, "-m", "fmcvqa", "finetune", *settings, *places]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("best epoch 0: SROCC ") == done.stdout.count("checkpoint: ") == 1
        folder = tmp_path / str(devices) / "finetune"
        told = json.loads((folder / "result.json").read_text())
        assert (told["split"]["train_images"], told["split"]["val_images"]) == (30, 10)
        steps.append(torch.load(folder / "last.ckpt", weights_only=True)["global_step"])
    assert steps == [8, 4]


def test_ranks_leave_nothing_to_the_next_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with ranks.one_job():
        os.environ.update(LOCAL_RANK="0", MASTER_PORT="2")
    assert "LOCAL_RANK" not in os.environ and os.environ["MASTER_PORT"] == "1"


def test_the_paper_recipe_is_as_stated() -> None:
    with initialize_config_dir(version_base="1.3", config_dir=str(configs.conf_dir())):
        cfg = compose("finetune")
    assert dict(cfg.training) == {
        "batch_size": 32, "max_epochs": 50, "optimizer": "sgd", "lr": 1e-3, "momentum": 0.7, "weight_decay": 0.0,
        "schedule": "constant", "head_hidden": 1024, "mos_range": None, "resize": [338, 338], "crop": 299,
        "augment": False, "split": "reference", "val_fraction": 0.25, "num_workers": 2,
        "backbone_lr": 1.0, "correlation_weight": 0.0, "rank_weight": 0.0, "ema": None,
    }  # fmt: skip
    assert dict(cfg.model) == {"name": "inception_v3", "weights": "imagenet", "seed": 0}
