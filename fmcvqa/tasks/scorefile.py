"""The file of ``fmcvqa predict --out``: one JSON line per clip, each safe on the disk as soon as it is there.

A later run with the same model and settings takes over the scores of clips whose content has not changed, and tries
failed ones again. Whether damaged clips are allowed is no such setting: the others have the same score either way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fmcvqa.data.decoding import OnDamage
from fmcvqa.errors import ConfigError, FmcvqaError
from fmcvqa.features.store import SourceStamp
from fmcvqa.files import behind_link, write_atomic
from fmcvqa.prediction import Prediction

Row = dict[str, Any]
_BEGINNING = b'{"path": '


class ScoreFile:
    """Scores of earlier runs, and those of this one.

    Args:
        path: The file; it need not exist.
        made_by: What decides about a score: the model file's SHA-256, the decoder, the settings.
        damage: ``mark`` where scores of damaged clips are taken over too.

    Raises:
        ConfigError: If the file holds something else, or scores that were made by something else.
    """

    def __init__(self, path: Path, made_by: dict[str, Any], damage: OnDamage = "reject") -> None:
        self.path, self._made_by, self._damage = path, made_by, damage
        self._rows: dict[str, Row] = {str(row["path"]): row for row in self._read()}
        self._write()  # without the rest of a line that a killed run may have left

    def known(self, path: Path) -> Prediction | None:
        """The score of an earlier run if the clip is still the same."""
        row = self._rows.get(str(path))
        if row is None or row["code"] is not None:
            return None
        try:
            same = SourceStamp(**row["source"]).matches(path)
        except OSError:
            return None
        known = Prediction.from_dict(row)
        return known if same and (known.damage is None or self._damage == "mark") else None

    def add(self, prediction: Prediction) -> None:
        """Keep a prediction; it is on the disk when this returns.

        Raises:
            FmcvqaError: If the disk refuses.
        """
        row = prediction.to_dict() | {"source": _stamp(prediction), "made_by": self._made_by}
        self._rows[str(prediction.path)] = row
        try:
            with self.path.open("ab") as file:
                file.write(_line(row))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._refused(error) from error

    def finish(self, paths: Sequence[Path]) -> None:
        """Put the rows of these clips in this order, one each; those of other clips stay behind them."""
        order = {str(path): place for place, path in enumerate(paths)}
        names = sorted(self._rows, key=lambda name: order.get(name, len(order)))
        self._rows = {name: self._rows[name] for name in names}
        self._write()

    def _write(self) -> None:
        try:
            write_atomic(behind_link(self.path), b"".join(map(_line, self._rows.values())))
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> FmcvqaError:
        advice = "free space or choose another file; the same command goes on where it stopped"
        return FmcvqaError(f"{self.path} cannot be written ({error.strerror})", advice=advice)

    def _read(self) -> list[Row]:
        if self.path.exists() and not self.path.is_file():
            raise ConfigError(f"{self.path} is no regular file", advice="a file for --out, which is also read again")
        try:
            *lines, rest = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read ({error.strerror})", advice="another file") from error
        if not _BEGINNING.startswith(rest[: len(_BEGINNING)]):  # a killed run leaves the beginning of a row
            lines.append(rest)
        return [self._checked(number, line) for number, line in enumerate(lines, 1)]

    def _checked(self, number: int, line: bytes) -> Row:
        try:
            row: Row = json.loads(line)
            made_by = {**row["made_by"]}
            if Prediction.from_dict(row).code is None:
                SourceStamp(**row["source"])
                if type(row["score"]) not in (int, float):
                    raise TypeError("no score")
            _line(row)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            problem = f"{self.path} line {number} is no row of fmcvqa predict"
            raise ConfigError(problem, advice="another file for --out, or delete this one") from error
        if made_by != self._made_by:
            differ = ", ".join(key for key in self._made_by if made_by.get(key) != self._made_by[key])
            raise ConfigError(
                f"{self.path} holds scores that were made in another way (not the same: {differ})",
                advice="another file for --out, or delete this one to score everything again",
            )
        return row


def _stamp(prediction: Prediction) -> dict[str, Any] | None:
    return None if prediction.score is None else asdict(SourceStamp.of(prediction.path))


def _line(row: Row) -> bytes:
    return json.dumps(row, allow_nan=False).encode() + b"\n"
