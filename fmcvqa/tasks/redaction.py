"""What looks like a secret is written nowhere: not to Hydra's files, logs, results, dashboards, models and folders.

A secret is the value of a config key, override or environment variable whose name says so, anything that ``oc.env`` or
Hydra's ``env_copy`` fetches from the environment, and the password of an address. Where one would be written stands
``***``, or the interpolation it came from.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

HIDDEN = "***"
_QUOTED = re.compile(r"[\\()\[\]{}:=, \t]")
_SHORTEST = 6  # characters that are replaced inside of longer texts; shorter ones occur by chance
_SECRET = re.compile(
    r"(secret|passwo?r?d|passphrase|token|credential|api[-_]?key|access[-_]?key|private[-_]?key|auth)s?([-_].*)?$"
    r"|(^|[-_])(key|pass|pwd)$",
    re.IGNORECASE,
)
_PAIR = re.compile(r"""([\w@+~/.-]+)(\s*[=:]\s*)((?:'(?:\\.|[^'])*'|"(?:\\.|[^"])*"|[^,\s{}\[\]])+)""")
_ENVIRONMENT = re.compile(r"\$\{\s*oc\.env\s*:")
_ADDRESS = re.compile(r"(\w+\\?://[^/\s:@\\]*)\\?:[^/\s@]+@")

_known: dict[str, str] = {}  # value: what stands in its place


def is_secret(name: str) -> bool:
    """Whether a name, such as ``tracker.api_key`` or ``WANDB_API_KEY``, says that its value is secret."""
    return bool(_SECRET.search(name.rpartition(".")[2]))


def forget() -> None:
    """Know of no secret, as at the start of a command."""
    _known.clear()


def learn(config: DictConfig) -> None:
    """Take in the secrets of a composed config and of the environment, to be hidden wherever they occur from now on."""
    for name, value in os.environ.items():
        if is_secret(name) and name != "PWD":  # a shell's working directory
            _learn(value, HIDDEN)
    copied = [f"hydra.job.env_set.{name}" for name in OmegaConf.select(config, "hydra.job.env_copy") or []]
    for place, text in _leaves(OmegaConf.to_container(config, resolve=False), ""):
        if _of_environment(text):
            _learn(_selected(config, place), text)
        elif is_secret(place) or place in copied:
            _learn(_selected(config, place), HIDDEN)


def recorded(config: DictConfig) -> dict[str, Any]:
    """A config as it may be written down: plain values, interpolations resolved but for those of the environment.

    Numbers that JSON has not, such as the infinity of no limit, are text.
    """
    raw = OmegaConf.to_container(config, resolve=False)
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    written: dict[str, Any] = redacted(_unresolved(raw, plain))
    return written


def redacted(value: Any) -> Any:
    """The same plain value with what looks like a secret hidden; keys stay as they are, overrides are looked into."""
    if isinstance(value, Mapping):
        return {key: _of_key(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    if not isinstance(value, str):
        return value
    return _PAIR.sub(lambda pair: pair[1] + pair[2] + (HIDDEN if is_secret(pair[1]) else pair[3]), hidden(value))


def hidden(text: str) -> str:
    """A text without the secrets that are known, and without passwords in addresses."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, _known[value])
    return _ADDRESS.sub(rf"\1:{HIDDEN}@", text)


def _learn(value: str, instead: str) -> None:
    if len(value) >= _SHORTEST and HIDDEN not in value:
        _known.setdefault(value, instead)
        _known.setdefault(_QUOTED.sub(r"\\\g<0>", value), instead)  # as Hydra lists it among the overrides


def _of_key(name: str, value: Any) -> Any:
    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    if not plain or not is_secret(name):
        return redacted(value)
    return value if _of_environment(value) else HIDDEN


def _of_environment(value: Any) -> bool:
    return isinstance(value, str) and bool(_ENVIRONMENT.search(value))


def _unresolved(raw: Any, plain: Any) -> Any:
    """The plain value, but what comes from the environment as it is written in the config, and ``inf`` as text."""
    if isinstance(raw, dict) and isinstance(plain, dict):
        return {key: _unresolved(raw[key], value) for key, value in plain.items()}
    if isinstance(raw, list) and isinstance(plain, list):
        return [_unresolved(one, other) for one, other in zip(raw, plain, strict=True)]
    if isinstance(plain, float) and not math.isfinite(plain):
        return str(plain)
    return raw if _of_environment(raw) else plain


def _leaves(node: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, f"{place}.{key}".lstrip("."))
    elif isinstance(node, list):
        for k, value in enumerate(node):
            yield from _leaves(value, f"{place}.{k}".lstrip("."))
    else:
        yield place, node


def _selected(config: DictConfig, place: str) -> str:
    try:
        value = OmegaConf.select(config, place)
    except OmegaConfBaseException:
        return ""  # it cannot be had, so it cannot be written
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
