from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from fmcvqa.errors import ConfigError
from fmcvqa.tracking import NoTracker, Tracker, WandbTracker, wandb_server, wandb_tracker


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key and no network, whoever runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(urllib.request, "urlopen", unreachable)


def unreachable(url: str, timeout: float) -> None:
    raise urllib.error.URLError("no route")


def files(folder: Path) -> list[Path]:
    return sorted((folder / "wandb").glob("offline-run-*/run-*.wandb"))


def test_an_offline_run_holds_history_summary_and_config(tmp_path: Path) -> None:
    picture = tmp_path / "scatter.png"
    Image.new("RGB", (8, 8)).save(picture)
    tracker: Tracker = WandbTracker()
    with tracker.start(
        "B, linear",
        run_id="cell01",
        folder=tmp_path,
        group="table1",
        config={"regressor": {"kernel": "linear"}},
        tags=["stand-in"],
        steps={"cv/*": "split"},
    ) as run:
        for split in range(3):
            run.log({"split": split, "cv/srocc": split / 10})
        run.table("scores", ["layers", "srocc"], [["B", 0.5]])
        run.image("scatter", picture)
        run.summary({"srocc/median": 0.1})
    (path,) = files(tmp_path)
    assert path.name == "run-cell01.wandb"
    told = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", "--summary", str(path.parent)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert '"srocc/median"' in told.stdout and '"stand-in"' in told.stdout
    content = path.read_bytes()
    assert content.count(b"cv/srocc") >= 3 and b"table1" in content and b"B, linear" in content
    assert list(path.parent.glob("files/media/table/*.json")) and list(path.parent.glob("files/media/images/*.png"))


def test_two_runs_are_two_runs_and_finish_is_idempotent(tmp_path: Path) -> None:
    tracker = WandbTracker()
    for name in ("one", "two"):
        tracker.start(name, run_id=name, folder=tmp_path)
        tracker.log({"a": 1.0})
    tracker.finish()
    tracker.finish()
    assert [path.name for path in files(tmp_path)] == ["run-one.wandb", "run-two.wandb"]


def test_no_command_line_environment_or_output_is_recorded(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from fmcvqa.tracking import WandbTracker\n"
        "with WandbTracker().start('n', run_id='x', folder=pathlib.Path(sys.argv[1])) as run:\n"
        "    print('canary-output'); run.log({'a': 1.0})\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), "canary-argument"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "WANDB_API_KEY": "canary0" * 6, "SECRET": "canary-secret"},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert run.stdout == "canary-output\n"
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"canary" not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("key", "reason"), [("", "there is no key"), ("k" * 40, "<urlopen error no route>")], ids=["no key", "no network"]
)
def test_online_falls_back_with_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, key: str, reason: str
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", key)
    tracker = WandbTracker("online", seconds=2)
    for name in ("one", "two"):
        with tracker.start(name, run_id=name, folder=tmp_path) as run:
            run.log({"a": 1.0})
    assert [path.name for path in files(tmp_path)] == ["run-one.wandb", "run-two.wandb"]
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == [
        f"W&B is not to be had online ({reason}); this run is kept offline: wandb sync uploads it later"
    ]


def test_a_server_that_never_answers_costs_the_time_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hung = threading.Event()

    def never(url: str, timeout: float) -> None:
        hung.wait(30)
        raise TimeoutError

    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setattr(urllib.request, "urlopen", never)
    begun = time.monotonic()
    with WandbTracker("online", seconds=0.3).start("n", run_id="n", folder=tmp_path):
        pass
    hung.set()
    assert time.monotonic() - begun < 5
    assert "(no answer within 0.3 s)" in caplog.text and len(files(tmp_path)) == 1


def test_a_server_that_refuses_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opened: list[str] = []
    torn = []

    def init(mode: str, **settings: Any) -> Any:
        opened.append(mode)
        if mode == "online":
            raise RuntimeError("permission denied\nand much more")
        return SimpleNamespace(finish=lambda exit_code: None)

    settings = SimpleNamespace(settings=SimpleNamespace(base_url="https://wandb.example"))
    client = SimpleNamespace(
        init=init, Settings=dict, setup=lambda: settings, teardown=lambda exit_code: torn.append(exit_code)
    )
    for module in (wandb_tracker, wandb_server):
        monkeypatch.setattr(module, "client", lambda: client)
    monkeypatch.setattr(wandb_tracker, "unreachable", lambda url, seconds: "")
    (tmp_path / ".netrc").write_text("machine wandb.example login user password k\n")
    with WandbTracker("online").start("n", run_id="n", folder=tmp_path):
        pass
    assert opened == ["online", "offline"] and torn == [1]
    assert "W&B is not to be had online (permission denied);" in caplog.text


def test_a_failing_tracker_never_stops_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def init(**_: Any) -> Any:
        raise OSError("no space left on device")

    monkeypatch.setattr(wandb_tracker, "client", lambda: SimpleNamespace(init=init, Settings=dict))
    with WandbTracker().start("n", run_id="n", folder=tmp_path) as run:
        run.log({"a": 1.0})
        run.summary({"a": 1.0})
    assert [r.getMessage() for r in caplog.records] == [
        "W&B tracking failed at start (OSError: no space left on device); the run goes on without"
    ]


def test_an_error_marks_the_run_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    fake = SimpleNamespace(finish=lambda exit_code: codes.append(exit_code))
    monkeypatch.setattr(wandb_tracker, "client", lambda: SimpleNamespace(init=lambda **_: fake, Settings=dict))
    with pytest.raises(ZeroDivisionError), WandbTracker().start("n", run_id="n", folder=tmp_path):
        _ = 1 / 0
    with WandbTracker().start("n", run_id="n", folder=tmp_path):
        pass
    assert codes == [1, 0]


def test_an_unknown_mode() -> None:
    with pytest.raises(ConfigError) as caught:
        WandbTracker("disabled")  # type: ignore[arg-type]
    assert str(caught.value) == "there is no tracker.mode 'disabled'. Found: offline, online. Try: or tracker=none"


def test_no_tracker_leaves_nothing_and_imports_nothing(tmp_path: Path) -> None:
    tracker: Tracker = NoTracker()
    with tracker.start("n", run_id="n", folder=tmp_path / "run") as run:
        run.log({"a": 1.0})
        run.table("t", ["a"], [[1]])
        run.image("i", tmp_path / "none.png")
        run.summary({"a": 1.0})
    assert not (tmp_path / "run").exists()
    code = "import sys, fmcvqa.tracking; print({'wandb', 'torch', 'lightning'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"set()\n"
