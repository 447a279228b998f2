"""Options and fixtures shared by the suite."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")
if "PYTEST_XDIST_WORKER" in os.environ:  # one worker a core: more threads would only wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--real-data", metavar="FOLDER", help="folder of real clips, labels and features")
    parser.addoption("--gpu", action="store_true", help="tests of a GPU fail where there is none, instead of skipping")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        refuse = pytest.fail if item.config.getoption("--gpu") else pytest.skip
        refuse("torch finds no CUDA device")


FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Takes a figure of docs/faults.md, such as ``60 of 60``; the end of the run prints all of them."""
    figures = request.config.stash.setdefault(FIGURES, [])
    return lambda text: figures.append(f"{request.node.nodeid}: {text}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if figures := config.stash.get(FIGURES, []):
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def real_data(request: pytest.FixtureRequest) -> Path:
    """The folder given by --real-data; the suite that needs it fails without, never skips."""
    given = request.config.getoption("--real-data")
    if not given or not Path(given).is_dir():
        pytest.fail(f"--real-data={given} is not a folder; try: make test-real DATA=FOLDER")
    return Path(given).resolve()
