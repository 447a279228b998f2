"""How much damage is found, per container and kind, and how often a healthy clip is refused (R)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from barcode import write_clip
from damage import CONTAINERS, LARGE, OTHERS, VPX, X265, damaged, digests, moving, salvaged, source, tally

pytestmark = pytest.mark.faults

# The least share of small damage that is found, by clip: (32 bytes of noise, one flipped bit). VP8 and HEVC without
# picture hashes have nothing in a picture that could contradict it.
SMALL = {
    "h264.mp4": (0.6, 0.5),
    "h264.mkv": (0.6, 0.5),
    "h264.ts": (0.6, 0.5),
    "h264.mov": (0.6, 0.5),
    "h264.flv": (0.6, 0.5),
    "mpeg4.avi": (0.9, 0.4),
    "vp9.webm": (0.97, 0.97),
    "hevc.mp4": (0.0, 0.0),
    "hevc_hash.mp4": (0.97, 0.97),
    "mpeg2.ts": (0.9, 0.3),
    "mpeg2.mpg": (0.9, 0.3),
    "vp8.webm": (0.0, 0.0),
    "wmv2.asf": (0.6, 0.5),
    "mjpeg.avi": (0.5, 0.0),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage")


@pytest.mark.parametrize("name", CONTAINERS)
def test_large_damage_is_found(name: str, folder: Path, figure: Callable[[str], None]) -> None:
    counts: Counter[str] = Counter()
    for kind in LARGE:
        found = tally(folder, name, kind, range(1000 // len(LARGE)))
        counts += found
        figure(f"{kind}: {found['found']} of {found['found'] + found['missed']}, harmless {found['harmless']}")
    tried = counts["found"] + counts["missed"]
    figure(f"all: {counts['found']} of {tried}")
    assert counts["found"] >= 0.99 * tried


@pytest.mark.parametrize("name", OTHERS)
def test_large_damage_in_other_codecs(name: str, folder: Path, figure: Callable[[str], None]) -> None:
    for kind in LARGE:
        found = tally(folder, name, kind, range(50))
        tried = found["found"] + found["missed"]
        figure(f"{kind}: {found['found']} of {tried}, harmless {found['harmless']}")
        assert found["found"] >= (0.95 if kind == "cut" else 0.5) * tried, kind


@pytest.mark.parametrize("name", SMALL)
def test_small_damage(name: str, folder: Path, figure: Callable[[str], None]) -> None:
    for kind, least in zip(("burst", "flip"), SMALL[name], strict=True):
        found = tally(folder, name, kind, range(100))
        tried = found["found"] + found["missed"]
        figure(f"{kind}: {found['found']} of {tried}, harmless {found['harmless']}")
        assert found["found"] >= least * tried, kind


@pytest.mark.parametrize("name", {**CONTAINERS, **OTHERS})
def test_what_is_used_of_damaged_files(name: str, folder: Path, figure: Callable[[str], None]) -> None:
    """The frames in front of the damage, and none that is not as it was."""
    data, whole = source(folder, name).read_bytes(), digests(source(folder, name))
    path = folder / f"part_{name}"
    counts: Counter[str] = Counter()
    for kind in (*LARGE, "burst"):
        for seed in range(100):
            path.write_bytes(damaged(data, kind, seed))
            given, error = salvaged(path)
            if error is not None:
                counts["refused"] += 1
                counts["used"] += bool(given)
                counts["frames"] += len(given)
                counts["wrong"] += given != whole[: len(given)]
    figure(f"{counts['used']} of {counts['refused']}, {counts['frames']} frames; not as they were in {counts['wrong']}")
    assert counts["wrong"] <= 0.01 * counts["used"]


def test_healthy_clips_are_read(folder: Path, figure: Callable[[str], None]) -> None:
    """A thousand clips that differ in codec, container, size, length, rate, B-frames and key frame distance."""
    recipes = [
        *[{"name": f"clip.{ending}"} for ending in ("mp4", "mkv", "ts", "mov", "flv")],
        {"name": "clip.avi", "codec": "mpeg4"},
        {"name": "clip.webm", "codec": "libvpx-vp9", "options": VPX},
        {"name": "clip8.webm", "codec": "libvpx", "options": VPX},
        {"name": "hevc.mp4", "codec": "libx265", "options": X265},
        {"name": "clip.mpg", "codec": "mpeg2video"},
    ]
    refused: list[str] = []
    for seed in range(1000):
        recipe = dict(recipes[seed % len(recipes)])
        rng = np.random.default_rng(seed)
        path = folder / str(recipe.pop("name"))
        options = {**recipe.pop("options", {}), "g": str(rng.integers(1, 30))}
        if recipe.get("codec") in (None, "mpeg4", "mpeg2video") and path.suffix != ".avi":
            options["bf"] = str(rng.integers(0, 4))
        width, height = (16 * int(value) for value in rng.integers(4, 12, 2))
        count, rate = int(rng.integers(4, 20)), (24, 25, 30, 50)[seed // 10 % 4]
        write_clip(path, moving(count, width, height, seed), rate=rate, options=options, **recipe)
        try:
            assert len(digests(path)) == count
        except Exception as error:
            refused.append(f"{seed} {path.name} {error}")
    figure(f"false alarms: {len(refused)} of 1000")
    assert len(refused) <= 1, refused
