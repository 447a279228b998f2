"""Freed memory is kept while batches follow on each other, and given back afterwards."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fmcvqa.memory import apart

# Eight arrays of 16 MiB at once, touched and freed, ten times; prints pages fetched meanwhile and MiB held at the end.
SCRIPT = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
import numpy as np
from fmcvqa.memory import kept_memory

def mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

def batch():
    arrays = [np.empty(16 << 20, np.uint8) for _ in range(8)]
    for array in arrays:
        array[:: resource.getpagesize()] = 1

def run(thread):
    thread.submit(batch).result() if thread else batch()

thread = ThreadPoolExecutor(1) if sys.argv[2] == "thread" else None
run(thread)
start = mib()
with kept_memory() if sys.argv[1] == "kept" else nullcontext():
    run(thread)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        run(thread)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(round(mib() - start))
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc has these settings"
)
@pytest.mark.parametrize("where", ["here", "thread"])
def test_pages_are_fetched_once_and_given_back(where: str) -> None:
    found = {}
    for name in ("kept", "not kept"):
        run = subprocess.run([sys.executable, "-c", SCRIPT, name, where], capture_output=True, text=True, check=True)
        found[name] = [int(line) for line in run.stdout.split()]
    assert found["not kept"][0] > 1000  # else there is nothing to show
    assert found["kept"][0] < found["not kept"][0] / 20
    assert found["kept"][1] < (32 if where == "here" else 65)  # of the 128 MiB that were held


def test_vectors_apart_are_copies_that_can_be_written_to_and_outlive_each_other() -> None:
    vectors = {"long": np.arange(5_000, dtype=np.float32), "short": np.full(3, 7, np.float32)}
    kept = apart(vectors)
    vectors["long"][:] = 0
    kept["long"][0] = 9
    short = kept.pop("short")
    assert kept["long"].tolist() == [9, *range(1, 5_000)]
    del kept
    assert short.tolist() == [7, 7, 7]


@pytest.mark.skipif(sys.platform != "linux", reason="only there they are pages of their own")
def test_many_vectors_apart_are_few_mappings() -> None:
    maps = Path("/proc/self/maps")
    before = len(maps.read_text().splitlines())
    kept = [apart({"v": np.ones(1_024, np.float32)}) for _ in range(2_000)]
    assert len(maps.read_text().splitlines()) - before < 200
    assert all(one["v"].sum() == 1_024 for one in kept)
