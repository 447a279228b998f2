"""Parts of a batch in threads: the same results in order, in the caller's modes; errors and forks change nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
import torch

from fmcvqa.threads import alone, begin, in_threads


@pytest.fixture(autouse=True, params=[1, 2, 5])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_come_in_order_and_torchs_threads_are_divided(threads: int) -> None:
    def work(part: int) -> tuple[int, int]:
        return part, torch.get_num_threads()

    for parts in (range(0), range(1), range(4), range(9)):
        each = threads // max(1, min(threads, len(parts)))
        assert in_threads(work, parts) == [(part, each) for part in parts]
    assert torch.get_num_threads() == threads
    born_later: list[int] = []
    thread = threading.Thread(target=lambda: born_later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert born_later == [threads]  # what the workers were told holds for them alone


@pytest.mark.parametrize("grad, inference", [(True, False), (False, False), (False, True)])
def test_the_callers_modes_hold(grad: bool, inference: bool) -> None:
    with torch.inference_mode(inference), torch.set_grad_enabled(grad):
        rows = torch.zeros(4, 3)  # in inference mode a tensor that may not be written to outside it
        in_threads(lambda k: rows[k].add_(k), range(4))
        modes = in_threads(lambda _: (torch.is_grad_enabled(), torch.is_inference_mode_enabled()), range(4))
    assert rows.tolist() == [[k] * 3 for k in range(4)]
    assert modes == [(grad, inference)] * 4


def test_the_first_error_is_raised_when_all_have_ended(threads: int) -> None:
    ended: list[int] = []

    def work(part: int) -> None:
        if part in (1, 2):
            raise ValueError(f"part {part}")
        ended.append(part)

    with pytest.raises(ValueError, match="part 1"):
        begin(work, range(6))()
    assert sorted(ended) == ([0, 3, 4, 5] if threads > 1 else [0])
    assert in_threads(str, range(2)) == ["0", "1"]


def test_what_was_begun_is_waited_for_later(threads: int) -> None:
    go = threading.Event()
    if threads == 1:
        go.set()  # one thread works where it is asked
    first = begin(lambda _: go.wait(30), range(2))
    second = begin(str, range(3))
    go.set()
    assert second() == ["0", "1", "2"]
    assert first() == [True, True]


def test_alone_takes_one_of_torchs_threads_beside_those_that_work(threads: int) -> None:
    go = threading.Event()
    begun = begin(lambda _: go.wait(30), range(2)) if threads > 1 else None
    with torch.inference_mode():
        found = alone(lambda: (torch.get_num_threads(), torch.is_inference_mode_enabled()))
    go.set()
    assert found == (1, True)
    assert begun is None or begun() == [True, True]
    assert torch.get_num_threads() == threads
    with pytest.raises(ValueError, match="no work"):
        alone(lambda: int("no work"))


def test_a_forked_process_has_threads_of_its_own() -> None:
    assert in_threads(str, range(4)) == ["0", "1", "2", "3"]
    child = os.fork()
    if child == 0:
        os._exit(0 if in_threads(str, range(4)) == ["0", "1", "2", "3"] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
