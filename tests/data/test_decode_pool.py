"""Our decoding children: the same frames however spread; nothing a decoder does ends the run or stays behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from barcode import barcode, read_barcode, write_clip
from tiny import clip, damage

from fmcvqa.data.decoding import CHUNK_BYTES, DecodedChunk, DecodePool, FailedVideo, PyAVDecoder
from fmcvqa.data.decoding.base import chunks
from fmcvqa.errors import ConfigError, VideoError

Videos = list[tuple[str, Path]]


@dataclass(frozen=True)
class PlantedDecoder:
    """Does to the process what the file's name says; files of other names hold 20 barcode frames."""

    name: str = "planted"

    def version(self) -> str:
        return "1"

    def reader_for(self, path: str | Path) -> str:
        return self.name

    def frames(self, path: str | Path, *, stride: int = 1) -> Iterator[tuple[int, np.ndarray]]:
        path = Path(path)
        for k in range(0, 20, stride):
            yield k, barcode(k, *((96, 64) if k < 10 or path.stem != "grows" else (128, 96)))
            if path.stem == "counted":
                with path.open("ab") as file:
                    file.write(b".")
            if path.stem == "creeps":
                time.sleep(0.2)
            if k == 9:
                self._misbehave(path)

    def _misbehave(self, path: Path) -> None:
        if path.stem == "dies_once" and not path.exists():
            path.touch()
            os.kill(os.getpid(), signal.SIGSEGV)
        if path.stem in ("SIGSEGV", "SIGABRT"):
            os.kill(os.getpid(), signal.Signals[path.stem])
        while path.stem == "spins":
            pass
        if path.stem == "bug":
            raise KeyError("planted")
        if path.stem == "torch" and "torch" in sys.modules:
            raise VideoError("E_CORRUPT", "torch is loaded in the child")


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    shared, descriptors = set(Path("/dev/shm").iterdir()), len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert multiprocessing.active_children() == []
    assert set(Path("/dev/shm").iterdir()) <= shared
    # The fork server and the resource tracker, which live as long as this process, take a few at their start.
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors + 4


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    folder = tmp_path_factory.mktemp("videos")
    sizes = {"a": (96, 64), "b": (128, 96), "c": (64, 64)}
    return [(name, write_clip(folder / f"{name}.mp4", 20, size=size)) for name, size in sizes.items()]


def planted(*names: str, folder: Path = Path("/nowhere")) -> Videos:
    return [(name, folder / name) for name in names]


def gather(
    pool: DecodePool, videos: Videos
) -> tuple[dict[str, list[tuple[int, np.ndarray]]], dict[str, str], list[str]]:
    """Frames of each finished video, message of each failed one, and the ids in order of ending."""
    frames: dict[str, list[tuple[int, np.ndarray]]] = {}
    failed: dict[str, str] = {}
    ended: list[str] = []
    for item in pool.decode(videos):
        assert item.video_id not in ended
        if isinstance(item, FailedVideo):
            failed[item.video_id] = str(item.error)
            frames.pop(item.video_id, None)
            ended.append(item.video_id)
            continue
        assert len(item.frames) == len(item.frame_indices)
        frames.setdefault(item.video_id, []).extend(zip(item.frame_indices, item.frames.copy(), strict=True))
        if item.last:
            ended.append(item.video_id)
    return frames, failed, ended


def said(frames: list[tuple[int, np.ndarray]]) -> list[int]:
    assert [index for index, _ in frames] == [read_barcode(image) for _, image in frames]
    return [index for index, _ in frames]


@pytest.mark.parametrize("num_workers", [0, 1, 2])
@pytest.mark.parametrize("chunk_frames", [1, 7, 64])
def test_same_frames_however_they_are_spread(num_workers: int, chunk_frames: int, videos: Videos) -> None:
    pool = DecodePool(PyAVDecoder(), num_workers=num_workers, chunk_frames=chunk_frames, stride=3)
    frames, failed, ended = gather(pool, videos)
    assert failed == {}
    assert sorted(ended) == ["a", "b", "c"]
    for name, path in videos:
        expected = list(PyAVDecoder().frames(path, stride=3))
        assert said(frames[name]) == [0, 3, 6, 9, 12, 15, 18]
        for (_, ours), (_, theirs) in zip(frames[name], expected, strict=True):
            assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("size", "expected"), [((960, 540), [16, 4]), ((1920, 1080), [2] * 10), ((3840, 2160), [1] * 20)]
)
def test_few_large_frames_are_together(size: tuple[int, int], expected: list[int]) -> None:
    frame = np.zeros((size[1], size[0], 3), np.uint8)
    limits = {"chunk_frames": 16, "chunk_bytes": CHUNK_BYTES}
    made = chunks(((k, frame) for k in range(20)), lambda: np.empty(CHUNK_BYTES, np.uint8), **limits)
    assert [len(block) for block, *_ in made] == expected


