"""The path of somebody who knows nothing of this: clone, install, demo, own clip, own labels, the pages opened."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import chromium
from documents import blocks
from selenium.webdriver.common.by import By

pytestmark = pytest.mark.release

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"scores.html": "li.clip .score", "report/report.html": "svg.scatter circle.point"}


def test_from_a_clone_to_a_page(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """The minutes of each step are told at the end of the run; they depend on the machine and on nothing else."""
    clone = tmp_path / "fmcvqa"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "HYDRA", "WANDB"))}
    clean["PATH"] = f"{clone / '.venv' / 'bin'}{os.pathsep}{clean['PATH']}"
    after_the_demo = [block.text for block in blocks("docs/tutorial.md")[1:] if block.language == "sh"]
    total = 0.0
    for step in [f"make demo PYTHON={sys.executable}", *after_the_demo]:
        started = time.monotonic()
        words = ["bash", "-euo", "pipefail", "-c", step]
        ended = subprocess.run(words, cwd=clone, env=clean, capture_output=True, text=True)
        assert ended.returncode == 0, f"{step}\n{ended.stdout[-3000:]}\n{ended.stderr[-6000:]}"
        minutes = (time.monotonic() - started) / 60
        total += minutes
        figure(f"{minutes:.1f} min for {step.splitlines()[0]}")
    figure(f"{total:.1f} min from a clone to the pages")
    with chromium(tmp_path / "profile") as browser:
        for page, marks in PAGES.items():
            browser.get((clone / page).as_uri())
            assert browser.find_elements(By.CSS_SELECTOR, marks), page
            assert browser.get_log("browser") == []
