"""What a tracker is, and the one that tracks nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self


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
