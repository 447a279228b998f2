"""Every block of README.md and docs/*.md that a reader would run, run in the order of the page, in one folder.

What needs files that are not at hand (a comment above says so, or it names /data/) is not run: its research commands
are composed with ``--cfg job``, of its other commands the flags are looked up in the help.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documents import blocks
from hydra.core.override_parser.overrides_parser import OverridesParser

from fmcvqa import cli

pytestmark = pytest.mark.release

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["docs/tutorial.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md") if p.stem != "tutorial")]
PAGES = ["README.md", *PAGES]
ELSEWHERE = (
    "make ",
    "source ",
    "pip install ",
    "git clone ",
)  # test_newcomer.py and test_wheel.py do these


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of somebody who has run the demo and has a clip."""
    folder = tmp_path_factory.mktemp("reader")
    run(folder, "fmcvqa demo")
    [clip, *_] = sorted((folder / "outputs/demo/data/synthetic/held_out").rglob("*.mp4"))
    shutil.copy(clip, folder / "clip.mp4")
    return folder


def run(folder: Path, script: str, *, language: str = "sh") -> str:
    """Run a script as the reader would; gives its stdout."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("HYDRA", "WANDB"))}
    clean["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
    words = ["bash", "-euo", "pipefail", "-c", script] if language == "sh" else [sys.executable, "-c", script]
    ended = subprocess.run(words, cwd=folder, env=clean, capture_output=True, text=True)
    assert ended.returncode == 0, f"{script}\n{ended.stdout[-3000:]}\n{ended.stderr[-6000:]}"
    return ended.stdout


@pytest.mark.parametrize("page", PAGES)
def test_blocks_do_what_the_page_says(page: str, reader: Path) -> None:
    for block in blocks(page):
        if block.composed:
            for words in block.commands:
                compose(reader, words)
        elif block.language == "python":
            run(reader, block.text, language="python")
        else:
            lines = block.text.splitlines(keepends=True)
            assert all(target(line) for line in lines if line.startswith("make "))
            run(reader, "".join(line for line in lines if not line.startswith(ELSEWHERE)))


def target(line: str) -> bool:
    """Whether the Makefile has what a line makes."""
    name = line.split()[1]
    return re.search(rf"^{re.escape(name)}:.*##", (ROOT / "Makefile").read_text(), re.MULTILINE) is not None


def compose(folder: Path, words: list[str]) -> None:
    """Check a command whose files are not at hand."""
    if words[0] == "make":
        assert target(shlex.join(words))
    if words[0] == "python":
        assert (ROOT / words[1]).is_file(), words
    if words[0] in ("make", "python", "pip", "wandb", "source", "find"):
        return
    assert words[0] == "fmcvqa", words
    if words[1] in cli.RESEARCH:
        for one in single(words):
            assert re.search(r"^name: ", run(folder, shlex.join([*one, "--cfg", "job"])), re.MULTILINE)
    else:
        shown = run(folder, shlex.join(["fmcvqa", words[1], "--help"]))
        unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in shown]
        assert not unknown, f"{shlex.join(words)}: {unknown}"


def single(words: list[str]) -> list[list[str]]:
    """A multirun's first and last job: Hydra shows no configuration of several at once."""
    if "-m" not in words:
        return [words]
    parser = OverridesParser.create()
    jobs: list[list[str]] = [words[:2], words[:2]]
    for word in words[2:]:
        if word != "-m":
            override = parser.parse_override(word)
            values = list(override.sweep_string_iterator()) if override.is_sweep_override() else []
            for job, value in zip(jobs, (values[0], values[-1]) if values else ("", ""), strict=True):
                job.append(f"{override.get_key_element()}={value}" if values else word)
    return jobs


def test_the_pages_are_read_at_all() -> None:
    found = {page: blocks(page) for page in PAGES}
    assert {"README.md", "docs/tutorial.md", "docs/datasets.md", "docs/method.md"} <= {p for p, b in found.items() if b}
    fences = {page: len(re.findall(r"^```(?:sh|python)$", (ROOT / page).read_text(), re.MULTILINE)) for page in PAGES}
    assert fences == {page: len(read) for page, read in found.items()}


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", (ROOT / page).read_text()):
            assert (ROOT / page).parent.joinpath(link).exists(), f"{page}: {link}"
