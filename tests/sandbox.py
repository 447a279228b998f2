"""An audit hook that notices what reading a file must never do: unpickle, import, run, connect, write."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_FORBIDDEN = (
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.startfile",
    "os.remove",
    "os.rename",
    "os.mkdir",
    "pty.",
    "socket.",
    "urllib.",
    "http.",
    "ftplib.",
    "smtplib.",
    "webbrowser.",
    "pickle.find_class",
    "code.",
    "ctypes.dlopen",
    "shutil.",
    "builtins.input",
)
_seen: list[str] | None = None


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _seen is None:
        return
    if event == "import" and args[0].partition(".")[0] in _ODD:
        _seen.append(f"import {args[0]}")
    elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        _seen.append(f"open {args[0]} {args[1]}")
    elif event.startswith(_FORBIDDEN):
        _seen.append(f"{event} {args!r:.100}")


_ODD = {"antigravity", "this", "gadget", "pickletools", "shelve", "dill", "cloudpickle", "turtle", "webbrowser"}
sys.addaudithook(_hook)  # it can never be taken away; it does nothing outside of watched()


@contextmanager
def watched() -> Iterator[list[str]]:
    """What was done within the block and must not be."""
    global _seen
    _seen = seen = []
    try:
        yield seen
    finally:
        _seen = None
