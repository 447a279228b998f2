"""A sweep that is killed goes on where it was, to the table of one that was not."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tiny import places, run

Capture = pytest.CaptureFixture[str]
CELLS = 3


def words(folder: Path, features: Path) -> list[str]:
    data = ["features=matrix", f"features.path={features / 'features.npy'}", "data=csv"]
    labels = [f"data.labels={features / 'labels.csv'}", "data.mos_column=mos"]
    costs = ",".join(str(2.0**k) for k in range(CELLS))
    settings = ["tracker=none", "protocol.repeats=2", f"regressor.C={costs}"]
    return ["sweep", "-m", *data, *labels, *places(folder), *settings]


@pytest.mark.faults
def test_a_killed_sweep_ends_with_the_same_table(tmp_path: Path, capsys: Capture) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 8)).astype(np.float32)
    np.save(tmp_path / "features.npy", X)
    mos = X[:, :6].sum(1) + rng.normal(size=60)
    (tmp_path / "labels.csv").write_text("mos\n" + "".join(f"{value:.6f}\n" for value in mos))

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(capsys, *words(whole, tmp_path))[0] == 0
    sweep = killed / "outputs" / "sweep"
    with (tmp_path / "said.txt").open("w") as said:
        process = subprocess.Popen([sys.executable, "-m", "fmcvqa", *words(killed, tmp_path)], stdout=said, stderr=said)
        while len(list(sweep.glob("*/result.json"))) < 1:
            assert process.poll() is None, (tmp_path / "said.txt").read_text()
            time.sleep(0.002)
        process.kill()
        process.wait()
    kept = {path.parent.name: path.stat().st_mtime_ns for path in sweep.glob("*/result.json")}
    assert 1 <= len(kept) < CELLS
    assert not (sweep / "table.csv").exists()

    code, _, err = run(capsys, *words(killed, tmp_path))
    assert code == 0
    assert err.count("is finished already") == len(kept)
    now = {path.parent.name: path.stat().st_mtime_ns for path in sweep.glob("*/result.json")}
    assert len(now) == CELLS
    assert {name: now[name] for name in kept} == kept
    assert (sweep / "table.csv").read_bytes() == (whole / "outputs" / "sweep" / "table.csv").read_bytes()
