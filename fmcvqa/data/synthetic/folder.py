"""Fill a folder with generated files so that a killed run is finished by the next and nothing foreign is touched.

While a set is made its folder holds ``.partial/settings.json``; the manifest ``synthetic.json`` is written last.
Each file appears under its name only when it is whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tqdm import tqdm

from fmcvqa.errors import DatasetError

MANIFEST = "synthetic.json"
PARTIAL = ".partial"

Settings = Mapping[str, int | float | str | Sequence[int]]


@dataclass(frozen=True, slots=True)
class FileJob:
    """One file to make.

    Attributes:
        path: Where it goes, relative to the set's folder.
        make: Makes its bytes; depends on nothing but the settings.
    """

    path: str
    make: Callable[[], bytes]


def fill(root: Path, name: str, settings: Settings, jobs: Callable[[], Sequence[FileJob]]) -> None:
    """Make all files of a set that are not there yet; does nothing where the set is complete.

    Args:
        root: The set's folder, made if need be.
        name: The set's name, for messages and the progress bar.
        settings: Everything the files depend on.
        jobs: Lists the files; asked only when some may be missing.

    Raises:
        DatasetError: If the folder holds something else, a set of other settings, or cannot be written.
    """
    try:
        if _is_complete(root, name, settings):
            return
        with _lock(root):
            if not _is_complete(root, name, settings):
                _write(root / PARTIAL / "settings.json", root / PARTIAL, _encode(name, settings))
                _make_all(root, name, jobs())
                _write(root / MANIFEST, root / PARTIAL, _encode(name, settings))
            shutil.rmtree(root / PARTIAL, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DatasetError(
            f"{name} cannot be made in {root}: {reason}", advice="a folder that may be written and has room"
        ) from error


def _is_complete(root: Path, name: str, settings: Settings) -> bool:
    """Whether the set is all there; False where it may be made or finished."""
    if not root.exists():
        return False
    if not root.is_dir():
        raise DatasetError(f"{name} cannot be made in {root}", found="a file", advice="a new or an empty folder")
    for known in (root / MANIFEST, root / PARTIAL / "settings.json"):
        if known.exists():
            _compare(known, root, name, settings)
            return known.name == MANIFEST
    foreign = sorted(entry.name for entry in root.iterdir() if entry.name != PARTIAL)
    if foreign:
        shown = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        raise DatasetError(
            f"{name} cannot be made in {root}: the folder holds other things",
            found=shown,
            advice="a new or an empty folder; nothing was changed",
        )
    return False


def _compare(manifest: Path, root: Path, name: str, settings: Settings) -> None:
    """Refuse a folder whose set was made otherwise."""
    try:
        there = json.loads(manifest.read_text(encoding="utf-8"))
    except ValueError:
        there = None
    if not isinstance(there, dict) or not isinstance(there.get("settings"), dict):
        raise DatasetError(f"{manifest} is damaged", advice=f"deleting {root}; it will be made again")
    asked = json.loads(_encode(name, settings))
    if there.get("name") != name:
        raise DatasetError(
            f"{root} holds another set than {name}", found=str(there.get("name")), advice="another folder"
        )
    keys = sorted(asked["settings"].keys() | there["settings"].keys())
    other = [key for key in keys if there["settings"].get(key) != asked["settings"].get(key)]
    if other:
        raise DatasetError(
            f"{root} holds a {name} made with other settings than "
            + ", ".join(f"{key}={asked['settings'].get(key)}" for key in other),
            found=", ".join(f"{key}={there['settings'].get(key)}" for key in other),
            advice="another folder, these settings, or deleting the folder",
        )


def _make_all(root: Path, name: str, jobs: Sequence[FileJob]) -> None:
    """Make the missing files on a few threads; the work is done outside Python's lock."""
    missing = [job for job in jobs if not (root / job.path).exists()]
    for folder in {(root / job.path).parent for job in missing}:
        folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        futures = [pool.submit(lambda job: _write(root / job.path, root / PARTIAL, job.make()), job) for job in missing]
        try:
            for future in tqdm(futures, desc=f"making {name}", unit="file", mininterval=0.5):
                future.result()
        finally:
            for future in futures:
                future.cancel()


def _write(path: Path, scratch: Path, content: bytes) -> None:
    """Write a file beside, flush it to the disk, then give it its name."""
    beside = scratch / f"{threading.get_ident()}.tmp"
    with beside.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)


def _encode(name: str, settings: Settings) -> bytes:
    note = "Generated pictures and invented scores: a stand-in, not the dataset whose layout it has."
    return (json.dumps({"name": name, "note": note, "settings": dict(settings)}, indent=1) + "\n").encode()


@contextmanager
def _lock(root: Path) -> Iterator[None]:
    """Let one process at a time fill the folder; others wait. The lock dies with its process."""
    with _lock_file(root / PARTIAL) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _lock_file(scratch: Path) -> IO[str]:
    while True:
        scratch.mkdir(parents=True, exist_ok=True)
        try:
            return (scratch / "lock").open("w")
        except FileNotFoundError:  # whoever finished the set has just removed the folder
            continue
