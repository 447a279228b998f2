"""What a config may have built: names are checked over the whole composed config before anything of it is built.

A config is data that people pass around. Hydra imports and calls whatever its ``_target_`` names, its logging section
calls factories, and resolvers can make new configs while others are read. Here only names on a list pass. Nothing is
imported to find out: our own classes are looked up in their source.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from omegaconf import Container, DictConfig, ListConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fmcvqa.errors import ConfigError

ALLOW = "FMCVQA_ALLOW_TARGETS"  # names a user adds, by commas; inherited by the workers of a launcher
FLAG = "--allow-target"

_PACKAGE = Path(__file__).resolve().parents[1]
MODULES = tuple(
    f"lightning.pytorch.{name}" for name in ("accelerators", "callbacks", "plugins", "profilers", "strategies")
)
CLASSES = (
    "lightning.Trainer",
    "lightning.pytorch.Trainer",
    "hydra.experimental.callbacks.LogJobReturnCallback",
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
)
LOGGING = (
    "logging.StreamHandler",
    "logging.FileHandler",
    "logging.NullHandler",
    "logging.Formatter",
    "logging.handlers.RotatingFileHandler",
    "logging.handlers.TimedRotatingFileHandler",
    "colorlog.ColoredFormatter",
)
_PLUGINS = ("hydra.launcher._target_", "hydra.sweeper._target_")
_STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
_LOADS_CODE = re.compile(
    r"^(LD_|DYLD_|PYTHON)|PATH$|^(BASH_ENV|ENV|PERL5LIB|EDITOR|PAGER)$"
)  # of these variables a child runs what they name
_MAKES_CONFIG = re.compile(r"\$\{\s*oc\.create\b")


def refuse_foreign(config: DictConfig) -> None:
    """Let a composed config pass only if everything it would have built is on the list.

    Args:
        config: A whole config, Hydra's own part included where there is one.

    Raises:
        ConfigError: For the first name that is not, with its place in the config.
    """
    for place, node in _mappings(config, ""):
        if "_target_" in node:
            _check_target(f"{place}._target_".lstrip("."), _value(node, "_target_"))
    hydra = config.get("hydra")
    if isinstance(hydra, DictConfig):
        for part in ("job_logging", "hydra_logging"):
            if isinstance(hydra.get(part), DictConfig):
                _check_logging(f"hydra.{part}", hydra[part])
        for name in map(str, OmegaConf.select(hydra, "job.env_set") or {}):
            if _LOADS_CODE.search(name.upper()):
                raise _refusal("hydra.job.env_set", name, "variables that make no process load code")


def refuse_packages(search_path: object) -> None:
    """Let only folders and Hydra's and our own packages be searched for configs: others would be imported.

    Raises:
        ConfigError: For the first other entry.
    """
    entries = search_path if isinstance(search_path, Sequence | ListConfig) else []
    for entry in map(str, entries):
        package = entry.removeprefix("pkg://")
        own = package.split(".")[0].split("/")[0] in ("fmcvqa", "hydra", "hydra_plugins")
        if entry != package and not own and entry not in _added():
            raise _refusal("hydra.searchpath", entry, "file:// and folders")


def _mappings(node: Any, place: str, seen: dict[int, Any] | None = None) -> Iterator[tuple[str, DictConfig]]:
    """Every mapping below a node with its place, those that interpolations make included, each once."""
    seen = {} if seen is None else seen
    if not isinstance(node, Container) or id(node) in seen or node._is_none() or node._is_missing():
        return
    seen[id(node)] = node  # kept, so that no other gets its id
    if isinstance(node, DictConfig):
        yield place, node
    keys: list[Any] = list(node.keys()) if isinstance(node, DictConfig) else list(range(len(node)))  # type: ignore[arg-type]
    for key in keys:
        raw = node._get_node(key)
        where = f"{place}.{key}".lstrip(".")
        if isinstance(raw, Node) and raw._is_interpolation() and _MAKES_CONFIG.search(str(raw._value())):
            raise _refusal(where, str(raw._value()), "interpolations that make no config")
        child = _value(node, key)
        plain = isinstance(child, dict | list)  # some resolvers give these
        yield from _mappings(OmegaConf.create(child) if plain else child, where, seen)


def _value(node: Any, key: Any) -> Any:
    try:
        return node[key]
    except OmegaConfBaseException:
        return None  # it cannot be had yet; the job looks again


def _check_target(place: str, target: Any) -> None:
    if not isinstance(target, str):
        raise _refusal(place, str(target), "the name of a class")
    module, _, name = target.rpartition(".")
    if target in CLASSES or target in _added() or _is_own(module, name):
        return
    if place in _PLUGINS and target.startswith("hydra_plugins."):
        return  # Hydra takes none but installed plugins there
    found = getattr(import_module(module), name, None) if module in MODULES else None
    if isinstance(found, type) and found.__module__.startswith(("lightning.pytorch.", "lightning.fabric.")):
        return
    raise _refusal(place, target, "fmcvqa's own classes, lightning.Trainer, classes of " + ", ".join(MODULES))


def _is_own(module: str, name: str) -> bool:
    """Whether a module of ours defines this class, or hands on one that another module of ours defines."""
    parts = module.split(".")
    if parts[0] != "fmcvqa" or not all(part.isidentifier() for part in [*parts, name]):
        return False
    path = _PACKAGE.joinpath(*parts[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not file.is_file():
        return False
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return True
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _is_own(node.module, alias.name)
    return False


def _check_logging(place: str, section: DictConfig) -> None:
    """Python's logging configuration calls factories named ``()`` and ``class``, and takes ``ext://`` objects."""
    for where, node in _mappings(section, place):
        for key in map(str, node):
            value = _value(node, key)
            texts = list(map(str, value)) if isinstance(value, ListConfig) else [str(value)]
            if key in ("()", "class") and texts[0] not in (*LOGGING, *_added()):
                raise _refusal(f"{where}.{key}", texts[0], ", ".join(LOGGING))
            for text in texts:
                if text.startswith("ext://") and text not in _STREAMS:
                    raise _refusal(f"{where}.{key}", text, ", ".join(_STREAMS))


def _added() -> list[str]:
    return [name.strip() for name in os.environ.get(ALLOW, "").split(",") if name.strip()]


def _refusal(place: str, name: str, allowed: str) -> ConfigError:
    return ConfigError(
        f"{place} is {name!r}, which a config may not ask for",
        found=f"allowed are {allowed}",
        advice=f"only if you know and trust it: {FLAG} {name}, or {ALLOW}={name} in the environment",
    )
