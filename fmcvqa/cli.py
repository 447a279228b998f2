"""The one command, ``fmcvqa <command>``; imports nothing heavy until a command needs it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from fmcvqa import __version__, configs
from fmcvqa.errors import EXIT_OK, FmcvqaError, unknown_name

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
            return int(import_module("fmcvqa.tasks.research").run(command, rest))
        raise unknown_name("command", command, [*RESEARCH, *USING], "fmcvqa for the list")
    except FmcvqaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as end:  # of a parser
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


if __name__ == "__main__":
    sys.exit(main())
