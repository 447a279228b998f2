"""Weights & Biases behind :class:`~fmcvqa.tracking.base.Tracker`."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

from fmcvqa.errors import ConfigError
from fmcvqa.tracking.wandb_server import client, has_key, server, unreachable

log = logging.getLogger(__name__)

Mode = Literal["offline", "online"]

_LONGEST_TAG, _LONGEST_NAME = 64, 128  # characters that W&B takes
_NEVER = logging.CRITICAL + 1


class WandbTracker:
    """Weights & Biases: offline unless asked otherwise, and offline where it cannot be reached.

    An online run without a key, or whose server does not answer within ``seconds``, becomes an offline one with one
    warning; ``wandb sync`` uploads it later. Neither the command line, the environment nor the code is recorded.

    Args:
        mode: ``"offline"`` or ``"online"``.
        project: W&B project.
        entity: W&B user or team; empty is the key's own.
        seconds: How long the server may take to answer, to start a run and to take the last data of it, each.

    Raises:
        ConfigError: If there is no such mode.
    """

    def __init__(
        self, mode: Mode = "offline", project: str = "fmcvqa", entity: str = "", seconds: float = 20.0
    ) -> None:
        if mode not in get_args(Mode):
            raise ConfigError(f"there is no tracker.mode {mode!r}", found="offline, online", advice="or tracker=none")
        self.mode: Mode = mode
        self.project, self.entity, self.seconds = project, entity, seconds
        self._run: Any = None
        self._warned = False

    def start(
        self,
        name: str,
        *,
        run_id: str,
        folder: Path,
        group: str = "",
        kind: str = "",
        config: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        steps: Mapping[str, str] | None = None,
        last: bool = True,
    ) -> Self:
        """Begin a run, ending one that was left open; see ``Tracker``."""
        self.finish()
        settings = {
            "project": self.project,
            "entity": self.entity or None,
            "name": name,
            "id": _name(run_id),
            "group": group or None,
            "job_type": kind or None,
            "config": dict(config or {}),
            "tags": list(dict.fromkeys(tag[:_LONGEST_TAG] for tag in tags if tag)),
            "dir": str(folder),
        }
        with self._never_stopping("start"):
            folder.mkdir(parents=True, exist_ok=True)
            self._run = self._open(settings)
            for rows, step in (steps or {}).items():
                self._run.define_metric(step, hidden=True, summary=None if last else "none")
                self._run.define_metric(rows, step_metric=step, summary=None if last else "none")
        return self

    def _open(self, settings: dict[str, Any]) -> Any:
        if self.mode == "online":
            reason = "there is no key" if not has_key(server()) else unreachable(server(), self.seconds)
            if not reason:
                try:
                    return self._init("online", settings)
                except Exception as error:  # whatever the server or the client dislikes, the run goes on
                    reason = str(error).splitlines()[0]
                    client().teardown(exit_code=1)  # it still holds the id of the run that did not start
            self._warn(f"W&B is not to be had online ({reason}); this run is kept offline: wandb sync uploads it later")
            self.mode = "offline"  # the next run does not wait again
        return self._init("offline", settings)

    def _init(self, mode: Mode, settings: dict[str, Any]) -> Any:
        wandb = client()
        quiet = wandb.Settings(
            silent=True,
            console="off",  # what a run prints is not recorded
            disable_git=True,
            save_code=False,
            x_disable_meta=True,  # nor the command line, which may hold anything
            x_save_requirements=False,
            init_timeout=self.seconds,
            finish_timeout=self.seconds,
        )
        run = wandb.init(mode=mode, resume="allow", reinit="create_new", settings=quiet, **settings)
        for handler in logging.getLogger("wandb").handlers:
            if getattr(handler, "baseFilename", "").endswith("debug.log"):  # others in this list are not its own
                handler.setLevel(_NEVER)  # on a full disk each of its lines would print a traceback
        return run

    def log(self, values: Mapping[str, float]) -> None:
        """Add a row of the run's history."""
        self._do("log", lambda run: run.log(dict(values)))

    def summary(self, values: Mapping[str, float | str]) -> None:
        """State the run's final numbers."""
        self._do("summary", lambda run: run.summary.update(dict(values)))

    def table(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Show a table."""
        self._do("table", lambda run: run.log({key: _table(columns, rows)}))

    def scatter(
        self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, x: str, y: str, title: str = ""
    ) -> None:
        """Show a table's rows as points at two of its columns."""

        def show(run: Any) -> None:
            run.log({key: client().plot.scatter(_table(columns, rows), x, y, title=title)})

        self._do("scatter", show)

    def image(self, key: str, path: Path) -> None:
        """Show a picture file."""

        def show(run: Any) -> None:
            wandb = client()
            run.log({key: wandb.Image(str(path))})

        self._do("image", show)

    def reference(
        self, name: str, kind: str, path: Path, metadata: Mapping[str, Any], *, checksum: bool = False
    ) -> None:
        """Say where a file that belongs to the run lies; it is never uploaded."""

        def show(run: Any) -> None:
            artifact = client().Artifact(_name(name), type=kind, metadata=dict(metadata))
            artifact.add_reference(path.resolve().as_uri(), name=path.name, checksum=checksum)
            run.log_artifact(artifact)

        self._do("reference", show)

    def finish(self, *, failed: bool = False) -> None:
        """End the run; a second call does nothing."""
        run, self._run = self._run, None
        if run is not None:
            with self._never_stopping("finish"):
                run.finish(exit_code=int(failed))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(failed=kind is not None)

    def _do(self, what: str, action: Callable[[Any], object]) -> None:
        if self._run is not None:
            with self._never_stopping(what):
                action(self._run)

    @contextlib.contextmanager
    def _never_stopping(self, what: str) -> Iterator[None]:
        """Turn any failure of the tracking into one warning: the work it watches must go on."""
        try:
            yield
        except Exception as error:
            self._warn(f"W&B tracking failed at {what} ({type(error).__name__}: {error}); the run goes on without")

    def _warn(self, message: str) -> None:
        (log.debug if self._warned else log.warning)(message)
        self._warned = True


def _name(text: str) -> str:
    """A text as W&B takes it in ids and names of artifacts: no slashes and the like, and not too long."""
    name = re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII)
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 17] + "-" + name[-16:]


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    return client().Table(columns=list(columns), data=[list(row) for row in rows])
