"""Fill a folder with made files so that a killed run is finished by the next and nothing foreign is touched.

While a set is made its folder holds ``.partial/settings.json``; its manifest is written last. Each file appears under
its name only when it is whole.
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

PARTIAL = ".partial"

Settings = Mapping[str, int | float | str | Sequence[int] | Sequence[str]]


@dataclass(frozen=True, slots=True)
class FileJob:
    """One file to make.

    Attributes:
        path: Where it goes, relative to the set's folder.
        make: Makes its bytes; depends on nothing but the settings.
    """

    path: str
    make: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The file that says what a finished set is.

    Attributes:
        file: Its name in the set's folder.
        name: The set's name, for messages and the progress bar.
        note: What whoever finds the folder should know.
        settings: Everything the files depend on.
    """

    file: str
    name: str
    note: str
    settings: Settings

    def encode(self) -> bytes:
        """The manifest as JSON."""
        content = {"name": self.name, "note": self.note, "settings": dict(self.settings)}
        return (json.dumps(content, indent=1) + "\n").encode()


def fill(root: Path, manifest: Manifest, jobs: Callable[[], Sequence[FileJob]]) -> None:
    """Make all files of a set that are not there yet; does nothing where the set is complete.

    Args:
        root: The set's folder, made if need be.
        manifest: What the set is.
        jobs: Lists the files; asked only when some may be missing.

    Raises:
        DatasetError: If the folder holds something else, a set of other settings, or cannot be written.
    """
    try:
        if _is_complete(root, manifest):
            return
        with _lock(root):
            if not _is_complete(root, manifest):
                _write(root / PARTIAL / "settings.json", root / PARTIAL, manifest.encode())
                _make_all(root, manifest.name, jobs())
                _write(root / manifest.file, root / PARTIAL, manifest.encode())
            shutil.rmtree(root / PARTIAL, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DatasetError(
            f"{manifest.name} cannot be made in {root}: {reason}", advice="a folder that may be written and has room"
        ) from error


def _is_complete(root: Path, manifest: Manifest) -> bool:
    """Whether the set is all there; False where it may be made or finished."""
    name = manifest.name
    if not root.exists():
        return False
    if not root.is_dir():
        raise DatasetError(f"{name} cannot be made in {root}", found="a file", advice="a new or an empty folder")
    for known in (root / manifest.file, root / PARTIAL / "settings.json"):
        if known.exists():
            _compare(known, root, manifest)
            return known.name == manifest.file
    foreign = sorted(entry.name for entry in root.iterdir() if entry.name != PARTIAL)
    if foreign:
        shown = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        raise DatasetError(
            f"{name} cannot be made in {root}: the folder holds other things",
            found=shown,
            advice="a new or an empty folder; nothing was changed",
        )
    return False


def _compare(known: Path, root: Path, manifest: Manifest) -> None:
    """Refuse a folder whose set was made otherwise."""
    name = manifest.name
    try:
        there = json.loads(known.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        there = None
    if not isinstance(there, dict) or not isinstance(there.get("settings"), dict):
        raise DatasetError(f"{known} is damaged", advice=f"deleting {root}; it will be made again")
    asked = json.loads(manifest.encode())
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
            for future in tqdm(futures, desc=f"making {name}", unit="file", mininterval=0.5, disable=None):
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
