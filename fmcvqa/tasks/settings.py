"""Settings of a config against what takes them: an unknown name or a value of another type is an error with advice.

Hydra passes on whatever it is given, so that ``loader.compiled=no``, a word and as such true, compiled, and a word for
a number ended in a traceback of whatever met it first.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from pydantic import ConfigDict, TypeAdapter, ValidationError

from fmcvqa.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    import lightning

_STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True)
# By name, of whichever command has them.
_OWN: dict[str, Any] = {"name": str, "force": bool, "row": str | None, "output": str, "report": bool}
_OWN |= {"licence": str | None, "shard": str | None, "seed": int, "ckpt_path": str | None, "checkpoint_steps": int}
_PATHS: dict[str, Any] = dict.fromkeys(("data", "outputs", "cache"), str)
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_WORDS |= {Path: "a path", os.PathLike: "a path"}


def build(node: DictConfig) -> Any:
    """What a config node's ``_target_`` makes of the rest of the node, which is checked first if the target is ours.

    Raises:
        ConfigError: If a setting does not exist or has another type.
    """
    given: dict[str, Any] = OmegaConf.to_container(node, resolve=True, throw_on_missing=False)  # type: ignore[assignment]
    target = given.pop("_target_")
    if target.startswith("fmcvqa."):
        known = {name: value for name, value in given.items() if value != "???"}  # of what is missing Hydra tells
        check(str(node._get_full_key(None)), known, get_object(target))
    return instantiate(node)


def trainer_of(node: DictConfig) -> partial[lightning.Trainer]:
    """What makes a Trainer of a config node's settings, which :func:`fmcvqa.trainer.make_trainer` may be given.

    Raises:
        ConfigError: If a setting does not exist, has another type or is out of range, which Lightning might find out in
            mid-training.
    """
    plain: dict[str, Any] = OmegaConf.to_container(node, resolve=True, throw_on_missing=False)  # type: ignore[assignment]
    target = plain.pop("_target_")
    if target == "lightning.Trainer":
        values = {name: value for name, value in plain.items() if "_target_" not in json.dumps(value)}
        check("trainer", values, get_object(target))
        if (epochs := plain.get("check_val_every_n_epoch")) is not None and epochs < 1:  # Lightning would divide by it
            problem = f"trainer.check_val_every_n_epoch is {epochs}"
            raise ConfigError(problem, advice="give a number of at least 1")
    made: partial[lightning.Trainer] = instantiate(node, _partial_=True, _convert_="all")  # callbacks are objects
    return made


def check_own(config: DictConfig) -> None:
    """Check the settings of a config that belong to the command itself, and its paths.

    Raises:
        ConfigError: If one has another type, or what files are named by is empty.
    """
    check("", _plain(config, _OWN), **_OWN)
    paths = _plain(config.get("paths", {}), _PATHS)
    check("paths", paths, **_PATHS)
    named = _plain(config, ["name"]) | {f"paths.{name}": value for name, value in paths.items()}
    if empty := [name for name, value in named.items() if not value.strip()]:
        raise ConfigError(f"{empty[0]} is empty", advice=f"{empty[0]}=NAME")


def _plain(node: DictConfig, names: Iterable[str]) -> dict[str, Any]:
    """Those settings that are there."""
    there = [name for name in names if name in node and not OmegaConf.is_missing(node, name)]
    values = {name: node[name] for name in there}
    return {name: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for name, v in values.items()}


def check(
    place: str,
    given: Mapping[str, Any],
    *takers: Callable[..., Any],
    apart: Collection[str] = (),
    **more: Any,
) -> None:
    """Check settings against the parameters that take them.

    Args:
        place: Where they stand in the config; empty at its top.
        given: They by name, as plain values.
        *takers: Classes or functions; each takes those it has.
        apart: Parameters that a config cannot give.
        **more: Types of settings that none of them takes.

    Raises:
        ConfigError: If a setting does not exist or has another type.
    """
    hints, defaults, any_name = dict(more), dict[str, Any](), False
    for taker in takers:
        found = _hints(taker)
        for name, parameter in inspect.signature(taker).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                any_name = True
            elif parameter.kind is not parameter.VAR_POSITIONAL and name not in apart:
                hints[name] = found.get(name, Any)
                defaults[name] = parameter.default
    prefix = f"{place}." if place else ""
    for name, value in given.items():
        if name not in hints and not any_name:
            raise unknown_name("setting", prefix + name, [prefix + known for known in hints], "leave it out")
        hint = hints.get(name, Any)
        if not _fits(value, hint):
            raise ConfigError(
                f"{prefix}{name} is {json.dumps(value)}, which is not {_told(hint)}",
                advice=_advice(prefix + name, value, hint, defaults.get(name)),
            )


def _advice(setting: str, value: Any, hint: Any, default: Any) -> str:
    if isinstance(value, str) and _fits([value], hint):
        return f"'{setting}=[{value}]'"
    if isinstance(default, bool | int | float | str) and default != "":
        return f"{setting}={default if isinstance(default, str) else json.dumps(default)}, which is the default"
    if isinstance(value, int | float) and _fits(str(value), hint):
        return f"""'{setting}="{value}"', if that is a name"""
    return ""


def _hints(taker: Callable[..., Any]) -> dict[str, Any]:
    """Types of parameters by name; those of a dataclass are its fields', which may come from several modules."""
    fields = hasattr(taker, "__dataclass_fields__") or hasattr(taker, "_fields")
    return get_type_hints(taker.__init__ if isinstance(taker, type) and not fields else taker)  # type: ignore[misc]


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain value is of a type; NaN is of none.

    Words that a ``Literal`` has not are left to who takes them: it says more.
    """
    if isinstance(value, float) and math.isnan(value):
        return False
    try:
        TypeAdapter(hint, config=_STRICT).validate_json(json.dumps(value))
    except ValidationError as error:
        return any(found["type"] == "literal_error" for found in error.errors())
    return True


def _told(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_told, inner)))
    if origin is Literal:
        return " or ".join(map(str, inner))
    if hint is type(None):
        return "null"
    kind = origin or hint
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return "names with values"
    if isinstance(kind, type) and issubclass(kind, Sequence) and kind is not str:
        many = f" of {len(inner)}" if kind is tuple and Ellipsis not in inner else ""
        return f"a list{many} ({_told(inner[0])} each)"
    return _WORDS.get(kind, getattr(kind, "__name__", str(kind)))
