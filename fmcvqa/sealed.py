"""Arrays and a JSON record in one safetensors file that notices every change; no pickle anywhere.

Features and models are kept this way. The file's metadata holds the record and a SHA-256 of the record and of each
array, since safetensors itself notices no flipped bit. Files appear whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from fmcvqa.files import write_atomic

Arrays = dict[str, npt.NDArray[Any]]
_FIELD = "fmcvqa"  # the one metadata field
_UNREADABLE = (SafetensorError, ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError)
_LONGEST_HEADER = 100_000_000  # bytes, safetensors' own limit


class DamagedError(Exception):
    """A sealed file whose bytes are not the ones that were written."""


def digest(array: npt.NDArray[Any]) -> str:
    """SHA-256 (hex) over an array's type, shape and bytes."""
    array = np.asarray(array, order="C")
    head = f"{array.dtype.str}{list(array.shape)}".encode()
    return hashlib.sha256(head + array.data.tobytes()).hexdigest()


def write_sealed(path: Path, arrays: Mapping[str, npt.NDArray[Any]], record: Mapping[str, Any]) -> None:
    """Write arrays and a JSON record to one file, atomically."""
    write_atomic(path, _seal({name: np.asarray(array, order="C") for name, array in arrays.items()}, record))


def read_sealed(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and the record of a file, after comparing every digest.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedError: If the file is not as it was written.
    """
    try:
        data = _whole(path)
        content = json.loads(_metadata(data)[_FIELD])
        arrays: Arrays = load(data)
        same = content["sha256"] == _digests(arrays, content["record"]) and data == _seal(arrays, content["record"])
    except _UNREADABLE as error:
        raise DamagedError(f"{path} cannot be read ({type(error).__name__})") from error
    if not same:
        raise DamagedError(f"{path} has changed since it was written")
    return arrays, content["record"]


def _seal(arrays: Arrays, record: Mapping[str, Any]) -> bytes:
    content = {"record": record, "sha256": _digests(arrays, record)}
    # One metadata field only: safetensors writes several in any order, and equal content must be equal bytes.
    return bytes(save(arrays, metadata={_FIELD: json.dumps(content, sort_keys=True, allow_nan=False)}))


def _digests(arrays: Arrays, record: Mapping[str, Any]) -> dict[str, str]:
    text = json.dumps(record, sort_keys=True, allow_nan=False)
    return {name: digest(array) for name, array in arrays.items()} | {"": hashlib.sha256(text.encode()).hexdigest()}


def _whole(path: Path) -> bytes:
    """A file's bytes, if it is a file as long as its header says: a pipe would hang, a sparse terabyte fill memory."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(status.st_size - 8, _LONGEST_HEADER):
            raise ValueError("the header is cut")
        header = json.loads(file.read(length))
        ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
        if 8 + length + max(ends, default=0) != status.st_size:
            raise ValueError("it has another length than its header says")
        file.seek(0)
        return file.read()


def _metadata(data: bytes) -> dict[str, str]:
    """The metadata of a safetensors file: 8 bytes of header length, then a JSON header with ``__metadata__``."""
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise ValueError("the header is cut")
    return dict(json.loads(data[8 : 8 + length])["__metadata__"])