@pytest.mark.parametrize("num_workers", [0, 1])
def test_chunks_keep_to_their_bytes_and_to_one_size(num_workers: int, tmp_path: Path) -> None:
    size = 96 * 64 * 3
    pool = DecodePool(PlantedDecoder(), num_workers=num_workers, chunk_bytes=4 * size + 1)
    chunks = [
        (item.frames.shape, item.frame_indices, item.last, item.reader)
        for item in pool.decode(planted("grows"))
        if isinstance(item, DecodedChunk)
    ]
    small, large = (64, 96, 3), (96, 128, 3)
    assert chunks == [
        ((4, *small), [0, 1, 2, 3], False, "planted"),
        ((4, *small), [4, 5, 6, 7], False, "planted"),
        ((2, *small), [8, 9], False, "planted"),
        ((2, *large), [10, 11], False, "planted"),
        ((2, *large), [12, 13], False, "planted"),
        ((2, *large), [14, 15], False, "planted"),
        ((2, *large), [16, 17], False, "planted"),
        ((2, *large), [18, 19], True, "planted"),
    ]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_frame_larger_than_a_chunk(num_workers: int) -> None:
    pool = DecodePool(PlantedDecoder(), num_workers=num_workers, chunk_bytes=96 * 64 * 3 - 1)
    frames, failed, _ = gather(pool, planted("a"))
    message = "E_TOO_LARGE: a frame of 96x64 takes 18432 bytes, more than chunk_bytes=18431. "
    assert failed == {"a": message + "Try: set chunk_bytes to at least 18432"}
    assert frames == {}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_bad_file_fails_alone(num_workers: int, videos: Videos, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(videos[0][1].read_bytes()[:-100])
    pool = DecodePool(PyAVDecoder(), num_workers=num_workers)
    frames, failed, _ = gather(pool, [videos[0], ("bad", bad), ("none", tmp_path / "none"), *videos[1:]])
    assert {name: message.split(":")[0] for name, message in failed.items()} == {
        "bad": "E_TRUNCATED",
        "none": "E_NOT_FOUND",
    }
    assert {name: said(found) for name, found in frames.items()} == {name: list(range(20)) for name in "abc"}


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT"])
def test_a_dying_decoder_fails_its_video_after_one_retry(name: str, num_workers: int) -> None:
    pool = DecodePool(PlantedDecoder(), num_workers=num_workers, chunk_frames=4)
    frames, failed, ended = gather(pool, planted("a", name, "b", "c"))
    number = int(signal.Signals[name])
    message = f"E_DECODER_CRASH: the decoder died twice on '/nowhere/{name}'. Found: signal {number}. "
    assert failed == {name: message + "Try: leave the file out, or re-encode it"}
    assert {each: said(found) for each, found in frames.items()} == {name: list(range(20)) for name in "abc"}
    if num_workers == 1:
        assert ended == ["a", name, "b", "c"]


def test_a_retry_goes_on_where_the_first_try_ended(tmp_path: Path) -> None:
    pool = DecodePool(PlantedDecoder(), num_workers=2, chunk_frames=4)
    frames, failed, _ = gather(pool, planted("a", "dies_once", "b", folder=tmp_path))
    assert failed == {}
    assert {name: said(found) for name, found in frames.items()} == {
        name: list(range(20)) for name in ("a", "dies_once", "b")
    }


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_stuck_decoder_is_killed(num_workers: int) -> None:
    pool = DecodePool(PlantedDecoder(), num_workers=num_workers, chunk_frames=4, timeout_seconds=1.0)
    started = time.monotonic()
    frames, failed, _ = gather(pool, planted("a", "spins", "b"))
    message = "E_TIMEOUT: decoding '/nowhere/spins' took more than 1 s for one chunk. "
    assert failed == {
        "spins": message + "Try: raise loader.timeout_seconds if the machine is slow, else leave the file out"
    }
    assert {name: said(found) for name, found in frames.items()} == {name: list(range(20)) for name in "ab"}
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("name", ["creeps", "spins"])
def test_a_video_that_takes_too_long_in_all_is_killed(name: str) -> None:
    pool = DecodePool(PlantedDecoder(), num_workers=1, chunk_frames=1, timeout_seconds=60.0, video_seconds=0.6)
    started = time.monotonic()
    [error] = [item.error for item in pool.decode(planted(name)) if isinstance(item, FailedVideo)]
    assert str(error) == (
        f"E_TIMEOUT: decoding '/nowhere/{name}' took more than 0.6 s in all. "
        "Try: raise loader.video_seconds if the machine is slow, else leave the file out"
    )
    assert error.stage == "decode"
    assert 0.6 <= error.seconds <= time.monotonic() - started
    assert time.monotonic() - started < 20


def test_time_in_which_nobody_takes_frames_is_not_the_videos(videos: Videos) -> None:
    pool = DecodePool(PyAVDecoder(), num_workers=1, chunk_frames=5, video_seconds=1.0)
    count = 0
    for item in pool.decode(videos[:1]):
        assert isinstance(item, DecodedChunk)
        count += len(item.frames)
        time.sleep(1.3 if count == 5 else 0)
    assert count == 20


@pytest.mark.parametrize("num_workers", [0, 1])
def test_infinity_is_no_limit(num_workers: int, videos: Videos) -> None:
    endless = {"timeout_seconds": float("inf"), "video_seconds": float("inf"), "memory_bytes": 10**30}
    pool = DecodePool(PyAVDecoder(), num_workers=num_workers, **endless)  # type: ignore[arg-type]
    items = list(pool.decode(videos))
    assert [item.video_id for item in items if isinstance(item, DecodedChunk) and item.last] == [v for v, _ in videos]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_failure_says_where_and_when(num_workers: int, tmp_path: Path) -> None:
    damage(clip(tmp_path / "hit.mp4", 48))
    pool = DecodePool(PyAVDecoder(), num_workers=num_workers, chunk_frames=5)
    items = pool.decode([("none", tmp_path / "none"), ("hit", tmp_path / "hit.mp4")])
    first, last = [item.error for item in items if isinstance(item, FailedVideo)]
    assert [(error.code, error.stage) for error in (first, last)] == [("E_NOT_FOUND", "open"), ("E_CORRUPT", "decode")]
    assert 0 <= first.seconds < 20
    assert 0 < last.seconds < 20


def test_many_videos_that_fail_in_the_middle_of_a_chunk(tmp_path: Path) -> None:
    """The slot that was being filled is free again."""
    bad = damage(clip(tmp_path / "hit.mp4", 24))
    pool = DecodePool(PyAVDecoder(), num_workers=1, timeout_seconds=10.0)
    items = [item for item in pool.decode([(str(k), bad) for k in range(6)]) if isinstance(item, FailedVideo)]
    assert [item.error.code for item in items] == ["E_CORRUPT"] * 6


def test_a_slow_reader_is_no_stuck_decoder(videos: Videos) -> None:
    pool = DecodePool(PyAVDecoder(), num_workers=1, chunk_frames=5, timeout_seconds=1.0)
    count = 0
    for item in pool.decode(videos[:1]):
        assert isinstance(item, DecodedChunk)
        count += len(item.frames)
        time.sleep(1.3 if count == 5 else 0)
    assert count == 20


def test_a_child_decodes_ahead_but_no_further_than_its_slots(tmp_path: Path) -> None:
    items = DecodePool(PlantedDecoder(), num_workers=1, chunk_frames=3).decode(planted("counted", folder=tmp_path))
    first = next(items)
    assert isinstance(first, DecodedChunk)
    time.sleep(0.4)
    assert read_barcode(first.frames[2]) == 2  # still there
    assert len((tmp_path / "counted").read_bytes()) == 6  # two slots; the seventh frame waits
    items.close()


def test_a_child_is_at_the_next_video_while_the_last_frames_of_one_are_used(tmp_path: Path) -> None:
    names = [str(tmp_path / "a"), str(tmp_path / "counted")]
    items = DecodePool(PlantedDecoder(), num_workers=1, chunk_frames=20).decode([(name, name) for name in names])
    first = next(items)
    assert isinstance(first, DecodedChunk) and first.last
    until = time.monotonic() + 30
    while not Path(names[1]).exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert Path(names[1]).exists()
    assert read_barcode(first.frames[19]) == 19  # still there
    second = next(items)
    assert isinstance(second, DecodedChunk) and second.last and second.video_id == names[1]
    assert next(items, None) is None


def test_a_bug_is_no_bad_video() -> None:
    pool = DecodePool(PlantedDecoder(), num_workers=1)
    with pytest.raises(RuntimeError) as caught:
        gather(pool, planted("a", "bug"))
    lines = str(caught.value).splitlines()
    assert lines[0] == "the decoder failed on '/nowhere/bug':"
    assert lines[-1] == "KeyError: 'planted'"


def test_no_torch_in_a_child() -> None:
    frames, failed, _ = gather(DecodePool(PlantedDecoder(), num_workers=1), planted("torch"))
    assert failed == {}
    assert len(frames["torch"]) == 20


@pytest.mark.parametrize("after", [0, 1, 5])
def test_closing_early_ends_the_children(after: int, videos: Videos) -> None:
    items = DecodePool(PyAVDecoder(), num_workers=2, chunk_frames=2).decode(videos)
    for _ in range(after):
        next(items)
    children = multiprocessing.active_children()
    assert len(children) == (2 if after else 0)
    items.close()
    assert multiprocessing.active_children() == []


def test_an_exception_of_the_reader_ends_the_children(videos: Videos) -> None:
    items = DecodePool(PyAVDecoder(), num_workers=2, chunk_frames=2).decode(videos)
    next(items)
    with pytest.raises(KeyboardInterrupt):
        items.throw(KeyboardInterrupt)
    assert multiprocessing.active_children() == []


def test_no_videos() -> None:
    assert list(DecodePool(PyAVDecoder(), num_workers=2).decode([])) == []


SCRIPT = """
import multiprocessing, os, signal, sys
from fmcvqa.data.decoding import DecodePool, PyAVDecoder
print("once", flush=True)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in a shell's background is told to ignore it
items = DecodePool(PyAVDecoder(), num_workers=2, chunk_frames=2).decode([(name, name) for name in sys.argv[2:]])
next(items)
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
if sys.argv[1] != "0":
    os.kill(os.getpid(), int(sys.argv[1]))
print(sum(len(item.frames) for item in items), flush=True)
"""


@pytest.mark.parametrize("number", [0, int(signal.SIGINT), int(signal.SIGTERM), int(signal.SIGKILL)])
def test_a_script_without_main_guard_leaves_no_children_however_it_ends(
    number: int, videos: Videos, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(number), *(str(path) for _, path in videos)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    lines = run.stdout.splitlines()
    assert lines[0] == "once"
    pids = [int(word) for word in lines[1].split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while any(_runs(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(_runs(pid) for pid in pids)
    if number == 0:
        assert lines[2:] == ["58"]
        assert run.stderr == ""
    elif number == signal.SIGINT:
        assert run.stderr.splitlines()[-1] == "KeyboardInterrupt"
    else:
        assert run.returncode == -number
        assert run.stderr == ""


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_decoder_a_child_cannot_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vanishing.py").write_text(
        f"from {PlantedDecoder.__module__} import PlantedDecoder\nclass D(PlantedDecoder): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import vanishing  # type: ignore[import-not-found]

    (tmp_path / "vanishing.py").unlink()
    for cached in (tmp_path / "__pycache__").glob("*"):
        cached.unlink()
    with pytest.raises(ConfigError) as caught:
        gather(DecodePool(vanishing.D(), num_workers=1), planted("a"))
    assert str(caught.value) == (
        "the decoding process did not start. Found: exit code 1. "
        "Try: see the lines above; the decoder's class must be importable by its name, or num_workers=0"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_workers": -1}, "num_workers is -1. Try: give 0 to decode in this process, or more"),
        ({"stride": 0}, "stride is 0. Try: give a number of at least 1"),
        ({"chunk_frames": 0}, "chunk_frames is 0. Try: give a number of at least 1"),
        ({"chunk_bytes": 0}, "chunk_bytes is 0. Try: give a number of at least 1"),
        ({"timeout_seconds": 0}, "timeout_seconds is 0. Try: give a number of seconds above 0"),
        ({"video_seconds": 0}, "video_seconds is 0. Try: give a number of seconds above 0"),
        ({"memory_bytes": 0}, "memory_bytes is 0. Try: give a number of at least 1"),
    ],
)
def test_wrong_numbers(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DecodePool(PyAVDecoder(), **settings)
    assert str(caught.value) == message
