"""The parts of a batch side by side in threads, each of which computes its part alone.

Torch's own threads share every single operation and wait for the slowest at the end of each, some hundred times a
batch. Beside decoding processes one of them is always late, and on small operations they gain little.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


def in_threads(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """What ``[work(part) for part in parts]`` gives, of parts that need nothing of each other; see :func:`begin`."""
    return begin(work, parts)()


def begin(work: Callable[[Part], Result], parts: Sequence[Part]) -> Callable[[], list[Result]]:
    """Starts on parts that need nothing of each other, behind those begun before.

    Torch's threads are divided between the parts; one part, or one thread, is worked on here and now. The caller's
    gradient and inference modes hold in every thread, its autocasting does not.

    Args:
        work: Called with each part, in any order.
        parts: The parts, of about the same size.

    Returns:
        A function that waits for all parts and gives their results in order, or raises what ``work`` raised of the
        first that failed.
    """
    workers = min(torch.get_num_threads(), len(parts))
    if workers < 2:
        done = [work(part) for part in parts]
        return lambda: done
    one = _in_these_modes(work)
    pool = _pool(workers, torch.get_num_threads() // workers)
    futures = [pool.submit(one, part) for part in parts]

    def results() -> list[Result]:
        wait(futures)
        return [future.result() for future in futures]

    return results


def alone(work: Callable[[], Result]) -> Result:
    """What ``work()`` gives, by a single one of torch's threads, in a thread of its own beside those begun.

    While they keep the processor busy, torch's second thread would begin late, and be waited for, in each operation.
    """
    if torch.get_num_threads() < 2:
        return work()
    one = _in_these_modes(lambda _: work())
    return _pool(1, 1).submit(one, None).result()


def _in_these_modes(work: Callable[[Part], Result]) -> Callable[[Part], Result]:
    grad, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    def one(part: Part) -> Result:
        with torch.inference_mode(inference), torch.set_grad_enabled(grad):
            return work(part)

    return one


@lru_cache(maxsize=8)
def _pool(workers: int, threads: int) -> ThreadPoolExecutor:
    """Workers with so many of torch's threads each."""
    started, here = threading.Barrier(workers + 1), torch.get_num_threads()

    def start() -> None:
        torch.get_num_threads()  # else the first operation would take the number of the whole process again
        torch.set_num_threads(threads)
        started.wait()

    pool = ThreadPoolExecutor(workers, "fmcvqa-compute", initializer=start)
    for _ in range(workers):
        pool.submit(int)
    started.wait()
    torch.set_num_threads(here)  # what a worker sets is also what threads that come later begin with
    return pool


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads stay behind when a process forks
