"""Secrets given by environment, config and command line are in no byte that a full offline run leaves."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from tiny import labelled, network, places, run

from fmcvqa.tasks import redaction
from fmcvqa.tasks.redaction import hidden, is_secret, learn, recorded, redacted

Capture = pytest.CaptureFixture[str]
CANARIES = {
    "WANDB_API_KEY": "canaryenvwandb0123456789abcdef0123456789",
    "AWS_SECRET_ACCESS_KEY": "canary-env-aws",
    "PLAIN": "canary-env-plain",
    "COPIED": "canary-env-copied",
    "PIN": "canary-env-pin",
}
GIVEN = [
    "+service.token=canary-token",
    "+service.deep.password=canary password 1",
    "+services=[{name: a, api_key: canary-list}]",
    "+mirror=https://me:canary-address@host.example/x",
    "+note='${oc.env:PLAIN} and more'",
    "+copy_of_it='${service.token}'",
    "+pin='${oc.env:PIN}'",
    "+hydra.job.env_copy=[COPIED]",
]


@pytest.fixture(autouse=True)
def _nothing_known() -> object:
    redaction.forget()
    yield
    redaction.forget()


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for everything that is left, with secrets in the environment."""
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "work"


def told_nothing(work: Path, done: list[tuple[int, str, str]], kinds: set[str]) -> dict[str, Any]:
    """The config of a result, after looking through every byte, every name and what was printed."""
    assert [code for code, _, _ in done] == [0] * len(done), done
    files = [path for path in work.rglob("*") if path.is_file()]
    assert kinds <= {path.name for path in files} | {path.suffix for path in files}
    assert [path for path in files if b"canary" in path.read_bytes()] == []
    assert [path for path in work.rglob("*") if "canary" in str(path.relative_to(work))] == []
    assert all("canary" not in text for _, out, err in done for text in (out, err))
    config: dict[str, Any] = json.loads(next(work.rglob("result.json")).read_text())["config"]
    assert (config["service"]["token"], config["copy_of_it"]) == ("***", "***")
    assert config["note"] == "${oc.env:PLAIN} and more"
    assert config["mirror"] == "https://me:***@host.example/x"
    return config


def tuning(work: Path) -> list[str]:
    words = [*places(work), *GIVEN, "model=squeezenet1_1", "data=synthetic_tid2013", "data.references=2"]
    words += ["data.size=[64,64]", "data.distortions=[1]", "training.crop=36", "training.max_epochs=1"]
    return [*words, "training.num_workers=0", "model.weights=none", "trainer.accelerator=cpu"]


def test_no_byte_of_an_offline_run_holds_one(work: Path, capsys: Capture) -> None:
    done = [run(capsys, "finetune", "-m", "+my.secret=canary-in-a-sweep", *tuning(work))]
    kinds = {"multirun.yaml", "overrides.yaml", "hydra.yaml", "config.yaml", "best.ckpt", "finetune.log", ".wandb"}
    told_nothing(work, done, kinds)


def test_no_byte_of_a_cell_and_its_page_holds_one(work: Path, tmp_path: Path, capsys: Capture) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.normal(size=(20, 3)))
    (tmp_path / "mos.csv").write_text("mos\n" + "\n".join(map(str, rng.uniform(1, 5, 20))) + "\n")
    words = [
        "features=matrix",
        f"features.path={tmp_path / 'x.npy'}",
        "data=csv",
        f"data.labels={tmp_path / 'mos.csv'}",
    ]
    words += ["data.mos_column=mos", "protocol.repeats=1", "tracker=none", *places(work), *GIVEN]
    done = [run(capsys, "sweep", *words)]
    done += [run(capsys, "report", str(next(work.rglob("result.json")).parent), "--out", str(work / "report"))]
    told_nothing(work, done, {"result.json", "report.html", "overrides.yaml", "config.yaml"})


@pytest.mark.faults
def test_no_byte_of_all_commands_holds_one(
    work: Path, tmp_path: Path, capsys: Capture, figure: Callable[[str], None]
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("defaults: [sweep, _self_]\nname: mine\nlogin: {passphrase: canary-in-file}\n")
    labels = labelled(tmp_path / "set", [f"c{k}" for k in range(12)], count=2)
    data = ["data=csv", f"data.labels={labels}", *network(), *places(work), *GIVEN, "tracker=wandb"]
    cell = ["features.layers=[features.4]", "protocol.repeats=1", "protocol.folds=2"]
    done = [
        run(capsys, "sweep", str(mine), "-m", "regressor.kernel=linear,rbf", *cell, *data),
        run(capsys, "fit", *cell, *data),
        run(capsys, "report", str(work / "outputs" / "mine"), "--out", str(work / "report")),
    ]
    kinds = {"multirun.yaml", "overrides.yaml", "config.yaml", "mine.log", ".wandb", ".fmcvqa", ".safetensors", ".png"}
    told_nothing(work, done, kinds)
    for path in (work / "outputs" / "mine").glob("*/result.json"):
        assert json.loads(path.read_text())["config"]["login"]["passphrase"] == "***"
    figure(f"0 of {len(CANARIES) + len(GIVEN)} secrets in {sum(path.is_file() for path in work.rglob('*'))} files")


@pytest.mark.parametrize(
    "name", ["api_key", "a.b.apikey", "WANDB_API_KEY", "auth", "tokens", "db_pwd", "password", "key", "pass"]
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["author", "authors", "keys", "mos_range", "monkey", "bypass", "compass", "root"])
def test_names_of_no_secrets(name: str) -> None:
    assert not is_secret(name)


def test_overrides_are_looked_into_and_plain_values_stay() -> None:
    overrides = ["+a.token=x", "+a={token: x, b: 1}", "+b=[{key: 'x y'}]", "C=1,2", "data.root=/x:y/z"]
    assert redacted(overrides) == [
        "+a.token=***",
        "+a={token: ***, b: 1}",
        "+b=[{key: ***}]",
        "C=1,2",
        "data.root=/x:y/z",
    ]
    plain = {"weights": "none", "C": 1.0, "token": None, "size": [1, 2], "stand_in": False}
    assert redacted(plain) == plain


def test_a_short_one_is_hidden_where_it_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORT", "ab")
    config = OmegaConf.create({"pin": "${oc.env:SHORT}", "token": "none", "weights": "none", "name": "about"})
    learn(config)
    assert recorded(config) == {"pin": "${oc.env:SHORT}", "token": "***", "weights": "none", "name": "about"}


def test_a_shells_working_directory_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWD", "/data/study")
    monkeypatch.setenv("DB_PWD", "canary-of-pwd")
    learn(OmegaConf.create({}))
    assert redacted(["data.root=/data/study/KoNViD_1k", "a=canary-of-pwd"]) == [
        "data.root=/data/study/KoNViD_1k",
        "a=***",
    ]


def test_logs_hide_what_is_known(caplog: pytest.LogCaptureFixture) -> None:
    learn(OmegaConf.create({"my": {"password": "canary-of-log"}}))
    logging.getLogger("fmcvqa").warning("the server took %s, %d times", "canary-of-log", 3)
    assert caplog.messages == ["the server took ***, 3 times"]
    assert hidden("ftp://a:b@c") == "ftp://a:***@c"
