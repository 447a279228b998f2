"""Reads W&B's offline run files back without W&B's own reader: LevelDB's log format around protobuf records."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

_BLOCK, _FILE_HEADER, _HEADER = 32768, 7, 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


@dataclass
class RunFile:
    """What one ``run-<id>.wandb`` and the tables beside it hold."""

    path: Path
    id: str = ""
    name: str = ""
    group: str = ""
    kind: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    images: dict[str, Path] = field(default_factory=dict)
    references: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    finished: bool = False

    def column(self, name: str) -> list[float]:
        """One value of every row of the history that has it."""
        return [row[name] for row in self.history if name in row]


def read_runs(folder: Path, seconds: float = 5.0) -> dict[str, RunFile]:
    """Every finished offline run below a folder, by id; W&B's own process may write the end a moment later."""
    end = time.monotonic() + seconds
    while True:
        runs = [read_run(path) for path in sorted(folder.rglob("run-*.wandb"))]
        if all(run.finished for run in runs) or time.monotonic() > end:
            return {run.id: run for run in runs}
        time.sleep(0.02)


def read_run(path: Path) -> RunFile:
    """One run as far as its file goes: a killed process leaves one without an end."""
    Record: Any = import_module("wandb.proto.wandb_internal_pb2").Record
    run = RunFile(path)
    for data in _records(path.read_bytes()):
        record = Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            told = record.run
            run.id, run.name, run.group, run.kind = told.run_id, told.display_name, told.run_group, told.job_type
            run.tags = list(told.tags)
            run.config |= _items(told.config.update)
        elif kind == "config":
            run.config |= _items(record.config.update)
        elif kind == "history":
            run.history.append(_items(record.history.item))
            _media(run, run.history[-1])
        elif kind == "summary":
            run.summary |= _items(record.summary.update)
        elif kind == "artifact" and record.artifact.type != "run_table":
            for entry in record.artifact.manifest.contents:
                assert not entry.local_path, "a reference is not uploaded"
            refs = [entry.ref for entry in record.artifact.manifest.contents]
            run.references[record.artifact.name] = record.artifact.type, refs
        elif kind == "exit":
            run.finished = True
    return run


def _records(data: bytes) -> Iterator[bytes]:
    """Records of LevelDB's log: blocks of 32 KiB, each record with checksum, length and which part of a whole it is."""
    place, parts = _FILE_HEADER, b""
    while place + _HEADER <= len(data):
        left = _BLOCK - place % _BLOCK
        if left < _HEADER:  # too little for a header: zeros up to the next block
            place += left
            continue
        _, length, part = struct.unpack_from("<IHB", data, place)
        start, place = place + _HEADER, place + _HEADER + length
        if place > len(data) or not _FULL <= part <= _LAST:
            return
        parts = data[start:place] if part in (_FULL, _FIRST) else parts + data[start:place]
        if part in (_FULL, _LAST):
            yield parts


def _items(items: Any) -> dict[str, Any]:
    """Keys and values, a nested key joined by dots and opened up again as a tree for what media hold."""
    found: dict[str, Any] = {}
    for item in items:
        *outer, last = list(item.nested_key) or [item.key]
        place = found
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = json.loads(item.value_json)
    return found


def _media(run: RunFile, row: dict[str, Any]) -> None:
    """The tables and pictures a row points to."""
    for key, value in row.items():
        if not isinstance(value, dict) or "path" not in value:
            continue
        path = run.path.parent / "files" / value["path"]
        if value["_type"] == "table-file":
            table = json.loads(path.read_text())
            run.tables[key] = [dict(zip(table["columns"], line, strict=True)) for line in table["data"]]
        elif value["_type"] == "image-file":
            run.images[key] = path
