"""Stopped at any step and gone on with, a fine-tuning ends with the same weights, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from noisy import config
from torch import nn

from fmcvqa.models import iqa
from fmcvqa.tasks import finetune

STEPS, EPOCHS = 3, 3  # 16 images in batches of 6


class Tiny(nn.Module):
    """Batch normalisation and dropout, as InceptionV3 has them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 5, 4), nn.BatchNorm2d(4), nn.Dropout(0.5)
        self.out = nn.Linear(4, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.drop(torch.relu(self.norm(self.conv(x))).mean((2, 3))))  # type: ignore[no-any-return]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, weights: str, *, seed: int) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return Tiny(iqa.backbone_spec(name).width)

    monkeypatch.setattr(iqa, "load_backbone", load)


class Kill(Callback):
    """Sends SIGTERM to this process in the middle of a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_before_optimizer_step(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


class Gone(BaseException):
    """Stands for a kill: nothing handles it, and nothing more is written."""


class Die(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise Gone


def tuned(where: Path, monkeypatch: pytest.MonkeyPatch, *more: str, extra: Callback | None = None) -> Path:
    """Fine-tune in a folder; gives its last checkpoint."""
    monkeypatch.setattr(finetune, "job_folder", lambda: where)
    honest = finetune.make_trainer

    def with_kill(make: Any, *, callbacks: list[Callback], **given: Any) -> Any:
        return honest(make, callbacks=callbacks if extra is None else [*callbacks, extra], **given)

    monkeypatch.setattr(finetune, "make_trainer", with_kill)
    try:
        finetune.run(config(where.parent, f"training.max_epochs={EPOCHS}", "training.augment=true", *more))
    finally:
        monkeypatch.setattr(finetune, "make_trainer", honest)
    return where / "last.ckpt"


def weights(path: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("recipe", ["adamw", pytest.param("sgd", marks=pytest.mark.faults)])
@pytest.mark.usefixtures("tiny")
def test_sigterm_at_any_step(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"training.optimizer={recipe}", f"training.schedule={'cosine' if recipe == 'adamw' else 'constant'}"]
    whole = weights(tuned(tmp_path / "whole", monkeypatch, *settings))
    assert not same(whole, weights(tuned(tmp_path / "other", monkeypatch, *settings, "seed=1")))
    history = (tmp_path / "whole" / "result.json").read_text().partition('"epochs"')[2].partition("]")[0]
    for step in random.Random(recipe).sample(range(STEPS * EPOCHS - 1), 5):
        where = tmp_path / str(step)
        with pytest.raises(SystemExit) as ended:
            tuned(where, monkeypatch, *settings, extra=Kill(step))
        assert ended.value.code == 143
        told = capsys.readouterr().err
        assert f"stopped by SIGTERM after step {step + 1}; the same command with ckpt_path={where}/last.ckpt" in told
        assert torch.load(where / "last.ckpt", weights_only=True)["global_step"] == step + 1
        assert not (where / "result.json").exists()
        assert same(weights(tuned(where, monkeypatch, *settings, "ckpt_path=last")), whole), step
        assert (where / "result.json").read_text().partition('"epochs"')[2].partition("]")[0] == history
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.usefixtures("tiny")
def test_a_signal_in_the_last_step_lets_it_finish_and_still_ends_with_143(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as ended:
        tuned(tmp_path / "run", monkeypatch, extra=Kill(STEPS * EPOCHS - 1))
    assert ended.value.code == 143
    assert (tmp_path / "run" / "result.json").is_file()


@pytest.mark.usefixtures("tiny")
def test_a_kill_goes_on_from_the_last_written_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = weights(tuned(tmp_path / "whole", monkeypatch, "training.num_workers=1"))
    for every, left in ((2, 4), (0, 3)):  # the second: that of the epoch's end
        where = tmp_path / str(every)
        with pytest.raises(Gone):
            tuned(where, monkeypatch, f"checkpoint_steps={every}", extra=Die(5))
        assert torch.load(where / "last.ckpt", weights_only=True)["global_step"] == left
        again = tuned(where, monkeypatch, "ckpt_path=last", "training.num_workers=1")
        assert same(weights(again), whole), every


@pytest.mark.faults
def test_a_killed_process_goes_on_to_the_same_weights(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """InceptionV3 with its dropout, real commands, a real ``kill -9`` in the middle of an epoch."""
    settings = [
        *("data=synthetic_tid2013", "data.references=4", "data.distortions=[1,8]", "data.size=[96,96]"),
        *("training.crop=80", "training.batch_size=4", "training.max_epochs=2", "training.num_workers=1"),
        *("training.head_hidden=16", "checkpoint_steps=2", "trainer.accelerator=cpu", "tracker=none"),
        f"paths.data={tmp_path / 'data'}",
    ]

    def command(name: str, *more: str) -> list[str]:
        folder = f"paths.outputs={tmp_path / name}"
        return [sys.executable, "-m", "fmcvqa", "finetune", *settings, folder, *more]

    subprocess.run(command("whole"), check=True)
    last = tmp_path / "killed" / "finetune" / "last.ckpt"
    with subprocess.Popen(command("killed")) as process:
        while not last.exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not (last.parent / "result.json").exists()
    subprocess.run(command("killed", "ckpt_path=last"), check=True)
    assert same(weights(last), weights(tmp_path / "whole" / "finetune" / "last.ckpt"))
    figure("1 of 1 kill, every bit of every weight")
