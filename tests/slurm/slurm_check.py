"""Extraction and a sweep as arrays of jobs on a real Slurm of one machine: ``make test-slurm`` starts it.

Not named ``test_*``: the suite does not collect it, since it needs a cluster.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import labelled, network, places

NAMES = ["a", "b", "c", "d", "e"]
LAUNCHER = [
    "hydra/launcher=submitit_slurm",
    "hydra.launcher.cpus_per_task=1",
    "hydra.launcher.mem_gb=2",
    "hydra.launcher.timeout_min=10",
]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no sum is taken in another order where a job has fewer cores."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "SLURM_CONF" in os.environ, "make test-slurm starts the cluster"


def command(*words: str, before: tuple[str, ...] = ()) -> str:
    """Run one of our commands; gives its stdout."""
    done = subprocess.run(
        [*before, sys.executable, "-m", "fmcvqa", *words], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def stored(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "cache").glob("*/*/*")}


def states(folder: Path) -> list[str]:
    """Which Slurm job each of submitit's jobs was."""
    return sorted(path.name for path in folder.rglob("*_submitted.pkl"))


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled(tmp_path_factory.mktemp("set"), NAMES)


def words(labels: Path, folder: Path, *more: str) -> list[str]:
    return ["extract", *more, "data=csv", f"data.labels={labels}", *network(), *places(folder)]


def test_a_sharded_extraction_gives_the_store_of_one_job(labels: Path, tmp_path: Path) -> None:
    command(*words(labels, tmp_path / "one"))
    command(*words(labels, tmp_path / "array", "-m", "shard=1/3,2/3,3/3", *LAUNCHER))
    assert len(stored(tmp_path / "one")) == len(NAMES) + 1
    assert stored(tmp_path / "array") == stored(tmp_path / "one")
    jobs = states(tmp_path / "array")
    assert [name.partition("_")[2] for name in jobs] == ["0_submitted.pkl", "1_submitted.pkl", "2_submitted.pkl"]
    assert len({name.partition("_")[0] for name in jobs}) == 1  # one array


def test_ranks_that_srun_starts_share_the_videos(labels: Path, tmp_path: Path) -> None:
    command(*words(labels, tmp_path / "one"))
    ranks = ["trainer.devices=2", "trainer.strategy=ddp"]
    out = command(*words(labels, tmp_path / "two", *ranks), before=("srun", "--ntasks-per-node=2", "--nodes=1"))
    assert out.count("5 videos of labels: features in ") == 1
    assert stored(tmp_path / "two") == stored(tmp_path / "one")


def test_tasks_of_one_device_each_share_the_videos_by_their_claims(labels: Path, tmp_path: Path) -> None:
    command(*words(labels, tmp_path / "one"))
    out = command(*words(labels, tmp_path / "two"), before=("srun", "--ntasks=2", "--nodes=1"))
    assert out.count("5 videos of labels: features in ") == 2
    assert stored(tmp_path / "two") == stored(tmp_path / "one")


def test_a_sweep_gives_the_scores_of_one_process(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 8))
    np.save(tmp_path / "X.npy", X)
    mos = X @ rng.normal(size=8) + rng.normal(size=40)
    (tmp_path / "labels.csv").write_text("mos\n" + "\n".join(map(repr, map(float, mos))) + "\n")
    data = ["features=matrix", f"features.path={tmp_path / 'X.npy'}", "data=csv", f"data.labels={tmp_path}/labels.csv"]
    grid = ["-m", "regressor.kernel=linear,rbf", "protocol.repeats=1", "tracker=none"]
    command("sweep", *grid, *data, *places(tmp_path / "one"))
    command("sweep", *grid, *data, *places(tmp_path / "array"), *LAUNCHER)
    found = [
        {path.parent.name: json.loads(path.read_text())["splits"] for path in folder.rglob("result.json")}
        for folder in (tmp_path / "one", tmp_path / "array")
    ]
    assert len(found[0]) == 2
    assert found[0] == found[1]
    assert len(states(tmp_path / "array")) == 2
