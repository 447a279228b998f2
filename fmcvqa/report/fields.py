"""Values out of parsed JSON, checked one by one, so that an error names the file and the dotted key."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from fmcvqa.errors import FmcvqaError

AGAIN = "run this cell again with force=true"


class ResultError(FmcvqaError):
    """A ``result.json`` that is damaged, incomplete or contradicts another one."""


class Reader:
    """Takes values out of parsed JSON; an error names the file and the dotted key."""

    def __init__(self, path: Path, value: Any, where: str = "") -> None:
        self.path, self.value, self.where = path, value, where

    def name(self, key: str) -> str:
        """The dotted key from the top of the file."""
        return f"{self.where}.{key}" if self.where else key

    def get(self, key: str) -> Any:
        """The value of a key, or an error that lists the keys there are."""
        if not isinstance(self.value, dict) or key not in self.value:
            found = ", ".join(self.value) if isinstance(self.value, dict) else type(self.value).__name__
            raise ResultError(f"{self.path} has no {self.name(key)}", found=found or "nothing there", advice=AGAIN)
        return self.value[key]

    def typed(self, key: str, kind: type | tuple[type, ...], words: str) -> Any:
        """A value of the wanted kind; ``words`` name it in the error. A bool is no number."""
        value = self.get(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            problem = f"{self.name(key)} in {self.path} is not {words}"
            raise ResultError(problem, found=repr(value)[:80], advice=AGAIN)
        return value

    def text(self, key: str) -> str:
        """A string."""
        return str(self.typed(key, str, "a text"))

    def count(self, key: str) -> int:
        """An int."""
        return int(self.typed(key, int, "a whole number"))

    def number(self, key: str) -> float:
        """A float; null, as JSON writers without NaN put it, is NaN."""
        value = self.typed(key, (int, float, type(None)), "a number")
        return math.nan if value is None else self._float(key, value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of at least one string."""
        value = self.typed(key, list, "a list of texts")
        if not value or not all(isinstance(item, str) for item in value):
            problem = f"{self.name(key)} in {self.path} is not a list of texts"
            raise ResultError(problem, found=repr(value)[:80], advice=AGAIN)
        return tuple(value)

    def pair(self, key: str) -> tuple[float, float]:
        """Two floats."""
        value = self.typed(key, list, "a pair of numbers")
        if len(value) != 2 or not all(isinstance(item, (int, float)) for item in value):
            problem = f"{self.name(key)} in {self.path} is not a pair of numbers"
            raise ResultError(problem, found=repr(value)[:80], advice=AGAIN)
        return self._float(key, value[0]), self._float(key, value[1])

    def _float(self, key: str, value: float) -> float:
        try:
            return float(value)
        except OverflowError as error:  # some hundred digits
            raise ResultError(f"{self.name(key)} in {self.path} is no number of ours", advice=AGAIN) from error

    def inside(self, key: str) -> Reader:
        """A reader of the object under a key."""
        return Reader(self.path, self.typed(key, dict, "an object"), self.name(key))

    def rows(self, key: str) -> list[Reader]:
        """A reader for each item of the list under a key."""
        rows = self.typed(key, list, "a list")
        return [Reader(self.path, row, f"{self.name(key)}[{i}]") for i, row in enumerate(rows)]
