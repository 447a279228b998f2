"""Peak memory of an extraction depends neither on how long a video is (FAULTS, "Load") nor on how many there are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from barcode import write_clip
from tiny import textured

# Everything in one process, so that its peak is the peak of all.
CODE = """
import resource, sys
from pathlib import Path
import torch
from fmcvqa.data.decoding import PyAVDecoder
from fmcvqa.data.records import VideoRecord
from fmcvqa.features.streaming import extract_features
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.models.inference import InferenceTrunk
from fmcvqa.models.trunk import Trunk

backbone, taps, size, threads, compiled, runs = *sys.argv[1:6], sys.argv[6:]
taps, size = tuple(taps.split(",")), int(size)
torch.set_num_threads(int(threads))
network = InferenceTrunk(Trunk(backbone, taps, "none"), compiled_frames=int(compiled))
for clip, videos in zip(runs[::2], map(int, runs[1::2])):
    done = []
    extract_features(
        [VideoRecord(f"clip{k}", Path(clip), 3.0) for k in range(videos)],
        network,
        FeatureRecipe(taps=taps, resize=size, crop=size),
        PyAVDecoder(),
        done=done.append,
        num_workers=0,
        trainer={"accelerator": "cpu"},
        progress=False,
    )
    frames, kept = sum(one.frames for one in done), sum(v.nbytes for one in done for v in one.blocks.values())
    print(frames, kept / 2**20, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


class Peak(NamedTuple):
    """After a run: frames, MiB of its features, and the peak of resident memory so far in MiB."""

    frames: int
    features: float
    resident: float


def peaks(
    backbone: str, taps: str, size: int, *runs: tuple[Path, int], threads: int = 1, compiled: int = 0
) -> list[Peak]:
    """Of one process that extracts each clip so many times in one call, and keeps the features until its end."""
    words = [sys.executable, "-c", CODE, backbone, taps, *map(str, (size, threads, compiled))]
    words += [str(word) for run in runs for word in run]
    done = subprocess.run(words, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stderr
    return [Peak(int(n), float(kept), float(peak)) for n, kept, peak in map(str.split, done.stdout.splitlines())]


def moving(path: Path, frames: int, size: tuple[int, int]) -> Path:
    pictures = textured(16, *size)
    return write_clip(path, (pictures[k % 16] for k in range(frames)), options={"preset": "ultrafast", "g": "64"})


def test_twelve_times_the_length_takes_the_same_memory(tmp_path: Path) -> None:
    clips = [moving(tmp_path / f"{seconds}.mp4", 25 * seconds, (128, 96)) for seconds in (2, 24)]
    runs = [(clip, 1) for clip in (clips[0], *clips)]  # the first once more, for what grows but once
    _, short, long = peaks("squeezenet1_1", "features.3", 32, *runs)
    assert (short.frames, long.frames) == (50, 600)
    assert long.resident < 1.05 * short.resident


@pytest.mark.release
def test_ten_minutes_take_the_memory_of_ten_seconds(tmp_path: Path) -> None:
    clips = [moving(tmp_path / f"{seconds}.mp4", 25 * seconds, (960, 540)) for seconds in (10, 600)]
    _, short, long = peaks("squeezenet1_1", "features.3", 64, *[(clip, 1) for clip in (clips[0], *clips)])
    assert (short.frames, long.frames) == (250, 15_000)
    assert long.resident < 1.05 * short.resident, (short, long)


@pytest.mark.release
def test_the_features_of_many_videos_take_no_more_than_their_own_memory(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    clip = moving(tmp_path / "clip.mp4", 96, (960, 540))
    few, many = peaks("inception_v3", "Mixed_5b,Mixed_5c", 299, (clip, 5), (clip, 30), threads=2, compiled=16)
    more = many.resident - few.resident
    figure(f"{many.features:.0f} MiB of features take {more:.0f} MiB more than {few.features:.0f}")
    assert (few.frames, many.frames) == (480, 2_880)
    assert more < many.features + 0.05 * few.resident


@pytest.mark.release
@pytest.mark.parametrize(("threads", "compiled", "limit"), [(1, 0, 1.5), (2, 0, 1.5), (2, 16, 1.65)])
@pytest.mark.parametrize("size", [(1920, 1080), (960, 540)], ids=["1080p", "540p"])
def test_the_whole_network_stays_below_one_and_a_half_gigabytes_and_a_little_more_compiled(
    size: tuple[int, int], threads: int, compiled: int, limit: float, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    clip = moving(tmp_path / "clip.mp4", 50, size)
    taps = "Mixed_5b,Mixed_5c,avgpool"
    [peak] = peaks("inception_v3", taps, 299, (clip, 1), threads=threads, compiled=compiled)
    figure(f"{peak.resident / 1e9 * 2**20:.2f} GB")
    assert peak.frames == 50
    assert peak.resident < limit * 1e9 / 2**20, peak


LARGEST = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
sys.exit(code)
"""


@pytest.mark.release
@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_no_process_of_the_command_takes_one_and_a_half_gigabytes_at_1080p(
    precision: str, compiled: bool, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    moving(tmp_path / "clip.mp4", 50, (1920, 1080))
    (tmp_path / "labels.csv").write_text("path,mos\nclip.mp4,3.0\n")
    words = [sys.executable, "-c", LARGEST, sys.executable, "-m", "fmcvqa", "extract", "data=csv"]
    words += [f"data.labels={tmp_path / 'labels.csv'}", "model.weights=none", f"recipe.precision={precision}"]
    words += [f"paths.cache={tmp_path / 'cache'}", f"paths.outputs={tmp_path / 'out'}", f"loader.compiled={compiled}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stderr
    peak = float(done.stdout)
    figure(f"{peak / 1e9 * 2**20:.2f} GB")
    assert peak < 1.5e9 / 2**20
