"""Peak memory of an extraction does not depend on how long the video is (FAULTS, "Load")."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from barcode import write_clip
from tiny import textured

# Everything in one process, so that its peak is the peak of all.
CODE = """
import json, resource, sys
from pathlib import Path
import torch
from fmcvqa.data.decoding import PyAVDecoder
from fmcvqa.data.records import VideoRecord
from fmcvqa.features.streaming import extract_features
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.models.trunk import Trunk

backbone, taps, size, threads, clips = *sys.argv[1:5], sys.argv[5:]
taps, size = tuple(taps.split(",")), int(size)
torch.set_num_threads(int(threads))
for clip in clips:
    done = []
    extract_features(
        [VideoRecord("clip", Path(clip), 3.0)],
        Trunk(backbone, taps, "none"),
        FeatureRecipe(taps=taps, resize=size, crop=size),
        PyAVDecoder(),
        done=done.append,
        num_workers=0,
        trainer={"accelerator": "cpu"},
        progress=False,
    )
    print(done[0].frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def peaks(backbone: str, taps: str, size: int, *clips: Path, threads: int = 1) -> list[tuple[int, float]]:
    """Frames of each clip and peak resident memory in MiB after it, of one process that extracts them in turn."""
    words = [sys.executable, "-c", CODE, backbone, taps, str(size), str(threads), *map(str, clips)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stderr
    return [(int(frames), float(mebibytes)) for frames, mebibytes in map(str.split, done.stdout.splitlines())]


def moving(path: Path, frames: int, size: tuple[int, int]) -> Path:
    pictures = textured(16, *size)
    return write_clip(path, (pictures[k % 16] for k in range(frames)), options={"preset": "ultrafast", "g": "64"})


def test_twelve_times_the_length_takes_the_same_memory(tmp_path: Path) -> None:
    clips = [moving(tmp_path / f"{seconds}.mp4", 25 * seconds, (128, 96)) for seconds in (2, 24)]
    _, short, long = peaks("squeezenet1_1", "features.3", 32, clips[0], *clips)  # once more, for what grows but once
    assert (short[0], long[0]) == (50, 600)
    assert long[1] < 1.05 * short[1]


@pytest.mark.release
def test_ten_minutes_take_the_memory_of_ten_seconds(tmp_path: Path) -> None:
    clips = [moving(tmp_path / f"{seconds}.mp4", 25 * seconds, (960, 540)) for seconds in (10, 600)]
    _, short, long = peaks("squeezenet1_1", "features.3", 64, clips[0], *clips)
    assert (short[0], long[0]) == (250, 15_000)
    assert long[1] < 1.05 * short[1], (short, long)


@pytest.mark.release
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [(1920, 1080), (960, 540)], ids=["1080p", "540p"])
def test_the_whole_network_stays_below_one_and_a_half_gigabytes(
    size: tuple[int, int], threads: int, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    clip = moving(tmp_path / "clip.mp4", 50, size)
    [(frames, mebibytes)] = peaks("inception_v3", "Mixed_5b,Mixed_5c,avgpool", 299, clip, threads=threads)
    figure(f"{mebibytes / 1e9 * 2**20:.2f} GB")
    assert frames == 50
    assert mebibytes < 1.5e9 / 2**20, mebibytes
