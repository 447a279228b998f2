"""What is still good in a damaged file, for whoever allows it (``recipe.damage=mark``, ``predict --damage mark``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fmcvqa.data.decoding.base import Decoder, Frame
from fmcvqa.data.decoding.decord import DecordDecoder
from fmcvqa.data.decoding.probe import refusal
from fmcvqa.data.decoding.pyav import PyAVDecoder
from fmcvqa.data.decoding.structure import Fault
from fmcvqa.data.decoding.torchcodec import TorchCodecDecoder
from fmcvqa.errors import DAMAGE_CODES, ConfigError, VideoError

_OURS = (PyAVDecoder, DecordDecoder, TorchCodecDecoder)
UNSURE = 8  # frames in front of the first sign of damage that may be damaged already; measured in docs/faults.md


@dataclass(frozen=True)
class SalvagingDecoder(PyAVDecoder):
    """PyAV that gives the frames before the damage of a file that it would refuse to open.

    Every frame it gives was decoded without any sign of damage; the error is that of `PyAVDecoder`, at the end instead
    of at the beginning.
    """

    def frames(self, path: str | Path, *, stride: int = 1) -> Iterator[tuple[int, Frame]]:
        """Yields every ``stride``-th frame up to the first sign of damage; see `Decoder`."""
        faults: list[Fault] = []
        try:
            yield from self._read(path, stride, faults, unsure=UNSURE)
        except VideoError as error:
            if not faults or error.code == "E_TOO_LARGE":
                raise
            raise refusal(path, faults[0], self.max_frames) from error
        if faults:
            raise refusal(path, faults[0], self.max_frames)


def salvaging(decoder: Decoder) -> Decoder:
    """What reads damaged files in the place of a decoder; one that is not ours reads them as it can.

    decord and torchcodec conceal damage, and PyAV gives the same pixels.

    Raises:
        ConfigError: If frames are to stay on a GPU, whose pixels nothing else gives.
    """
    if isinstance(decoder, TorchCodecDecoder) and decoder.on_device:
        raise ConfigError(
            f"decoder.device={decoder.device} cannot be asked for the good frames of damaged videos",
            found=f"damage of {', '.join(DAMAGE_CODES)} is told by PyAV alone",
            advice="recipe.damage=reject, or decoder=pyav",
        )
    if isinstance(decoder, _OURS) and type(decoder) in _OURS:
        return SalvagingDecoder(decoder.max_pixels, decoder.max_frames)
    return decoder
