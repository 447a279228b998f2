"""When a frame is shown: its index, with the second that belongs to it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any


class FrameIndex(int):
    """Index of a frame in presentation order from 0, which knows when the frame is shown.

    Attributes:
        seconds: After the first frame, by the file's presentation times, else by its declared frame rate; None where
            it has neither.
    """

    seconds: float | None

    def __new__(cls, index: int, seconds: float | None = None) -> FrameIndex:
        """An index and its time."""
        made = super().__new__(cls, index)
        made.seconds = seconds
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return FrameIndex, (int(self), self.seconds)


class Clock:
    """Turns the presentation times of one video's frames into seconds after its first frame.

    Args:
        rate: Frames per second that the file declares, for frames without a time; None or 0 where it does not.
    """

    def __init__(self, rate: Fraction | None) -> None:
        self._rate = float(rate) if rate else None
        self._first: float | None = None

    def stamp(self, index: int, seconds: float | None) -> FrameIndex:
        """The index with its time; frames come in presentation order.

        Args:
            index: Of the frame.
            seconds: Its presentation time in the file, None where it has none.
        """
        if index == 0:
            self._first = seconds
        if self._first is not None:
            return FrameIndex(index, None if seconds is None else seconds - self._first)
        return FrameIndex(index, None if self._rate is None else index / self._rate)
