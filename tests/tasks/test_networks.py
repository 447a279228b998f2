"""Networks are shared between the jobs of a command, and their weights are in memory once."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny import TAPS

from fmcvqa.errors import WeightsError
from fmcvqa.models.backbones import load_backbone
from fmcvqa.models.trunk import Trunk
from fmcvqa.tasks import multirun
from fmcvqa.tasks.networks import AskedNetwork


@pytest.fixture(autouse=True)
def command() -> Iterator[None]:
    multirun.begin()
    yield
    multirun.begin()


def trunks() -> int:
    gc.collect()
    return sum(isinstance(one, Trunk) for one in gc.get_objects())


def test_jobs_share_a_network_and_its_trunk_is_let_go() -> None:
    before = trunks()
    asked = AskedNetwork("squeezenet1_1", TAPS, "none", 0, "eval")
    assert asked.fingerprint() == Trunk("squeezenet1_1", TAPS, "none").fingerprint()
    first = asked.ready("32-true", 0)
    assert trunks() == before
    same = AskedNetwork("squeezenet1_1", TAPS, "none", 0, "eval")
    assert same.ready("32-true", 0) is first and same.fingerprint() == asked.fingerprint()
    assert asked.ready("bf16-mixed", 0) is not first
    assert trunks() == before
    assert AskedNetwork("squeezenet1_1", TAPS, "none", 1, "eval").fingerprint() != asked.fingerprint()


def test_weights_that_change_under_a_command_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save(load_backbone("squeezenet1_1", "none").state_dict(), file)
    asked = AskedNetwork("squeezenet1_1", TAPS, str(file), 0, "eval")
    before = asked.fingerprint()
    asked.ready("32-true", 0)
    torch.save(load_backbone("squeezenet1_1", "none", seed=1).state_dict(), file)
    assert asked.fingerprint() == before
    with pytest.raises(WeightsError) as caught:
        asked.ready("bf16-mixed", 0)
    assert str(caught.value) == (
        f"the weights {file} have changed since this command began. "
        "Try: the same command again, which names features by the new ones"
    )
