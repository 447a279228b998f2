"""What the settings past the paper cost in extraction: Gram matrices and pooling by normalisation and by pools.

    python experiments/benchmarks/settings.py                  # on a generated 960x540 clip; a minute or two
    python experiments/benchmarks/settings.py clip.mp4 --taps 3

Each stage runs alone on one chunk of frames, with random weights and all cores to itself. ``ratio`` is a frame's time
through decoding, resizing, network, Gram and pooling with the setting over the same without it, the stages added up as
if none ran beside another. ``--processor-time`` is for machines that others use. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import islice
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch
from extraction import PRECISIONS, SIZES, TAPS, Ours, folder, generate
from machine import described, seconds_of

from fmcvqa.data.preprocess import Preprocess
from fmcvqa.features.gram import NORMALISATIONS, tap_vector
from fmcvqa.features.pooling import PAPER_POOLS, RunningPool

POOLS = (PAPER_POOLS, (*PAPER_POOLS, "std"), (*PAPER_POOLS, "delta"), (*PAPER_POOLS, "std", "delta"))


def measure(clip: Path, taps: tuple[str, ...], options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a frame of each stage as the paper has it, and of Gram and pooling under each setting."""
    ours = Ours(taps, PRECISIONS["fp32"], options)
    stages = ours.stages(clip)
    frames = [np.array(frame) for _, frame in islice(ours.decoder.frames(clip), options.chunk_frames)]
    maps = ours.network(Preprocess()(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)))
    vector_taps, per_frame = ours.network.vector_taps, 1e3 / len(frames)

    def vectors(normalisation: Any) -> dict[str, torch.Tensor]:
        return {tap: tap_vector(m, pooled=tap in vector_taps, normalisation=normalisation) for tap, m in maps.items()}

    gram = {name: per_frame * seconds_of(lambda name=name: vectors(name)) for name in NORMALISATIONS}
    plain, pool = vectors("none"), {}
    for pools in POOLS:
        running = {tap: RunningPool(pools) for tap in maps}
        update = [(running[tap].update, plain[tap]) for tap in maps]
        pool["+".join(pools)] = per_frame * seconds_of(lambda update=update: [add(values) for add, values in update])
    paper = sum(stages[name] for name in ("decode", "resize", "network"))
    paper += gram["none"] + pool["+".join(PAPER_POOLS)]
    more = {name: value - gram["none"] for name, value in gram.items() if name != "none"}
    more |= {name: value - pool["+".join(PAPER_POOLS)] for name, value in list(pool.items())[1:]}
    return {
        "stages_ms": {name: value for name, value in stages.items() if name in ("decode", "resize", "network")},
        "gram_ms": {name: round(value, 3) for name, value in gram.items()},
        "pool_ms": {name: round(value, 3) for name, value in pool.items()},
        "paper_ms": round(paper, 3),
        "ratio": {name: round(1 + value / paper, 4) for name, value in more.items()},
    }


def main() -> None:
    """Measure one set of taps and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path, metavar="CLIP", help="default: a generated one of 960x540")
    parser.add_argument("--taps", type=int, choices=[2, 3], default=2, help="Mixed_5b and Mixed_5c, or avgpool too")
    parser.add_argument("--frames", type=int, default=32, help="of the generated clip")
    parser.add_argument("--chunk-frames", type=int, default=16)
    parser.add_argument("--decoder", default="pyav", choices=["pyav", "decord", "torchcodec"])
    parser.set_defaults(device="cpu")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=False, help="torch.compile")
    parser.add_argument("--processor-time", action="store_true", help="count that of one thread instead of the clock")
    options = parser.parse_args()
    if options.processor_time:
        machine.clock = time.process_time
        torch.set_num_threads(1)
    taps = next(taps for taps in TAPS if len(taps) == options.taps)
    with folder() as scratch:
        clip = options.clip or generate(scratch / "generated.mp4", options.frames, SIZES["540p"])
        found = measure(clip, taps, options)
    for name, value in found["ratio"].items():
        print(f"{name:24s} {value:.3f} of the paper's {found['paper_ms']:.1f} ms a frame", flush=True)
    named = {name: value for name, value in vars(options).items() if name != "clip"}
    print(json.dumps({"benchmark": "settings", "taps": taps, "options": named, "machine": described(), **found}))


if __name__ == "__main__":
    main()
