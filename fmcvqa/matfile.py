"""MATLAB files from anybody, by SciPy, which some damaged ones bring down with the whole process."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

_TOLD = 3  # exit code of a process in which SciPy said what is wrong
_CRASHES = {int(one): one.name for one in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT)}


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
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
    except OSError as error:
        raise MatFileError(f"cannot be read ({error.strerror})") from error
    trial = _tried(str(path), tuple(names or ()), status.st_ino, status.st_size, status.st_mtime_ns)
    if -trial in _CRASHES:
        raise MatFileError(f"is damaged or not a MATLAB file (SciPy ends with {_CRASHES[-trial]} when it reads it)")
    if trial not in (0, _TOLD):
        how = f"signal {-trial}; out of memory?" if trial < 0 else f"exit code {trial}"
        raise MatFileError(f"could not be read by a process of its own ({how})")
    try:
        return _load(str(path), names)
    except NotImplementedError as error:
        raise MatFileError("is a MATLAB 7.3 file", "save it in MATLAB with the flag -v7") from error
    except (*damage, struct.error, zlib.error) as error:
        raise MatFileError(f"is damaged or not a MATLAB file ({error})") from error


@lru_cache(maxsize=256)  # the cells of a sweep read the same file
def _tried(path: str, names: tuple[str, ...], *_: int) -> int:
    """Exit code of a process that reads a file of this inode, size and time."""
    command = [sys.executable, "-P", __file__, path, *names]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode


def _load(path: str, names: Sequence[str] | None) -> dict[str, Any]:
    from scipy.io import loadmat

    with Path(path).open("rb") as file:
        variables: dict[str, Any] = loadmat(file, variable_names=names)
    return variables


if __name__ == "__main__":
    import resource  # not on Windows

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        _load(sys.argv[1], sys.argv[2:] or None)
    except ImportError:
        raise
    except Exception:  # whose words the other process will find itself
        sys.exit(_TOLD)
