"""The store against crashes: killed at every step of a write, full and read-only disks."""

from __future__ import annotations

import errno
import os
import random
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmcvqa import files
from fmcvqa.data.records import VideoRecord
from fmcvqa.errors import StoreError
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.features.store import FeatureStore, SourceStamp

RECIPE = FeatureRecipe(taps=("A",)).bind(backbone="net", weights="ab12", decoder="pyav", decoder_version="1")
Blocks = dict[tuple[str, str], Any]


def blocks(seed: int, width: int = 3000) -> Blocks:
    rng = np.random.default_rng(seed)
    return {("A", pool): rng.normal(size=width).astype(np.float32) for pool in ("mean", "max")}


def opened(folder: Path) -> tuple[FeatureStore, VideoRecord]:
    clip = folder / "a.mp4"
    clip.write_bytes(b"clip")
    return FeatureStore(folder / "cache", "set", RECIPE), VideoRecord("a", clip, 1.0)


class Death:
    """Ends the process at the k-th write, fsync or rename; a write that is its last is cut in the middle."""

    def __init__(self, k: int) -> None:
        self.left = k
        self.calls = {name: getattr(os, name) for name in ("fsync", "replace", "rename", "write")}

    def install(self) -> None:
        for name in ("fsync", "replace", "rename"):
            setattr(os, name, self._counted(self.calls[name]))
        honest = Path.open

        def open_(path: Path, mode: str = "r", *more: Any, **words: Any) -> Any:
            file = honest(path, mode, *more, **words)
            if "w" not in mode:
                return file
            return _Cut(file, self)

        Path.open = open_  # type: ignore[method-assign]

    def step(self, last_wish: Callable[[], object] = lambda: None) -> None:
        self.left -= 1
        if self.left == 0:
            last_wish()
            os._exit(9)

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **words: Any) -> Any:
            self.step()
            return call(*given, **words)

        return counted


class _Cut:
    def __init__(self, file: Any, death: Death) -> None:
        self._file, self._death = file, death

    def write(self, data: bytes) -> int:
        def half() -> None:
            self._file.write(data[: len(data) // 2])
            self._file.flush()

        self._death.step(half)
        return int(self._file.write(data))

    def __enter__(self) -> _Cut:
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def child(act: Callable[[], object]) -> int:
    """The exit code of a fork that does something."""
    pid = os.fork()
    if not pid:
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def same(found: Blocks, wanted: Blocks) -> bool:
    return all(np.array_equal(found[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize("there", [False, True], ids=["new", "over an old one"])
def test_death_at_every_step_of_a_write_leaves_an_entry_absent_or_whole(there: bool, tmp_path: Path) -> None:
    for k in range(1, 100):
        folder = tmp_path / str(k)
        folder.mkdir()
        store, record = opened(folder)
        if there:
            store.write(record, blocks(0), frames=1, reader="pyav")

        def write(k: int = k, store: FeatureStore = store, record: VideoRecord = record) -> None:
            Death(k).install()
            store.write(record, blocks(1), frames=1, reader="pyav")

        code = child(write)
        if store.missing([record]):
            assert not there and code == 9
        else:
            assert same(store.read("a")[0], blocks(1)) or (there and code == 9 and same(store.read("a")[0], blocks(0)))
        store.write(record, blocks(2), frames=1, reader="pyav")  # whatever lies about does not matter
        assert same(store.read("a")[0], blocks(2))
        if code == 0:
            break
    assert (code, k) == (0, 5 if there else 9)  # write, fsync, rename, fsync; twice with the recipe; and one more


@pytest.mark.faults
def test_two_thousand_kills(tmp_path: Path, figure: Callable[[str], None]) -> None:
    store, record = opened(tmp_path)
    start = time.monotonic()
    store.write(record, blocks(0), frames=0, reader="pyav")
    one = time.monotonic() - start
    rng, newer, content = random.Random(0), 0, 0

    def write_for_ever(seed: int) -> None:
        while True:
            store.write(record, blocks(seed), frames=seed, reader="pyav")

    for kill in range(1, 2001):
        pid = os.fork()
        if not pid:
            write_for_ever(kill)
        time.sleep(rng.uniform(0.2, 3) * one)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        found, entry = store.read("a")  # raises if it is damaged or gone
        assert entry["frames"] in (content, kill)
        assert same(found, blocks(entry["frames"]))
        newer, content = newer + (entry["frames"] == kill), entry["frames"]
    figure(f"2000 of 2000 kills left a whole entry, {newer} of them the new one")
    assert newer > 100


def test_a_full_disk_ends_cleanly_and_says_how_much_is_needed(tmp_path: Path) -> None:
    store, record = opened(tmp_path)
    store.write(record, blocks(0), frames=1, reader="pyav")
    big = VideoRecord("b", record.path, 1.0)

    def write() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a real limit of the system on a file's length
        store.claims([big, record])
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
        try:
            store.write(big, blocks(1, 500_000), frames=1, reader="pyav")
        except StoreError as error:
            told = str(error)
            begins = f"the features of b (4.0 MB, 8.0 MB for 2 videos) cannot be written to {store.folder}: "
            whole = told.startswith(f"{begins}{os.strerror(errno.EFBIG)}. Found: ") and " MB free. Try: free " in told
            os._exit(7 if whole else 8)

    assert child(write) == 7
    assert sorted(path.name for path in store.folder.iterdir()) == ["a.safetensors", "recipe.json"]
    assert same(store.read("a")[0], blocks(0))
    assert store.missing([record, big]) == [big]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES])
@pytest.mark.parametrize("at", ["open", "fsync", "replace"])
def test_a_disk_that_refuses_at_any_step(number: int, at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, record = opened(tmp_path)
    store.write(record, blocks(0), frames=1, reader="pyav")

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        steps = {"open": (Path, "open"), "fsync": (files.os, "fsync"), "replace": (Path, "replace")}
        patched.setattr(*steps[at], refuse)
        patched.setattr("fmcvqa.features.store.SourceStamp.of", lambda path: SourceStamp(4, 0, "00"))
        with pytest.raises(StoreError, match=os.strerror(number)):
            store.write(record, blocks(1), frames=1, reader="pyav")
    assert same(store.read("a")[0], blocks(0))
    assert sorted(path.name for path in store.folder.iterdir()) == ["a.safetensors", "recipe.json"]
