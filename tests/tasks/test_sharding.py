"""Jobs and ranks that share a dataset write one store between them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny import damage, errors, labelled, network, places, run

from fmcvqa.errors import ConfigError
from fmcvqa.tasks.sharding import gathered, shard_of, speaks

Capture = pytest.CaptureFixture[str]
NAMES = ["a", "b", "c", "d", "e"]


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled(tmp_path_factory.mktemp("set"), NAMES)


def words(labels: Path, folder: Path, *more: str) -> list[str]:
    return ["extract", "data=csv", f"data.labels={labels}", *network(), *places(folder), *more]


def stored(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "cache").glob("*/*/*")}


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ranks(labels: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command on two gloo ranks; one thread each, so that no sum is taken in another order."""
    command = [sys.executable, "-m", "fmcvqa", *words(labels, folder, "trainer.devices=2", "trainer.strategy=ddp")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)


@pytest.mark.usefixtures("one_thread")
def test_two_ranks_give_the_store_of_one_byte_for_byte(labels: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run(capsys, *words(labels, tmp_path / "one"))[0] == 0
    done = ranks(labels, tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("5 videos of labels: features in ") == 1
    assert "GLOBAL_RANK: 1, MEMBER: 2/2" in done.stderr
    assert len(stored(tmp_path / "one")) == len(NAMES) + 1
    assert stored(tmp_path / "two") == stored(tmp_path / "one")


@pytest.mark.release
@pytest.mark.usefixtures("one_thread")
def test_two_nodes_give_the_store_of_one_byte_for_byte(labels: Path, tmp_path: Path, capsys: Capture) -> None:
    """Two nodes of one rank each, here on one machine: each is started by itself and told the other's address."""
    assert run(capsys, *words(labels, tmp_path / "one"))[0] == 0
    nodes = ["trainer.devices=1", "trainer.num_nodes=2", "trainer.strategy=ddp"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for node in range(2):
        meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": str(node), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "fmcvqa", *words(labels, tmp_path / "two", *nodes)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=os.environ | meet, **pipes))
    told = [process.communicate(timeout=240) for process in started]
    assert [process.returncode for process in started] == [0, 0], told
    assert ["features in " in out for out, _ in told] == [True, False]
    assert all(f"GLOBAL_RANK: {node}, MEMBER: {node + 1}/2" in err for node, (_, err) in enumerate(told))
    assert stored(tmp_path / "two") == stored(tmp_path / "one")


@pytest.mark.release
def test_what_fails_on_any_rank_is_named_once(tmp_path: Path) -> None:
    labels = labelled(tmp_path / "set", NAMES)
    damage(labels.parent / "a.mp4")
    damage(labels.parent / "d.mp4")
    done = ranks(labels, tmp_path)
    assert done.returncode == 3
    assert (tmp_path / "outputs" / "extract" / "failures.jsonl").read_text().count("E_CORRUPT") == 4
    assert errors(done.stderr)[0].startswith("2 of 5 videos could not be read: E_CORRUPT: ")


def test_shards_together_give_the_whole_store(labels: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run(capsys, *words(labels, tmp_path / "whole"))[0] == 0
    code, out, _ = run(capsys, *words(labels, tmp_path / "parts", "-m", "shard=1/3,2/3,3/3"))
    assert code == 0
    assert [line.partition(": ")[0] for line in out.splitlines()] == [
        "2 videos of labels (shard 1/3)",
        "2 videos of labels (shard 2/3)",
        "1 videos of labels (shard 3/3)",
    ]
    assert stored(tmp_path / "parts") == stored(tmp_path / "whole")


def test_every_item_is_in_one_shard() -> None:
    shards = [shard_of(range(10), f"{number}/4") for number in range(1, 5)]
    assert shards == [[0, 4, 8], [1, 5, 9], [2, 6], [3, 7]]
    assert shard_of(range(3), None) == [0, 1, 2]
    assert shard_of([1], "2/2") == []


@pytest.mark.parametrize("shard", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4"])
def test_a_shard_that_is_none(shard: str) -> None:
    with pytest.raises(ConfigError) as caught:
        shard_of([1, 2], shard)
    assert str(caught.value) == f"shard is {shard!r}. Try: shard=i/N with i from 1 to N, such as shard=1/8"


def test_alone_nothing_is_gathered() -> None:
    items = ["x"]
    assert gathered(items) is items
    assert speaks()
