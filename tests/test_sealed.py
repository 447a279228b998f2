import os
from pathlib import Path
from random import Random

import numpy as np
import pytest

from fmcvqa.files import behind_link, refuse_unwritable, write_atomic
from fmcvqa.sealed import DamagedError, read_sealed, write_sealed

ARRAYS = {"a/mean": np.arange(20, dtype=np.float32), "b": np.ones((2, 3)), "scalar": np.array(3)}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_sealed(tmp_path / "sub" / "x", ARRAYS, {"frames": 3, "name": "ünï"})
    arrays, record = read_sealed(tmp_path / "sub" / "x")
    assert record == {"frames": 3, "name": "ünï"}
    assert set(arrays) == set(ARRAYS)
    assert all(
        arrays[name].shape == array.shape and np.array_equal(arrays[name], array) for name, array in ARRAYS.items()
    )


def test_a_device_or_a_pipe_is_written_into_and_stays(tmp_path: Path) -> None:
    pipe, beside = tmp_path / "pipe", tmp_path / "beside"
    os.mkfifo(pipe)
    beside.symlink_to(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        for path in (pipe, beside):
            refuse_unwritable(path)
            write_atomic(path, b"whole")
            assert os.read(reader, 99) == b"whole"
    finally:
        os.close(reader)
    assert pipe.is_fifo() and beside.is_symlink()
    assert sorted(tmp_path.iterdir()) == [beside, pipe]


def test_a_pipe_behind_a_descriptor_is_written_into() -> None:
    reader, writer = os.pipe()  # as the shell's >(command) names it
    try:
        path = Path(f"/dev/fd/{writer}")
        refuse_unwritable(path)
        write_atomic(behind_link(path), b"whole")
        assert os.read(reader, 99) == b"whole"
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("there", [True, False])
def test_what_a_link_points_to_is_written_and_the_link_stays(tmp_path: Path, there: bool) -> None:
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "model", tmp_path / "model"
    if there:
        target.write_bytes(b"before")
    link.symlink_to("disk/model")
    refuse_unwritable(link)
    assert target.exists() == there
    write_atomic(behind_link(link), b"whole")
    assert link.is_symlink() and not target.is_symlink() and target.read_bytes() == b"whole"
    assert [*(tmp_path / "disk").iterdir()] == [target]


def test_equal_content_is_equal_bytes(tmp_path: Path) -> None:
    write_sealed(tmp_path / "x", ARRAYS, {"b": 1, "a": 2})
    write_sealed(tmp_path / "y", dict(reversed(ARRAYS.items())), {"a": 2, "b": 1})
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    write_sealed(tmp_path / "x", ARRAYS, {"frames": 3})
    whole = (tmp_path / "x").read_bytes()
    for seed in range(300):
        random = Random(seed)
        data = bytearray(whole)
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        (tmp_path / "y").write_bytes(data)
        with pytest.raises(DamagedError):
            read_sealed(tmp_path / "y")


@pytest.mark.parametrize("keep", [0, 4, 8, 100, -1])
def test_a_cut_file_is_noticed(tmp_path: Path, keep: int) -> None:
    write_sealed(tmp_path / "x", ARRAYS, {})
    (tmp_path / "y").write_bytes((tmp_path / "x").read_bytes()[:keep])
    with pytest.raises(DamagedError):
        read_sealed(tmp_path / "y")


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomic(tmp_path / "x", b"old")

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fmcvqa.files.os.fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
