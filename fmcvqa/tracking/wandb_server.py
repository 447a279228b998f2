"""The wandb client, and whether its server can be had: asked before a run starts, so that none waits or prompts."""

from __future__ import annotations

import contextlib
import netrc
import os
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def client() -> Any:
    """The wandb module, imported at its first use."""
    # Its own telemetry would hold up the end of a process for 20 s where the server does not answer.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    return wandb


def server() -> str:
    """The address of the server the client is set up for."""
    return str(client().setup().settings.base_url)


def has_key(url: str) -> bool:
    """Whether a key is configured; without one the client would prompt, or refuse."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    files = [os.environ.get("NETRC") or "~/.netrc", "~/_netrc"]
    for path in (Path(file).expanduser() for file in files):
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            return netrc.netrc(path).authenticators(urlsplit(url).hostname or "") is not None
    return False


def unreachable(url: str, seconds: float) -> str:
    """Why a server does not answer within the time, or nothing if it does."""
    answer = [f"no answer within {seconds:g} s"]

    def ask() -> None:
        try:
            urllib.request.urlopen(url, timeout=seconds).close()  # noqa: S310 - the configured server
            answer[0] = ""
        except urllib.error.HTTPError:
            answer[0] = ""  # it answered
        except (OSError, ValueError) as error:
            answer[0] = str(error)

    # Looking up a name knows no time limit: it is waited for from outside.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return answer[0]
