"""Videos to frames: three decoders behind one protocol, and child processes that run them; no torch here."""

from collections.abc import Callable

from fmcvqa.data.decoding.base import (
    CHUNK_BYTES,
    MAX_FRAMES,
    MAX_PIXELS,
    MEMORY_BYTES,
    VIDEO_SECONDS,
    Decoder,
    OnDamage,
    check_on_damage,
)
from fmcvqa.data.decoding.decord import DecordDecoder
from fmcvqa.data.decoding.pool import DecodedChunk, DecodePool, FailedVideo
from fmcvqa.data.decoding.pyav import PyAVDecoder
from fmcvqa.data.decoding.torchcodec import TorchCodecDecoder
from fmcvqa.errors import ConfigError

__all__ = [
    "CHUNK_BYTES",
    "MAX_FRAMES",
    "MAX_PIXELS",
    "MEMORY_BYTES",
    "VIDEO_SECONDS",
    "DecodePool",
    "DecodedChunk",
    "Decoder",
    "DecordDecoder",
    "FailedVideo",
    "OnDamage",
    "PyAVDecoder",
    "TorchCodecDecoder",
    "check_on_damage",
    "make_decoder",
]


def make_decoder(decoder: str | Decoder) -> Decoder:
    """The decoder of that name, or the one given.

    Raises:
        ConfigError: If there is no decoder of that name, or this machine cannot run it.
    """
    if isinstance(decoder, str):
        known: dict[str, Callable[[], Decoder]] = {
            "pyav": PyAVDecoder,
            "decord": DecordDecoder,
            "torchcodec": TorchCodecDecoder,
        }
        if decoder not in known:
            raise ConfigError(f"there is no decoder {decoder!r}", found=", ".join(known), advice="decoder=pyav")
        decoder = known[decoder]()
    decoder.version()
    return decoder
