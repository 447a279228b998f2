"""``fmcvqa completion``: a script that lets bash, zsh or fish complete commands, flags, experiments and config options.

The words are asked of the commands themselves (their ``--help``) and of the config tree, once: pressing TAB starts
nothing.
"""

from __future__ import annotations

import contextlib
import io
import pkgutil
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from fmcvqa import configs, tasks
from fmcvqa.errors import EXIT_OK
from fmcvqa.tasks.job import JOBS
from fmcvqa.tasks.terminal import Parser

_FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
_HYDRA = ("--cfg", "--help", "--info", "--multirun")
_BASH = """\
_fmcvqa() {{
  local line=${{COMP_LINE:0:$COMP_POINT}} words
  local current=${{line##* }} rest=${{line#* }}
  local command=${{rest%% *}}
  if [ "$command" = "$rest" ]; then words={commands}; else case $command in
{cases}
    *) words= ;;
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  local before=${{current%"${{current##*=}}"}}
  [ -z "$before" ] || COMPREPLY=("${{COMPREPLY[@]#$before}}")
}}
complete -o default -F _fmcvqa fmcvqa
"""
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def main(argv: Sequence[str]) -> int:
    """Print the script."""
    parser = Parser(
        "completion",
        "Print a script that completes fmcvqa's commands, flags, experiments and config options.",
        examples=[
            'eval "$(fmcvqa completion bash)"    # in ~/.bashrc',
            'eval "$(fmcvqa completion zsh)"     # in ~/.zshrc',
            "fmcvqa completion fish > ~/.config/fish/completions/fmcvqa.fish",
        ],
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell that will read the script")
    shell = parser.parse_args(argv).shell
    words = _words()
    print(_fish(words) if shell == "fish" else (_ZSH if shell == "zsh" else "") + _bash(words), end="")
    return EXIT_OK


def _words() -> dict[str, list[str]]:
    """What may follow each command; a task with a ``main`` is one."""
    files = [path for path in sorted(configs.conf_dir().glob("*/*.yaml")) if path.parent.name != "command"]
    options = [f"{path.parent.name}={path.stem}" for path in files]
    found = {name: [*_HYDRA, *configs.experiments(), *options] for name in JOBS}
    for module in pkgutil.iter_modules(tasks.__path__, f"{tasks.__name__}."):
        main = getattr(import_module(module.name), "main", None)
        if main is not None:
            found[module.name.rpartition(".")[2]] = _flags(main)
    return found


def _flags(main: Callable[[Sequence[str]], int]) -> list[str]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        main(["--help"])
    own = said.getvalue().partition("\nexample")[0]  # the examples pipe through other programs
    return sorted(set(_FLAG.findall(own)))


def _bash(words: Mapping[str, Sequence[str]]) -> str:
    cases = [f"    {name}) words={shlex.quote(' '.join(known))} ;;" for name, known in words.items()]
    return _BASH.format(commands=shlex.quote(" ".join(words)), cases="\n".join(cases))


def _fish(words: Mapping[str, Sequence[str]]) -> str:
    lines = [f"complete -c fmcvqa -n __fish_use_subcommand -a {shlex.quote(' '.join(words))}"]
    for name, known in words.items():
        lines.append(f"complete -c fmcvqa -n '__fish_seen_subcommand_from {name}' -a {shlex.quote(' '.join(known))}")
    return "\n".join(lines) + "\n"
