"""From a command line to Hydra: the primary config, values that need quotes, and errors that end in an exit code."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fmcvqa import configs
from fmcvqa.errors import EXIT_USAGE, ConfigError, unknown_name
from fmcvqa.tasks import job, multirun, redaction
from fmcvqa.tasks.targets import ALLOW, FLAG

_MULTIRUN = ("-m", "--multirun")
_SHOWING = ("-c", "--cfg", "-i", "--info")
_WITH_VALUE = ("-c", "-p", "-cp", "-cn", "-cd", "-i")
_LONG_WITH_VALUE = ("--cfg", "--package", "--config-path", "--config-name", "--config-dir", "--info")


def run(command: str, arguments: Sequence[str]) -> int:
    """Run a research command as Hydra would, with its own config or an experiment's as the primary one.

    Args:
        command: ``finetune``, ``extract``, ``sweep`` or ``fit``.
        arguments: An experiment by path or bare name, Hydra's overrides and flags, in any order.

    Returns:
        The exit code.

    Raises:
        ConfigError: If there is no such experiment, or a config of many jobs is to be shown.
        FmcvqaError: If jobs of a multirun failed.
    """
    words, allowed = _allowed(list(arguments))
    shown = [word for word in words if word.partition("=")[0] in _SHOWING]
    if shown and set(words) & set(_MULTIRUN):
        raise ConfigError(
            f"{shown[0]} shows one job, -m runs many", advice="the same without -m, one value for each key"
        )
    config, words = primary_config(command, words)
    words.sort(key=lambda word: word not in _MULTIRUN)  # Hydra's parser takes it before the overrides only
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come to us, not to Hydra's own printer
    before, sys.argv = sys.argv, ["fmcvqa", *map(quoted, words)]
    os.environ.pop(job.EXPERIMENT, None)
    if config != command:
        os.environ[job.EXPERIMENT] = str(Path(words[words.index("--config-dir") + 1]) / f"{config}.yaml")
    environment, os.environ[ALLOW] = os.environ.get(ALLOW, ""), allowed  # workers of a launcher inherit it
    multirun.begin()
    redaction.forget()
    try:
        hydra.main(version_base="1.3", config_path=str(configs.conf_dir()), config_name=config)(job.JOBS[command])()
    except (HydraException, OmegaConfBaseException) as error:
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        print(f"error: {error}{cause}{_nearest(error)}", file=sys.stderr)
        return EXIT_USAGE
    except SystemExit as end:  # of a job that has said what failed, or of Hydra's own --help
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv, os.environ[ALLOW] = before, environment
    return multirun.end()


def _nearest(error: BaseException) -> str:
    """The nearest key or option to one that does not exist, as advice; nothing where there is none."""
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and isinstance(cause.parent_node, DictConfig):
        name, prefix = str(cause.key), str(cause.full_key).removesuffix(str(cause.key))
        near = difflib.get_close_matches(name, [str(key) for key in cause.parent_node], 1)
        return f"\nTry: {prefix}{near[0]}" if near else ""
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        near = difflib.get_close_matches(name, error.options, 1)
        return f"\nTry: {group}={near[0]}" if near else ""
    return ""


def _allowed(arguments: list[str]) -> tuple[list[str], str]:
    """The arguments without ``--allow-target NAME``, and the names, with those of the environment.

    Raises:
        ConfigError: If it has no name, or a pickle is to be run.
    """
    for word in arguments:
        if word.startswith("--experimental-rerun"):
            raise ConfigError(f"{word} would unpickle a file, which can run any code", advice="the run's own command")
    names = [os.environ.get(ALLOW, "")]
    while FLAG in arguments:
        position = arguments.index(FLAG)
        if position + 1 == len(arguments):
            raise ConfigError(f"{FLAG} names nothing", advice=f"{FLAG} my.module.Class")
        names.append(arguments[position + 1])
        del arguments[position : position + 2]
    return arguments, ",".join(filter(None, names))


def primary_config(command: str, arguments: list[str]) -> tuple[str, list[str]]:
    """The primary config's name, and the arguments without it: an experiment by path or bare name, else the command.

    Raises:
        ConfigError: If there is no such experiment.
    """
    bare = [i for i, word in enumerate(arguments) if word[:1] not in ("-", "+", "~") and "=" not in word]
    flags = _WITH_VALUE + _LONG_WITH_VALUE
    position = next((i for i in bare if not i or arguments[i - 1] not in flags), None)
    if position is None:
        return command, arguments
    word = Path(arguments[position])
    path = word if word.suffix == ".yaml" else configs.experiments_dir() / f"{word}.yaml"
    if not path.is_file():
        path = configs.experiments_dir() / path.name  # experiments/NAME.yaml works outside a checkout too
    if not path.is_file():
        raise unknown_name("experiment", str(word), configs.experiments(), "a path to a YAML file")
    rest = arguments[:position] + arguments[position + 1 :]
    return path.stem, ["--config-dir", str(path.resolve().parent), *rest]


def quoted(argument: str) -> str:
    """A ``key=value`` whose value Hydra's grammar cannot take, such as a path with parentheses, in quotes."""
    key, equals, value = argument.partition("=")
    if argument.startswith("-") or not equals or value[:1] in ("'", '"'):
        return argument
    try:
        OverridesParser.create().parse_override(argument)
        is_path = os.sep in value and Path(value).exists()
    except HydraException:
        is_path = value[:1] not in ("[", "{")
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{escaped}'" if is_path else argument
