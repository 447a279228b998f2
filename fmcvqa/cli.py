"""The one command, ``fmcvqa <command>``; imports nothing heavy until a command needs it."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from fmcvqa import __version__, configs
from fmcvqa.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_TERMINATED, FileError, FmcvqaError, unknown_name

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
    "distort": "make an image-quality set in TID2013's layout from photographs",
    "degrade": "make an ordinal video set from clean clips: codecs, blur, noise, shake and more",
    "info": "show what a model file is",
    "audit": "look in your features and labels for what makes a score say too much",
    "share": "put a model file and its card on the Hugging Face Hub or into a folder",
    "completion": "a script that lets your shell complete all of this",
    "demo": "the whole method on synthetic sets, in some minutes",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code, which docs/running.md explains."""
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
    try:
        with _sigterm_ends_well():
            return _run(arguments[0], arguments[1:])
    except FmcvqaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as end:  # of a parser, or of Lightning
        if isinstance(end.__context__, KeyboardInterrupt):
            return _interrupted()
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BrokenPipeError:  # `fmcvqa report ... | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:
        if (told := FileError.of(error)) is None:
            raise
        print(f"error: {told}", file=sys.stderr)
        return told.exit_code


def _interrupted() -> int:
    print("stopped by Ctrl-C: what is finished is kept", file=sys.stderr)
    return EXIT_INTERRUPTED


def _run(command: str, rest: list[str]) -> int:
    if command in USING:
        return int(import_module(f"fmcvqa.tasks.{command}").main(rest))
    if command in RESEARCH:
        return int(import_module("fmcvqa.tasks.research").run(command, rest))
    raise unknown_name("command", command, [*RESEARCH, *USING], "fmcvqa for the list")


@contextmanager
def _sigterm_ends_well() -> Iterator[None]:
    """On SIGTERM close what is open and end with 143; Python by itself would drop everything at once."""

    def end(*_: object) -> None:
        print("stopped by SIGTERM: what is finished is kept", file=sys.stderr)
        raise SystemExit(EXIT_TERMINATED)

    if threading.current_thread() is not threading.main_thread():  # only there signals arrive
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _map() -> str:
    lines = ["usage: fmcvqa COMMAND ...", "", "Research (Hydra: group=option, key=value, -m for a multirun):"]
    lines += [f"  {name:12}{text}" for name, text in RESEARCH.items()]
    lines += ["", "Use (paths and flags):"] + [f"  {name:12}{text}" for name, text in USING.items()]
    lines += ["", "Each has --help with an example. Experiments: " + ", ".join(configs.experiments())]
    lines += ["Exit codes: 0 done, 1 a bug, 2 usage, 3 some inputs failed, 4 nothing could start,"]
    lines += ["130 and 143 told to stop"]
    return "\n".join([*lines, "Start here: fmcvqa demo"])


if __name__ == "__main__":
    sys.exit(main())
