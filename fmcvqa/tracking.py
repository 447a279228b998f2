"""Experiment tracking behind one small protocol; it can never stop, prompt or noticeably slow a run.

Numbers live in ``result.json``; what is tracked is a view of them.
"""

from __future__ import annotations

import contextlib
import logging
import netrc
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, get_args
from urllib.parse import urlsplit

from fmcvqa.errors import ConfigError

log = logging.getLogger(__name__)

Mode = Literal["offline", "online"]

_LONGEST_TAG, _LONGEST_NAME = 64, 128  # characters that W&B takes
_NEVER = logging.CRITICAL + 1


class Tracker(Protocol):
    """One run at a time: ``with tracker.start(...)``, then log; leaving the block finishes the run."""

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
        """Begin a run.

        Args:
            name: What people read, such as the cell.
            run_id: The same for the same work, such as a hash of its settings.
            folder: Where its files go.
            group: Runs that belong together, such as an experiment's name.
            kind: What sort of work it is, such as ``cell``.
            config: Plain settings; no secrets.
            tags: Words to find it by.
            steps: The value that numbers the rows of a kind, such as ``{"cv/*": "split"}``.
            last: Whether the summary shows the last row too, which of equal repetitions says nothing.
        """
        ...

    def log(self, values: Mapping[str, float]) -> None:
        """Add a row of the run's history."""
        ...

    def summary(self, values: Mapping[str, float | str]) -> None:
        """State the run's final numbers."""
        ...

    def table(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Show a table."""
        ...

    def scatter(
        self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, x: str, y: str, title: str = ""
    ) -> None:
        """Show a table's rows as points at two of its columns."""
        ...

    def image(self, key: str, path: Path) -> None:
        """Show a picture file."""
        ...

    def reference(
        self, name: str, kind: str, path: Path, metadata: Mapping[str, Any], *, checksum: bool = False
    ) -> None:
        """Say where a file that belongs to the run lies; it is never uploaded.

        Args:
            name: What it is called; another name for other content.
            kind: ``features`` or ``model``.
            path: The file; of a folder one that stands for it, since each of its files would be listed.
            metadata: What to know about it.
            checksum: Read the file, so that another content under the same name is another version.
        """
        ...

    def finish(self, *, failed: bool = False) -> None:
        """End the run; a second call does nothing."""
        ...

    def __enter__(self) -> Self:
        """The tracker itself."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish, marking the run as failed on an error."""
        ...


class NoTracker:
    """Tracks nothing."""

    def start(self, name: str, **_: Any) -> Self:
        """Do nothing."""
        return self

    def log(self, values: Mapping[str, float]) -> None:
        """Do nothing."""

    def summary(self, values: Mapping[str, float | str]) -> None:
        """Do nothing."""

    def table(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Do nothing."""

    def scatter(
        self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, x: str, y: str, title: str = ""
    ) -> None:
        """Do nothing."""

    def image(self, key: str, path: Path) -> None:
        """Do nothing."""

    def reference(
        self, name: str, kind: str, path: Path, metadata: Mapping[str, Any], *, checksum: bool = False
    ) -> None:
        """Do nothing."""

    def finish(self, *, failed: bool = False) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


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
            reason = "there is no key" if not _has_key(_server()) else _unreachable(_server(), self.seconds)
            if not reason:
                try:
                    return self._init("online", settings)
                except Exception as error:  # whatever the server or the client dislikes, the run goes on
                    reason = str(error).splitlines()[0]
                    _client().teardown(exit_code=1)  # it still holds the id of the run that did not start
            self._warn(f"W&B is not to be had online ({reason}); this run is kept offline: wandb sync uploads it later")
            self.mode = "offline"  # the next run does not wait again
        return self._init("offline", settings)

    def _init(self, mode: Mode, settings: dict[str, Any]) -> Any:
        wandb = _client()
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
            run.log({key: _client().plot.scatter(_table(columns, rows), x, y, title=title)})

        self._do("scatter", show)

    def image(self, key: str, path: Path) -> None:
        """Show a picture file."""

        def show(run: Any) -> None:
            wandb = _client()
            run.log({key: wandb.Image(str(path))})

        self._do("image", show)

    def reference(
        self, name: str, kind: str, path: Path, metadata: Mapping[str, Any], *, checksum: bool = False
    ) -> None:
        """Say where a file that belongs to the run lies; it is never uploaded."""

        def show(run: Any) -> None:
            artifact = _client().Artifact(_name(name), type=kind, metadata=dict(metadata))
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
    return _client().Table(columns=list(columns), data=[list(row) for row in rows])


def _client() -> Any:
    """The wandb module, imported at its first use."""
    # Its own telemetry would hold up the end of a process for 20 s where the server does not answer.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    return wandb


def _server() -> str:
    return str(_client().setup().settings.base_url)


def _has_key(server: str) -> bool:
    """Whether a key is configured; without one the client would prompt, or refuse."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    files = [os.environ.get("NETRC") or "~/.netrc", "~/_netrc"]
    for path in (Path(file).expanduser() for file in files):
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            return netrc.netrc(path).authenticators(urlsplit(server).hostname or "") is not None
    return False


def _unreachable(url: str, seconds: float) -> str:
    """Why a server does not answer within the time, or nothing if it does."""
    answer = [f"no answer within {seconds:g} s"]

    def ask() -> None:
        try:
            urllib.request.urlopen(url, timeout=seconds).close()  # noqa: S310 - the configured server
            answer[0] = ""
        except urllib.error.HTTPError:
            answer[0] = ""  # it answered
        except (OSError, ValueError) as error:
            answer[0] = str(error)

    # Looking up a name knows no time limit: it is waited for from outside.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return answer[0]
