"""MATLAB files from anybody, by SciPy, which some damaged ones bring down with the whole process."""

from __future__ import annotations

import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class MatFileError(Exception):
    """Why a file is no MATLAB file that can be read.

    Attributes:
        advice: What to do about it; may be empty.
    """

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(problem)
        self.advice = advice


def load_mat(path: Path, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The variables of a MATLAB file of version 4 to 7.2, as SciPy gives them; another process tries it first.

    Args:
        path: The file.
        names: Those wanted; None for all.

    Raises:
        MatFileError: If the file cannot be read, is damaged or of another kind.
    """
    from scipy.io.matlab import MatReadError  # a fifth of a second that no other kind of file needs

    # what SciPy raises on damaged files, tried on six hundred of them
    damage = (MatReadError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError, NameError, OSError)
    try:
        path.open("rb").close()
    except OSError as error:
        raise MatFileError(f"cannot be read ({error.strerror})") from error
    trial = subprocess.run(
        [sys.executable, "-P", "-m", "fmcvqa.matfile", str(path), *(names or [])],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if trial.returncode < 0:
        ended = signal.Signals(-trial.returncode).name
        raise MatFileError(f"is damaged or not a MATLAB file (SciPy ends with {ended} when it reads it)")
    try:
        return _load(str(path), names)
    except NotImplementedError as error:
        raise MatFileError("is a MATLAB 7.3 file", "save it in MATLAB with the flag -v7") from error
    except (*damage, struct.error, zlib.error) as error:
        raise MatFileError(f"is damaged or not a MATLAB file ({error})") from error


def _load(path: str, names: Sequence[str] | None) -> dict[str, Any]:
    from scipy.io import loadmat

    with Path(path).open("rb") as file:
        variables: dict[str, Any] = loadmat(file, variable_names=names)
    return variables


if __name__ == "__main__":
    import resource  # not on Windows

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _load(sys.argv[1], sys.argv[2:] or None)
