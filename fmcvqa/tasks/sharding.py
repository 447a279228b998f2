"""One dataset over many jobs (``shard=i/N``) or many ranks of one job (``trainer.devices``)."""

from __future__ import annotations

import atexit
import re
from collections.abc import Sequence
from typing import TypeVar

from torch import distributed

from fmcvqa.errors import ConfigError

T = TypeVar("T")


def shard_of(items: Sequence[T], shard: str | None) -> list[T]:
    """Every N-th item from the i-th on: shards differ by one item at most, and together are all of them once.

    Args:
        items: In an order that every shard sees.
        shard: ``"i/N"`` with i from 1 to N, or None for everything.

    Raises:
        ConfigError: If ``shard`` is of another form.
    """
    if shard is None:
        return list(items)
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", str(shard))
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count:
        raise ConfigError(f"shard is {str(shard)!r}", advice="shard=i/N with i from 1 to N, such as shard=1/8")
    return list(items[number - 1 :: count])


def gathered(items: list[T]) -> list[T]:
    """The items of all ranks, in the order of the ranks; those given where there is only one."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return items
    parts: list[list[T]] = [[] for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(parts, items)
    atexit.unregister(_leave)
    atexit.register(_leave)  # while its threads can still be waited for; Lightning does so for NCCL only
    return [item for part in parts for item in part]


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def speaks() -> bool:
    """Whether this process is the one that tells and writes what all ranks have done."""
    return not (distributed.is_available() and distributed.is_initialized()) or distributed.get_rank() == 0
