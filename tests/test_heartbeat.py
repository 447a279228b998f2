"""A run that does not move says where it is."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import pytest
from tiny import TAPS, clip

from fmcvqa.data.records import VideoRecord
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.features.streaming import extract_features
from fmcvqa.heartbeat import Heartbeat
from fmcvqa.models.trunk import Trunk


def test_it_speaks_only_when_nothing_moves(caplog: pytest.LogCaptureFixture) -> None:
    with Heartbeat(0.4, lambda: "decode of 'b.mp4'") as beat:
        for _ in range(6):
            beat.at("features of a")
            time.sleep(0.1)
        assert caplog.messages == []
        time.sleep(0.7)
        beat.at("")
        time.sleep(0.7)
    assert caplog.messages[0] == "nothing has moved for 0 s: features of a"
    assert caplog.messages[-1].endswith(" s: decode of 'b.mp4'")
    assert not [thread for thread in threading.enumerate() if thread.name == "fmcvqa-heartbeat"]


def test_infinity_is_never(caplog: pytest.LogCaptureFixture) -> None:
    with Heartbeat(float("inf"), lambda: "nowhere"):
        (thread,) = [thread for thread in threading.enumerate() if thread.name == "fmcvqa-heartbeat"]
        time.sleep(0.1)
        assert thread.is_alive()
    assert caplog.messages == []


@pytest.mark.parametrize("stuck", ["store", "decode"])
def test_a_stuck_extraction_names_video_and_stage(stuck: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from data.test_decode_pool import PlantedDecoder

    path = clip(tmp_path / "a.mp4") if stuck == "store" else Path("/nowhere/spins")
    trunk = Trunk("squeezenet1_1", TAPS, "none", seed=0)
    with caplog.at_level(logging.WARNING, "fmcvqa"):
        extract_features(
            [VideoRecord("a", path, 1.0)],
            trunk,
            FeatureRecipe(taps=TAPS, crop=64),
            PlantedDecoder(),
            done=lambda pooled: time.sleep(0.8),
            failed=lambda video_id, error: None,
            trainer={"accelerator": "cpu"},
            num_workers=int(stuck == "decode"),
            timeout_seconds=1.0,
            heartbeat_seconds=0.4,
            progress=False,
        )
    said = {"store": "store of a", "decode": "decode of '/nowhere/spins'"}[stuck]
    assert any(message.endswith(f" s: {said}") for message in caplog.messages)
