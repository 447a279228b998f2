"""The network that a config asks for, as extraction needs it; jobs of one command that ask for the same share it."""

from __future__ import annotations

from typing import NamedTuple

from fmcvqa.errors import WeightsError
from fmcvqa.models.inference import InferenceTrunk
from fmcvqa.models.trunk import BatchNormMode, Trunk
from fmcvqa.tasks import multirun


class AskedNetwork(NamedTuple):
    """What a trunk is made of; see :class:`Trunk`."""

    name: str
    taps: tuple[str, ...]
    weights: str
    seed: int
    batchnorm: BatchNormMode

    def fingerprint(self) -> str:
        """That of the trunk.

        Raises:
            ConfigError: If the backbone or a tap is unknown.
            WeightsError: If the weights cannot be had or do not fit.
        """
        known: dict[AskedNetwork, str] = multirun.shared.setdefault("fingerprints", {})
        if self not in known:
            known[self] = self._trunk().fingerprint()
        return known[self]

    def ready(self, precision: str, compiled_frames: int) -> InferenceTrunk:
        """The trunk as it runs, which it is let go for: both would take the memory of the weights twice.

        Raises:
            WeightsError: If the weights are no longer those of the fingerprint, or not finite numbers.
        """
        wanted = (self, precision, compiled_frames)
        made: dict[object, InferenceTrunk] = multirun.shared.setdefault("networks", {})
        if wanted not in made:
            made.clear()
            made[wanted] = InferenceTrunk(self._trunk(), precision, compiled_frames=compiled_frames)
            multirun.shared.pop("trunks")
        return made[wanted]

    def _trunk(self) -> Trunk:
        made: dict[AskedNetwork, Trunk] = multirun.shared.setdefault("trunks", {})
        if self not in made:
            made.clear()
            trunk = Trunk(self.name, self.taps, self.weights, seed=self.seed, batchnorm=self.batchnorm)
            expected = multirun.shared.get("fingerprints", {}).get(self)
            if expected is not None and trunk.fingerprint() != expected:
                problem = f"the weights {self.weights} have changed since this command began"
                raise WeightsError(problem, advice="the same command again, which names features by the new ones")
            made[self] = trunk
        return made[self]
