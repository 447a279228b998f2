"""Lightning's Trainer as commands need it: silent about itself, and what it refuses is an error a user can act on."""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning
from lightning.fabric.plugins import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator

from fmcvqa.errors import ConfigError

_REFUSED = "Lightning refuses these settings of its trainer"
_REFUSALS = (MisconfigurationException, ImportError, RuntimeError, TypeError, ValueError)


def make_trainer(make: Callable[..., lightning.Trainer] = lightning.Trainer, **arguments: Any) -> lightning.Trainer:
    """A Trainer.

    Args:
        make: What makes it of the arguments.
        **arguments: Those of ``lightning.Trainer``.

    Raises:
        ConfigError: If it refuses them: an accelerator that this machine has not, tasks that Slurm was not asked for.
    """
    with quiet():
        try:
            return make(**arguments)
        except _REFUSALS as error:
            raise ConfigError(
                f"{_REFUSED}: {str(error).rstrip('.')}",
                found=", ".join(_accelerators()) + " on this machine",
                advice="trainer.accelerator=auto, which takes the best there is, and trainer.devices=1",
            ) from error


@contextmanager
def refusals_told() -> Iterator[None]:
    """What Lightning itself finds wrong only while it runs is an error a user can act on; what others raise passes.

    Raises:
        ConfigError: Such as for ``trainer.val_check_interval`` above the batches of an epoch.
    """
    try:
        yield
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        plain = type(error) in (MisconfigurationException, RuntimeError, ValueError)  # not a device out of memory
        if not plain or not str(frame.f_globals.get("__name__")).startswith("lightning."):
            raise
        raise ConfigError(f"{_REFUSED}: {' '.join(str(error).split()).rstrip('.')}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing that is meant for Lightning's own users is shown meanwhile."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # for good: its tips also come later
    with warnings.catch_warnings():
        # A job that submitit started is on Slurm without srun, and so is everything on a machine that merely has it.
        warnings.filterwarnings("ignore", message="The `srun` command is available")
        warnings.filterwarnings("ignore", message=".*LeafSpec")  # between Lightning and torch
        yield


def by_itself(**arguments: Any) -> dict[str, Any]:
    """Arguments of a Trainer; with one device, they say too that this process is no rank of a Slurm allocation's tasks.

    Lightning would take every task for a rank, and refuse an allocation of more tasks than devices. Processes that
    extract need not know of each other: they share the store by their claims.
    """
    plugins = listed(arguments.get("plugins"))
    alone = arguments.get("devices", "auto") in (1, "1") and arguments.get("num_nodes", 1) == 1
    if not alone or any(isinstance(plugin, ClusterEnvironment) for plugin in plugins):
        return arguments
    return arguments | {"plugins": [*plugins, LightningEnvironment()]}


def listed(argument: Any) -> list[Any]:
    """What ``callbacks``, ``plugins`` or ``logger`` of a Trainer are given as: several, one, or none (also a bool)."""
    if isinstance(argument, list | tuple):
        return list(argument)
    return [] if argument is None or isinstance(argument, bool) else [argument]


def _accelerators() -> list[str]:
    cuda = CUDAAccelerator.auto_device_count()
    found = ["cpu", f"{cuda} of cuda" if cuda else "", "mps" if MPSAccelerator.is_available() else ""]
    return [name for name in found if name]
