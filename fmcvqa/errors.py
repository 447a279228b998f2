"""Errors that compose their own advice, and the exit codes they end a command with.

Every message says what was asked and is wrong, what exists instead, and what to do.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from typing import NamedTuple

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_SOME_FAILED = 3
EXIT_NOT_STARTED = 4
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as a shell counts
EXIT_TERMINATED = 143  # 128 + SIGTERM, as a shell counts


class FmcvqaError(Exception):
    """An error a user can act on; the command line prints it without a traceback.

    Args:
        problem: What was asked for and why it cannot be had; a sentence without its full stop.
        found: What exists instead, where that helps.
        advice: What to do about it.
    """

    exit_code = EXIT_NOT_STARTED

    def __init__(self, problem: str, *, found: str = "", advice: str = "") -> None:
        self.problem, self.found, self.advice = problem, found, advice
        parts = [problem, f"Found: {found}" if found else "", f"Try: {advice}" if advice else ""]
        super().__init__(". ".join(part for part in parts if part))


class ConfigError(FmcvqaError):
    """A setting, name or flag that does not exist or does not fit."""

    exit_code = EXIT_USAGE


def unknown_name(kind: str, name: str, known: Sequence[str], advice: str) -> ConfigError:
    """A :class:`ConfigError` for a name that does not exist, which suggests the nearest one that does."""
    near = difflib.get_close_matches(name, known, 1)
    advice = f"{near[0]}, or {advice}" if near else advice
    return ConfigError(f"there is no {kind} {name!r}", found=", ".join(known), advice=advice)


class FileError(FmcvqaError):
    """A file or folder that cannot be read or written."""

    @classmethod
    def of(cls, error: OSError) -> FileError | None:
        """The same about the system's error; None where it names no file, as of a network."""
        if error.filename is None:
            return None
        return cls(
            f"{os.fsdecode(error.filename)}: {error.strerror}",
            advice="a file or folder that is there, may be read or written, and has room",
        )


class DatasetError(FmcvqaError):
    """A dataset folder or label file that is not what its name promises."""


class WeightsError(FmcvqaError):
    """Network weights that cannot be had or do not fit the network."""


class StoreError(FmcvqaError):
    """Features that are missing, damaged or were made another way."""


class ModelFileError(FmcvqaError):
    """A model file that is damaged, foreign or of a newer format."""


class FeatureError(FmcvqaError):
    """Features or labels a regression cannot be fitted on."""


class SomeFailedError(FmcvqaError):
    """Some inputs failed; everything that could be done was done and kept."""

    exit_code = EXIT_SOME_FAILED


class VideoError(FmcvqaError):
    """One video that cannot be read, with a stable code.

    Args:
        code: One of the ``E_...`` codes below.
        problem: What is wrong, naming the file.

    Attributes:
        stage: Where the video failed: ``open``, ``decode`` or ``features``.
        seconds: How long it had taken until then.
        located: Whether damage is known not to lie in front of the place where it was noticed.
    """

    exit_code = EXIT_SOME_FAILED
    stage: str = "open"
    seconds: float = 0.0
    located: bool = True

    def __init__(self, code: str, problem: str, *, found: str = "", advice: str = "") -> None:
        if code not in VIDEO_CODES:
            raise ValueError(f"{code} is not one of {', '.join(VIDEO_CODES)}")
        super().__init__(problem, found=found, advice=advice)
        self.code = code

    def at(self, stage: str, seconds: float) -> VideoError:
        """The same error with its stage and time."""
        self.stage, self.seconds = stage, seconds
        return self

    def __str__(self) -> str:
        return f"{self.code}: {super().__str__()}"


class Damage(NamedTuple):
    """What is wrong with a video whose frames before the damage were used nevertheless, as was allowed.

    Attributes:
        code: One of ``DAMAGE_CODES``.
        found: What was found, in words that name no file.
    """

    code: str
    found: str


DAMAGE_CODES = ("E_CORRUPT", "E_TRUNCATED")  # what a video may have and be used in part; anything else is a failure

VIDEO_CODES = {
    "E_NOT_FOUND": "no such file, or a broken link",
    "E_PERMISSION": "the file may not be read",
    "E_NOT_REGULAR": "a folder, pipe or device where a file was expected",
    "E_NO_FILES": "a folder without videos",
    "E_EMPTY": "a file of 0 bytes",
    "E_NO_VIDEO": "text, an image or audio only",
    "E_TRUNCATED": "the file's index is missing or the file ends early",
    "E_CORRUPT": "some frames are damaged",
    "E_FORBIDDEN": "a playlist, concatenation or address instead of a video",
    "E_TOO_LARGE": "more pixels, frames or memory than the limits allow",
    "E_TOO_SMALL": "frames smaller than the crop that is asked for, or than the network takes",
    "E_CHANGED": "the file changed while it was read",
    "E_TIMEOUT": "decoding did not end in time",
    "E_DECODER_CRASH": "the decoder process died",
    "E_NONFINITE": "features that are not finite numbers",
}
