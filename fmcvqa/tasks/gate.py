"""Hydra with a gate: no config passes that may build what is not on the list, and no secret reaches what it writes.

Hydra offers no place to look at a config before its logging, callbacks and launchers are built from it and its folder
is made, nor one at its own files before they are written. So the functions that every config and every one of its YAML
files go through are wrapped; a worker process of a launcher has this too, since it imports the job's function by name.
A YAML file that cannot be written, as on a full disk, is a warning: Hydra would end the whole multirun.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import wraps
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core import utils as hydra_utils
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from fmcvqa.errors import ConfigError, unknown_name
from fmcvqa.tasks import redaction
from fmcvqa.tasks.settings import check_own
from fmcvqa.tasks.targets import refuse_foreign, refuse_packages

log = logging.getLogger(__name__)
# Nodes that are chosen from the group of another name.
_CHOSEN_AS = {"target": "data@target", "target_features": "features@target_features"}

_compose = ConfigLoaderImpl.load_configuration
_to_yaml = OmegaConf.to_yaml
_save = hydra_utils._save_config
_record = logging.getLogRecordFactory()


@wraps(_compose)
def _checked(self: ConfigLoaderImpl, config_name: str | None, overrides: list[str], *args: Any, **more: Any) -> Any:
    _check_search_path(self, config_name, overrides)
    _check_groups(self, overrides)
    config = _compose(self, config_name, overrides, *args, **more)
    _check_optional(self, overrides)
    refuse_foreign(config)
    check_own(config)  # before Hydra makes a folder of that name
    redaction.learn(config)
    with open_dict(config.hydra):  # a folder may be named by it; Hydra would resolve what it quotes
        name = redaction.redacted(str(config.hydra.job._get_node("override_dirname")._value()))
        config.hydra.job.override_dirname = name.replace("${", "{")
    return config


def _check_search_path(loader: ConfigLoaderImpl, config_name: str | None, overrides: list[str]) -> None:
    for word in overrides:
        if word.lstrip("+~").startswith("hydra.searchpath="):
            value = OmegaConf.create({"given": word.partition("=")[2]}).given
            refuse_packages([part.strip(" '\"") for part in str(value).strip("[]").split(",")])
    primary = loader.repository.load_config(config_name) if config_name else None
    if primary is not None and isinstance(primary.config, DictConfig):
        refuse_packages(OmegaConf.select(primary.config, "hydra.searchpath"))


def _choices(overrides: list[str]) -> Iterator[tuple[Override, list[Any]]]:
    """Each override that may choose options of a group, with what it names."""
    for override in OverridesParser.create().parse_overrides(overrides):
        value = override.value()
        if not (override.is_sweep_override() or override.is_delete() or isinstance(value, dict)):
            yield override, value if isinstance(value, list) else [value]


def _check_groups(loader: ConfigLoaderImpl, overrides: list[str]) -> None:
    """Refuse ``tracker=null``, to Hydra a ValueError without a word about what there is, and ``target=livevqc``."""
    for override, names in _choices(overrides):
        group = override.key_or_group
        if group in _CHOSEN_AS:
            advice = f"{_CHOSEN_AS[group]}={override.value()}"
            raise ConfigError(f"{override.input_line} chooses nothing", advice=advice)
        if loader.repository.group_exists(group) and not (names and all(isinstance(name, str) for name in names)):
            options = loader.repository.get_group_options(group)
            raise ConfigError(f"{override.input_line} names none of {group}", found=", ".join(options))


def _check_optional(loader: ConfigLoaderImpl, overrides: list[str]) -> None:
    """Refuse an option that does not exist of a group that need not be chosen, which to Hydra is none."""
    for override, names in _choices(overrides):
        group = override.key_or_group
        for name in names if loader.repository.group_exists(group) else []:
            if not loader.repository.config_exists(f"{group}/{name}"):
                raise unknown_name(group, name, loader.repository.get_group_options(group), "leave it out")


@wraps(_to_yaml)
def _hidden_yaml(cfg: Any, **options: Any) -> str:
    if isinstance(cfg, DictConfig | ListConfig):
        plain = OmegaConf.to_container(cfg, resolve=bool(options.get("resolve")), enum_to_str=True)
        safe = redaction.redacted(plain)
        if safe != plain:
            cfg = OmegaConf.create(safe)
    return _to_yaml(cfg, **options)


def _hidden_record(*args: Any, **more: Any) -> logging.LogRecord:
    record = _record(*args, **more)
    try:
        text = record.getMessage()
    except (TypeError, ValueError):  # logging itself says what is wrong with it
        return record
    safe = redaction.hidden(text)
    if safe != text:
        record.msg, record.args = safe, ()
    return record


@wraps(_save)
def _saved_if_possible(cfg: DictConfig, filename: str, output_dir: Path) -> None:
    try:
        _save(cfg, filename, output_dir)
    except OSError as error:  # the results carry the config too
        log.warning("%s cannot be written (%s); the job goes on", output_dir / filename, error.strerror)


def install() -> None:
    """Put the gate up; a second call changes nothing."""
    if ConfigLoaderImpl.load_configuration is not _checked:
        ConfigLoaderImpl.load_configuration = _checked  # type: ignore[method-assign]
        OmegaConf.to_yaml = staticmethod(_hidden_yaml)  # type: ignore[method-assign]
        logging.setLogRecordFactory(_hidden_record)
        hydra_utils._save_config = _saved_if_possible
