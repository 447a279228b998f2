"""The decoder torchcodec where it, or the FFmpeg it needs, is missing."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from fmcvqa.data.decoding import TorchCodecDecoder
from fmcvqa.errors import ConfigError

ADVICE = (
    "Try: pip install 'fmcvqa[torchcodec]' and the system's FFmpeg (Debian: apt-get install ffmpeg), or decoder=pyav, "
    "which reads the same frames everywhere"
)


def test_without_torchcodec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    with pytest.raises(ConfigError) as caught:
        TorchCodecDecoder().version()
    assert str(caught.value) == (
        "decoder=torchcodec asks for torchcodec, which cannot be loaded. Found: import of torchcodec halted; None in "
        f"sys.modules. {ADVICE}"
    )


def test_without_ffmpeg_it_can_be_imported_but_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def versions() -> None:
        raise RuntimeError("Could not load libtorchcodec. Likely causes:\n 1. FFmpeg")

    package, core, decoders = (ModuleType(name) for name in ("torchcodec", "torchcodec._core", "torchcodec.decoders"))
    core.get_ffmpeg_library_versions = versions  # type: ignore[attr-defined]
    package._core, package.decoders = core, decoders  # type: ignore[attr-defined]
    for module in (package, core, decoders):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(ConfigError) as caught:
        TorchCodecDecoder().version()
    assert str(caught.value) == (
        f"decoder=torchcodec asks for torchcodec, which cannot be loaded. Found: Could not load libtorchcodec. {ADVICE}"
    )
