"""What the jobs of one command have in common: what they share, and the end at which failed ones are named.

Each job of a multirun leaves a ``job.json`` in its folder, since a launcher may run it in another process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from fmcvqa.errors import EXIT_OK, FmcvqaError, SomeFailedError
from fmcvqa.files import write_atomic
from fmcvqa.tasks.redaction import hidden

STATUS = "job.json"
_NAMED = 3

shared: dict[Any, Any] = {}  # by what was asked for; files may have changed by the next command, so that is its end
_late: list[Exception] = []


def begin() -> None:
    """Forget what the command before has left."""
    shared.clear()
    _late.clear()


def end() -> int:
    """Raise or print what callbacks have raised; gives the exit code."""
    for error in _late:
        if not isinstance(error, FmcvqaError):
            raise error
        print(f"error: {error}", file=sys.stderr)
    codes = [error.exit_code for error in _late if isinstance(error, FmcvqaError)]
    return codes[-1] if codes else EXIT_OK


@contextmanager
def kept() -> Iterator[None]:
    """Keep what a callback raises until :func:`end`: Hydra would make a warning of it and end well."""
    try:
        yield
    except Exception as error:  # raised again, or printed, at the end
        _late.append(error)


def tell(error: FmcvqaError) -> None:
    """Print an error at once, and only once however many jobs meet it."""
    if not shared.setdefault(("told", str(error)), False):
        print(f"error: {error}", file=sys.stderr)
        shared["told", str(error)] = True


def note(folder: Path, error: FmcvqaError | None) -> None:
    """Leave word of how a job ended."""
    status = {"exit_code": error.exit_code, "error": hidden(str(error))} if error else {"exit_code": EXIT_OK}
    write_atomic(folder / STATUS, json.dumps(status).encode())


class TellFailures(Callback):
    """Hydra callback: at the end of a multirun, whatever launcher ran it, name the jobs that failed."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Remove what earlier runs have noted."""
        for path in _notes(config):
            path.unlink()

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Have the command end with 3, or with the jobs' own exit code where all failed with the same."""
        folder = Path(config.hydra.sweep.dir)
        notes = {str(path.parent.relative_to(folder)): json.loads(path.read_text()) for path in _notes(config)}
        failed = {name: note for name, note in notes.items() if note["exit_code"] != EXIT_OK}
        with kept():
            if failed:
                raise _summary(failed, len(notes))


def _notes(config: DictConfig) -> list[Path]:
    return sorted(Path(config.hydra.sweep.dir).rglob(STATUS))


def _summary(failed: dict[str, dict[str, Any]], jobs: int) -> SomeFailedError:
    by_reason: dict[str, list[str]] = {}
    for name, status in failed.items():
        by_reason.setdefault(status["error"], []).append(name)
    reasons = [f"{_listed(names)} ({reason})" for reason, names in by_reason.items()]
    error = SomeFailedError(
        f"{len(failed)} of {jobs} jobs failed: {'; '.join(reasons)}",
        advice="mend what they name and run the same command: what is finished is skipped",
    )
    codes = {status["exit_code"] for status in failed.values()}
    if len(failed) == jobs and len(codes) == 1:
        error.exit_code = codes.pop()
    return error


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
