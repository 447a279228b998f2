"""What the guards cost: extraction through guarded decoding against plain PyAV in this process.

    python experiments/benchmarks/guards.py                 # generated 960x540 clips; some minutes
    python experiments/benchmarks/guards.py clip.mp4

Both feed the same network with random weights, up to Mixed_5b, and pool the same Grams; features must agree bit for
bit. Plain is a loop over ``av.open`` without a check. Guarded is what ``fmcvqa extract`` does: a decoding process with
limits, the walk over the container, strict decoders, forbidden bytes, FFmpeg's log, the balance of frames.
``in_process`` is the same checks without the process, which a child can hide behind the network and this cannot;
``decode_only`` is the checks on decoding alone. ``ratio`` is the median time over plain's. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from machine import described

from fmcvqa.data.decoding import Decoder, PyAVDecoder
from fmcvqa.data.decoding.base import Frame
from fmcvqa.data.records import VideoRecord
from fmcvqa.data.synthetic.clips import encode
from fmcvqa.features.extractor import PooledFeatures
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.features.streaming import extract_features
from fmcvqa.models.inference import InferenceTrunk
from fmcvqa.models.trunk import Trunk

TAPS = ("Mixed_5b",)


@dataclass(frozen=True)
class PlainDecoder:
    """PyAV as its documentation shows it, without any check."""

    name: str = "plain"

    def version(self) -> str:
        """Nothing is recorded under it."""
        return "0"

    def reader_for(self, path: str | Path) -> str:
        """Always ``plain``."""
        return self.name

    def frames(self, path: str | Path, *, stride: int = 1) -> Iterator[tuple[int, Frame]]:
        """All frames as RGB."""
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "SLICE"
            container.streams.video[0].codec_context.thread_count = 1
            for k, frame in enumerate(container.decode(video=0)):
                if k % stride == 0:
                    yield k, frame.to_ndarray(format="rgb24")


def generate(path: Path, frames: int) -> Path:
    """A clip of a moving texture at KoNViD-1k's size."""
    noise = np.random.default_rng(0).integers(0, 256, (540 // 6, 960 // 6, 3), dtype=np.uint8)
    picture = np.kron(noise, np.ones((6, 6, 1), np.uint8))
    moved = (np.roll(picture, 3 * k, axis=1) for k in range(frames))
    path.write_bytes(encode(moved, np.full(frames, 24), 25, (540, 960)))
    return path


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def decode(decoder: Decoder, clips: list[Path]) -> int:
    """Reads all clips; gives the number of frames."""
    return sum(1 for clip in clips for _ in decoder.frames(clip))


def extract(decoder: Decoder, clips: list[Path], trunk: InferenceTrunk, workers: int) -> dict[str, PooledFeatures]:
    """The features of all clips."""
    found: dict[str, PooledFeatures] = {}
    extract_features(
        [VideoRecord(str(k), clip, 0.0) for k, clip in enumerate(clips)],
        trunk,
        FeatureRecipe(taps=TAPS),
        decoder,
        done=lambda pooled: found.update({pooled.video_id: pooled}),
        trainer={"accelerator": "cpu"},
        num_workers=workers,
        progress=False,
    )
    return found


def check_equal(one: dict[str, PooledFeatures], other: dict[str, PooledFeatures]) -> None:
    """Every block the same."""
    assert one.keys() == other.keys()
    for name, pooled in one.items():
        assert all(np.array_equal(values, other[name].blocks[block]) for block, values in pooled.blocks.items())


def measure(clips: list[Path], repeats: int) -> dict[str, Any]:
    """Medians over repeats that take turns, so that the machine's moods meet all alike."""
    trunk = InferenceTrunk(Trunk("inception_v3", TAPS, "none", seed=0))
    plain, guarded = PlainDecoder(), PyAVDecoder()
    check_equal(extract(plain, clips, trunk, 0), extract(guarded, clips, trunk, 1))
    frames = decode(plain, clips)
    work: dict[str, Callable[[], Any]] = {
        "plain": lambda: extract(plain, clips, trunk, 0),
        "guarded": lambda: extract(guarded, clips, trunk, 1),
        "in_process": lambda: extract(guarded, clips, trunk, 0),
        "plain_decode_only": lambda: decode(plain, clips),
        "decode_only": lambda: decode(guarded, clips),
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, each in work.items():
            times[name].append(seconds(each))
    median = {name: statistics.median(values) for name, values in times.items()}
    ratio = {name: median[name] / median["plain"] for name in ("guarded", "in_process")}
    ratio["decode_only"] = median["decode_only"] / median["plain_decode_only"]
    return {"clips": len(clips), "frames": frames, "seconds": times, "ratio": ratio}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path, help="read these instead of generated ones")
    parser.add_argument("--frames", type=int, default=50, help="of a generated clip")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clips = options.clips or [generate(Path(folder, f"{k}.mp4"), options.frames) for k in range(3)]
        found = measure(clips, options.repeats)
    for name, value in found["ratio"].items():
        print(f"{name}: {100 * (value - 1):+.1f} %")
    print(json.dumps({**found, "machine": described()}))


if __name__ == "__main__":
    main()
