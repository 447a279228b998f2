"""The one command, ``fmcvqa <command>``; imports nothing heavy until a command needs it."""

from __future__ import annotations

import difflib
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from fmcvqa import __version__, configs
from fmcvqa.errors import EXIT_OK, EXIT_USAGE, ConfigError, FmcvqaError

RESEARCH = {
    "finetune": "fine-tune a network on image quality (TID2013)",
    "extract": "stream videos through it and store their pooled Gram features",
    "sweep": "cross-validate SVRs over layers and kernels; -m for all cells of a table",
    "fit": "train one cell on a whole dataset and write a model file",
}
USING = {
    "predict": "score videos with a model file",
    "report": "tables and figures of the paper from finished runs",
    "check": "say what of a dataset is there and what is missing",
    "info": "show what a model file is",
    "demo": "the whole method on synthetic sets, in about five minutes",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code (0 done, 1 bug, 2 usage, 3 some inputs failed, 4 nothing started)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name may hold bytes that are no text
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_map())
        return EXIT_OK
    if arguments[0] == "--version":
        print(f"fmcvqa {__version__}")
        return EXIT_OK
    command, rest = arguments[0], arguments[1:]
    try:
        if command in USING:
            return int(import_module(f"fmcvqa.tasks.{command}").main(rest))
        if command in RESEARCH:
            return _research(command, rest)
        raise _unknown("command", command, [*RESEARCH, *USING], "fmcvqa for the list")
    except FmcvqaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as end:  # of a parser, or of a job that has said what failed
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BrokenPipeError:  # `fmcvqa report ... | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK


def _map() -> str:
    lines = ["usage: fmcvqa COMMAND ...", "", "Research (Hydra: group=option, key=value, -m for a multirun):"]
    lines += [f"  {name:10}{text}" for name, text in RESEARCH.items()]
    lines += ["", "Use (paths and flags):"] + [f"  {name:10}{text}" for name, text in USING.items()]
    lines += ["", "Each has --help with an example. Experiments: " + ", ".join(configs.experiments())]
    return "\n".join([*lines, "Start here: fmcvqa demo"])


def _unknown(kind: str, name: str, known: Sequence[str], advice: str) -> ConfigError:
    near = difflib.get_close_matches(name, known, 1)
    return ConfigError(
        f"there is no {kind} {name!r}", found=", ".join(known), advice=f"{near[0]}, or {advice}" if near else advice
    )


def _research(command: str, arguments: list[str]) -> int:
    """Hand over to Hydra with the command's config, or an experiment's, as the primary one."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from fmcvqa.tasks import job, multirun

    config, arguments = _primary(command, arguments)
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come to us, not to Hydra's own printer
    before, sys.argv = sys.argv, ["fmcvqa", *(_quoted(argument) for argument in arguments)]
    multirun.begin()
    try:
        hydra.main(version_base="1.3", config_path=str(configs.conf_dir()), config_name=config)(job.JOBS[command])()
    except (HydraException, OmegaConfBaseException) as error:
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        print(f"error: {error}{cause}", file=sys.stderr)
        return EXIT_USAGE
    finally:
        sys.argv = before
    return multirun.end()


def _primary(command: str, arguments: list[str]) -> tuple[str, list[str]]:
    """The primary config's name, and the arguments without it: an experiment by path or bare name, else the command."""
    bare = [i for i, word in enumerate(arguments) if word[:1] not in ("-", "+", "~") and "=" not in word]
    position = next((i for i in bare if not i or arguments[i - 1] not in _FLAGS_WITH_VALUE), None)
    if position is None:
        return command, arguments
    word = Path(arguments[position])
    path = word if word.suffix == ".yaml" else configs.experiments_dir() / f"{word}.yaml"
    if not path.is_file():
        path = configs.experiments_dir() / path.name  # experiments/NAME.yaml works outside a checkout too
    if not path.is_file():
        raise _unknown("experiment", str(word), configs.experiments(), "a path to a YAML file")
    rest = arguments[:position] + arguments[position + 1 :]
    return path.stem, ["--config-dir", str(path.resolve().parent), *rest]


_FLAGS_WITH_VALUE = (
    "-c",
    "--cfg",
    "-p",
    "--package",
    "-cp",
    "--config-path",
    "-cn",
    "--config-name",
    "-cd",
    "--config-dir",
    "-i",
    "--info",
)


def _quoted(argument: str) -> str:
    """A ``key=value`` whose value Hydra's grammar cannot take, such as a path with parentheses, in quotes."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, equals, value = argument.partition("=")
    if argument.startswith("-") or not equals or value[:1] in ("'", '"'):
        return argument
    try:
        OverridesParser.create().parse_override(argument)
        is_path = os.sep in value and Path(value).exists()
    except HydraException:
        is_path = value[:1] not in ("[", "{")
    return f"{key}='{value.replace(chr(92), chr(92) * 2).replace(chr(39), chr(92) + chr(39))}'" if is_path else argument


if __name__ == "__main__":
    sys.exit(main())
