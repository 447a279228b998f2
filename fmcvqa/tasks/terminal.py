"""What every command's terminal side does alike: colours only where they are seen, and flags with the nearest name."""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

_CODES = {"red": 31, "green": 32, "yellow": 33}
_UNKNOWN = "unrecognized arguments: "


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """The text in a colour, if the stream is a terminal that wants colours (https://no-color.org).

    Args:
        text: What to print.
        colour: ``red``, ``green`` or ``yellow``.
        stream: Where it will be printed.
    """
    wanted = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if wanted else text


class Parser(argparse.ArgumentParser):
    """An argument parser whose help keeps its lines and whose errors name the nearest flag.

    Args:
        command: The command's name, as in ``fmcvqa predict``.
        description: One sentence.
        examples: The commands a newcomer would type, one a line, shown at the end of the help.
        more: Put behind the examples.
    """

    def __init__(self, command: str, description: str, *, examples: Sequence[str], more: str = "") -> None:
        title = "example:" if len(examples) == 1 else "examples:"
        super().__init__(
            prog=f"fmcvqa {command}",
            description=description,
            epilog="\n  ".join([title, *examples]) + (f"\n\n{more}" if more else ""),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """End with the usage, the problem and, for an unknown flag, the nearest one; exit code 2."""
        if message.startswith(_UNKNOWN):
            flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
            near = [
                match
                for word in message.removeprefix(_UNKNOWN).split()
                for match in difflib.get_close_matches(word.partition("=")[0], flags, 1)
            ]
            message += f" (did you mean {', '.join(near)}?)" if near else ""
        super().error(message)


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 clip``, ``2 clips``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def at_least(least: int) -> Any:
    """A type of an argument: a whole number of at least this."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is below {least}")
        return value

    number.__name__ = "whole number"
    return number
