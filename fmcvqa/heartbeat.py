"""Says where a run is when it has not moved for a while."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType

log = logging.getLogger(__name__)


class Heartbeat:
    """Writes a line to the log whenever nothing has happened for some seconds (FAULTS, "a stuck run").

    Args:
        seconds: How long nothing may happen before it says so, and how often it says it again.
        elsewhere: Describes what other processes are at, for the time in which this one waits for them.

    Raises:
        ValueError: If ``seconds`` is not above 0.
    """

    def __init__(self, seconds: float, elsewhere: Callable[[], str]) -> None:
        if not seconds > 0:
            raise ValueError(f"{seconds} seconds between heartbeats")
        self._seconds, self._elsewhere = min(seconds, threading.TIMEOUT_MAX), elsewhere  # infinity is never
        self._place, self._since = "", time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="fmcvqa-heartbeat", daemon=True)

    def at(self, place: str) -> None:
        """Notes that the run moved and where it is now; nothing where it waits for other processes."""
        self._place, self._since = place, time.monotonic()

    def __enter__(self) -> Heartbeat:
        self.at("")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(self._seconds / 4):
            still = time.monotonic() - self._since
            if still >= self._seconds:
                log.warning("nothing has moved for %.0f s: %s", still, self._place or self._elsewhere())
                self._ended.wait(self._seconds * 3 / 4)
