"""The words a shell is given, and what bash makes of them."""

from __future__ import annotations

import subprocess

import pytest
from tiny import run

from fmcvqa import cli

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def script() -> str:
    import contextlib
    import io

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert cli.main(["completion", "bash"]) == 0
    return said.getvalue()


def completed(script: str, line: str) -> list[str]:
    """What bash offers at the end of a line."""
    words = line.split(" ")
    typed = " ".join(f"'{word}'" for word in words)
    play = f'COMP_LINE="{line}"; COMP_POINT={len(line)}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _fmcvqa'
    command = f'{script}\n{play}\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    ended = subprocess.run(["bash", "--norc", "-c", command], capture_output=True, text=True, check=True)
    return ended.stdout.split()


def test_commands(script: str) -> None:
    assert sorted(completed(script, "fmcvqa ")) == sorted([*cli.RESEARCH, *cli.USING])
    assert completed(script, "fmcvqa pre") == ["predict"]
    assert completed(script, "fmcvqa nothing ") == []


def test_flags_of_the_commands_themselves(script: str) -> None:
    assert completed(script, "fmcvqa predict a.mp4 --js") == ["--json", "--jsonl"]
    assert {"--model", "--out", "--timeline"} <= set(completed(script, "fmcvqa predict --"))
    assert "--name" not in completed(script, "fmcvqa predict --")  # of find, in an example
    assert completed(script, "fmcvqa share my.fmcvqa --p") == ["--private"]


def test_experiments_and_config_options(script: str) -> None:
    assert completed(script, "fmcvqa sweep table") == ["table1_konvid1k", "table2_livevqc", "table3_cross"]
    assert completed(script, "fmcvqa fit data=k") == ["konvid1k"]  # bash takes = for the end of a word
    assert "protocol=nested" in completed(script, "fmcvqa sweep prot")


def test_other_shells(script: str, capsys: Capture) -> None:
    code, zsh, _ = run(capsys, "completion", "zsh")
    assert (code, zsh) == (0, "autoload -U +X bashcompinit && bashcompinit\n" + script)
    code, fish, _ = run(capsys, "completion", "fish")
    assert code == 0
    assert fish.splitlines()[0].startswith("complete -c fmcvqa -n __fish_use_subcommand -a '")
    assert len(fish.splitlines()) == 1 + len(cli.RESEARCH) + len(cli.USING)
    assert run(capsys, "completion", "tcsh")[0] == 2
