"""How much faster features are extracted than by the authors' pipeline, and how near to the machine's limit.

    python experiments/benchmarks/extraction.py                      # on a generated 960x540 clip; some minutes
    python experiments/benchmarks/extraction.py clip.mp4             # on your own
    python experiments/benchmarks/extraction.py --costs costs.png    # cost against length and resolution instead
    python experiments/benchmarks/extraction.py --device cuda --workers 14 --videos 60 --only 2
    python experiments/benchmarks/extraction.py --device cuda --decoder nvdec --videos 60 --only 2

Both read the same clip in the same run and use the same random weights. The reference
(``authors_pipeline.py``) goes over it; ours extracts ``--videos`` copies into a store, decoding processes, their
start, and the store's fsync included, loading (and compiling) the network not. ``ratio`` is frames per second of ours
over the reference's. ``error`` is the largest difference of a block over its largest value, of the worst block, against
the reference on the same pixels (without JPEG) in float32. ``peak_share`` is the network's arithmetic per second of the
whole run, over the fastest kernel (matrix product or convolution) measured in the precision the network really runs
in; ``kernel_gflops`` has each of them. ``decode_fps`` and ``network_fps`` are those of the same decoding processes
without a network, and of frames on the device turned into pooled vectors, and ``of_slower`` is the whole over the
slower of the two; on a CPU they share its cores. With ``--decoder nvdec`` the pixels, and so ``error``, are that
decoder's. The last line is one JSON object.

A machine that others use slows the reference more than ours, and a ratio taken there flatters us. For such machines
``--processor-time`` counts the processor's time of one thread, everything in this process; what overlaps in the real
run and what a second core adds is then not seen.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import authors_pipeline
import machine
import numpy as np
import torch
from machine import described, finish, kernel_gflops, seconds_of
from scipy import ndimage
from torch.utils.flop_counter import FlopCounterMode

from fmcvqa.data.decoding import Decoder, TorchCodecDecoder, make_decoder
from fmcvqa.data.frames import FrameBatch, VideoFrameDataModule
from fmcvqa.data.preprocess import Preprocess
from fmcvqa.data.records import VideoRecord
from fmcvqa.data.synthetic.clips import encode
from fmcvqa.features.extractor import PooledFeatures
from fmcvqa.features.gram import tap_vector
from fmcvqa.features.pooling import RunningPool
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.features.store import FeatureStore
from fmcvqa.features.streaming import extract_features
from fmcvqa.models.backbones import load_backbone
from fmcvqa.models.folding import folded
from fmcvqa.models.inference import InferenceTrunk
from fmcvqa.models.trunk import Trunk

TAPS = (("Mixed_5b", "Mixed_5c", "avgpool"), ("Mixed_5b", "Mixed_5c"))
PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed"}
SIZES = {"540p": (960, 540), "1080p": (1920, 1080), "4K": (3840, 2160)}
FRAMES_A_MINUTE = 30 * 60


def generate(path: Path, frames: int, size: tuple[int, int], seed: int = 0) -> Path:
    """A clip of a texture that moves over a blurred one, in H.264 as a phone writes it."""
    width, height = size
    rng = np.random.default_rng(seed)
    coarse = ndimage.gaussian_filter(rng.normal(size=(height + 128, width + 128, 3)), (12, 12, 0))
    fine = ndimage.gaussian_filter(rng.normal(size=(height, width, 3)), (1, 1, 0))
    picture = 128 + 45 * coarse / coarse.std()

    def images() -> Iterator[np.ndarray]:
        for k in range(frames):
            shift = round(30 * (1 + np.sin(k / 20)))
            view = picture[shift : shift + height, 2 * shift : 2 * shift + width]
            yield np.clip(view + 12 * fine / fine.std(), 0, 255).astype(np.uint8)

    path.write_bytes(encode(images(), np.full(frames, 27), 30, (height, width)))
    return path


def gflop_a_frame(trunk: Trunk) -> float:
    """Billions of floating-point operations of one frame: of the network as it is folded, before it is arranged."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        folded(trunk)(torch.zeros(1, 3, 299, 299))
    return counter.get_total_flops() / 1e9


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="fmcvqa-benchmark-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


class Ours:
    """Our extraction with one set of taps in one precision, ready to run."""

    def __init__(self, taps: tuple[str, ...], precision: str, options: argparse.Namespace) -> None:
        decoder = TorchCodecDecoder(device="cuda") if options.decoder == "nvdec" else make_decoder(options.decoder)
        trunk = Trunk("inception_v3", taps, "none")
        recipe = FeatureRecipe(taps=taps, precision=precision)
        self.recipe = recipe.bind(
            backbone=trunk.name,
            weights=trunk.fingerprint(),
            decoder=decoder.name,
            decoder_version=decoder.version(),
        )
        self.decoder: Decoder = decoder
        self.options = options
        self.gflop = gflop_a_frame(trunk)
        start = machine.clock()
        frames = options.chunk_frames
        self.device = torch.device(options.device)
        self.network = InferenceTrunk(trunk, precision, compiled_frames=frames if options.compile else 0)
        self.network.to(self.device)(torch.zeros(frames, 3, 299, 299, device=self.device))
        finish(self.device)
        self.ready_seconds = machine.clock() - start

    def run(self, clip: Path, videos: int) -> tuple[float, PooledFeatures, int]:
        """Extract copies into a store; frames per second, the last one's features and the bytes of its entry."""
        with folder() as cache:
            store = FeatureStore(cache, "benchmark", self.recipe)
            records = {f"video{k}": VideoRecord(f"video{k}", clip, 3.0) for k in range(videos)}
            frames, found = 0, list[PooledFeatures]()

            def done(pooled: PooledFeatures) -> None:
                nonlocal frames
                store.write(records[pooled.video_id], pooled.blocks, frames=pooled.frames, reader=pooled.reader)
                frames += pooled.frames
                found.append(pooled)

            start = machine.clock()
            extract_features(
                list(records.values()),
                self.network,
                self.recipe,
                self.decoder,
                done=done,
                num_workers=self.options.workers,
                chunk_frames=self.options.chunk_frames,
                trainer={"accelerator": "gpu" if self.device.type == "cuda" else "cpu", "devices": 1},
                progress=False,
            )
            seconds = machine.clock() - start
            entry = store.path(found[-1].video_id).stat().st_size
            return frames / seconds, found[-1], entry

    def chunks(self, clip: Path, videos: int) -> Iterator[FrameBatch]:
        """The frames of copies as the run's own processes decode them, on the device."""
        frames = VideoFrameDataModule(
            [VideoRecord(f"video{k}", clip, 3.0) for k in range(videos)],
            decoder=self.decoder,
            num_workers=self.options.workers,
            chunk_frames=self.options.chunk_frames,
            preprocess=None,
        )
        for batch in frames.predict_dataloader():
            yield replace(batch, frames=batch.frames.to(self.device, non_blocking=True))

    def alone(self, clip: Path, videos: int) -> dict[str, float]:
        """Frames per second of decoding alone and of all that comes after it alone."""
        start, count = machine.clock(), 0
        for batch in self.chunks(clip, videos):
            count += len(batch.frames)
        finish(self.device)
        decode = count / (machine.clock() - start)
        stream = self.chunks(clip, 1)
        frames, preprocess, pools = next(stream).frames, Preprocess(), self.recipe.tap_pools()
        stream.close()
        self.network.to(self.device)

        def work() -> None:
            for part in self.network.later(preprocess(frames), self._vectors)():
                pools.update(part)

        return {"decode_fps": decode, "network_fps": len(frames) / seconds_of(work, device=self.device)}

    def stages(self, clip: Path) -> dict[str, float]:
        """Milliseconds a frame of each stage alone, with all cores to itself; the store's per video."""
        count, start = 0, machine.clock()
        chunk: list[np.ndarray] = []
        for _, frame in self.decoder.frames(clip):
            count += 1
            if len(chunk) < self.options.chunk_frames:
                chunk.append(np.array(frame))
        decode = (machine.clock() - start) / count
        frames, preprocess = torch.from_numpy(np.stack(chunk)).permute(0, 3, 1, 2).to(self.device), Preprocess()
        self.network.to(self.device)
        inputs = preprocess(frames)
        maps = self.network(inputs)
        vectors = self._vectors(maps)
        pools = {tap: RunningPool() for tap in maps}

        def per_frame(work: Callable[[], object]) -> float:
            return seconds_of(work, device=self.device) / len(chunk)

        named = {
            "decode": decode,
            "resize": per_frame(lambda: preprocess(frames)),
            "network": per_frame(lambda: self.network(inputs)),
            "gram": per_frame(lambda: self._vectors(maps)),
            "pool": per_frame(lambda: [pools[tap].update(vectors[tap]) for tap in maps]),
        }
        with folder() as cache:
            store, record = FeatureStore(cache, "benchmark", self.recipe), VideoRecord("video", clip, 3.0)
            blocks = {(tap, pool): v.cpu().numpy() for tap in maps for pool, v in pools[tap].result().items()}
            named["store_per_video"] = seconds_of(lambda: store.write(record, blocks, frames=1, reader="pyav"))
        return {stage: round(1e3 * seconds, 3) for stage, seconds in named.items()}

    def _vectors(self, maps: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {tap: tap_vector(m, pooled=tap in self.network.vector_taps) for tap, m in maps.items()}


def error_of(found: dict[Any, np.ndarray], expected: dict[Any, np.ndarray]) -> float:
    """Largest difference over largest value of the block, of the worst block."""
    return max(float(np.abs(found[k] - expected[k]).max() / np.abs(expected[k]).max()) for k in expected)


def compare(clip: Path, taps: tuple[str, ...], options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Reference and ours over the same clip, one row a precision."""
    device = torch.device(options.device)
    network = authors_pipeline.pruned(load_backbone("inception_v3", "none"), taps)
    with folder() as scratch:  # what is right, on the CPU
        expected, frames, _ = authors_pipeline.video_features(clip, network, scratch, jpeg=False)
    network.to(device)
    ours = {name: Ours(taps, precision, options) for name, precision in PRECISIONS.items()}
    reference, kept = 0.0, 0
    runs: dict[str, Any] = {}
    kernels: dict[str, dict[str, float]] = {name: {} for name in ours}
    for _ in range(options.rounds):  # in turn, so that a machine that others use is as fast for all
        with folder() as scratch:
            start = machine.clock()
            _, _, kept = authors_pipeline.video_features(clip, network, scratch, device=device)
            reference = max(reference, frames / (machine.clock() - start))
        for name, one in ours.items():
            runs[name] = max(runs.get(name, (0.0,)), one.run(clip, options.videos), key=lambda run: run[0])
            for kernel, gflops in kernel_gflops(one.network.dtype, device).items():
                kernels[name][kernel] = max(kernels[name].get(kernel, 0.0), gflops)
    rows = {}
    for name, one in ours.items():
        speed, pooled, entry = runs[name]
        best = max(kernels[name], key=kernels[name].__getitem__)
        gflop, peak = one.gflop, kernels[name][best]
        alone = one.alone(clip, options.videos)
        rows[name] = {
            "fps": speed,
            **alone,
            "of_slower": speed / min(alone.values()),
            "reference_fps": reference,
            "ratio": speed / reference,
            "error": error_of(pooled.blocks, expected),
            "gflop_a_frame": gflop,
            "peak_gflops": peak,
            "peak_share": speed * gflop / peak,
            "kernel_gflops": kernels[name],
            "computes_in": str(one.network.dtype).removeprefix("torch."),
            "ready_seconds": one.ready_seconds,
            "stages_ms": one.stages(clip),
            "bytes_a_video": entry,
            "reference_bytes_a_video": kept,
        }
        print(
            f"{'+'.join(taps):26s} {name}: {speed:.2f} frames/s, reference {reference:.2f}: {speed / reference:.2f}x, "
            f"error {rows[name]['error']:.1e}, {gflop:.1f} GFLOP a frame, {100 * rows[name]['peak_share']:.0f} % of "
            f"{peak:.0f} GFLOP/s ({rows[name]['computes_in']}, {best}); alone: decoding {alone['decode_fps']:.0f} "
            f"frames/s, the rest {alone['network_fps']:.0f}",
            flush=True,
        )
    return rows


def resolutions(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Seconds per minute of video (30 frames/s) and peak memory at each resolution, three taps in float32."""
    ours, found = Ours(TAPS[0], PRECISIONS["fp32"], options), {}
    with folder() as scratch:
        for name, size in SIZES.items():
            clip = generate(scratch / f"{name}.mp4", options.frames_a_size, size)
            speed = max(ours.run(clip, 1)[0] for _ in range(options.rounds))  # the first one starts what stays
            found[name] = {"seconds_a_minute": FRAMES_A_MINUTE / speed, **ours.stages(clip)}
            stages = ", ".join(f"{k} {v}" for k, v in found[name].items() if k != "seconds_a_minute")
            print(f"{name}: {FRAMES_A_MINUTE / speed:.0f} s per minute of video; ms: {stages}", flush=True)
    return found


def costs(picture: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Cost against length and resolution, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    ours, lengths = Ours(TAPS[1], PRECISIONS["fp32"], options), [30, 60, 120, 240, 480]
    by_length, memory = [], []
    with folder() as scratch:
        ours.run(generate(scratch / "first.mp4", lengths[0], SIZES["540p"]), 1)  # what only the first one pays
        for frames in lengths:
            clip = generate(scratch / f"{frames}.mp4", frames, SIZES["540p"])
            by_length.append(frames / ours.run(clip, 1)[0])
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
            print(f"{frames} frames: {by_length[-1]:.1f} s, peak {memory[-1]:.2f} GiB", flush=True)
    by_size = resolutions(options)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    left.plot(lengths, by_length, "o-", color="#0072B2")
    left.set(xlabel="frames at 960x540", ylabel="seconds (Mixed_5b + Mixed_5c)", ylim=0)
    beside = left.twinx()
    beside.plot(lengths, memory, "s--", color="#D55E00")
    beside.set(ylabel="peak memory so far, GiB (dashed)", ylim=(0, 1.5))
    bottom = np.zeros(len(by_size))
    colours = {"network": "#0072B2", "gram": "#56B4E9", "resize": "#009E73", "decode": "#D55E00"}
    for stage, colour in colours.items():
        values = np.array([row[stage] for row in by_size.values()])
        right.bar(list(by_size), values, bottom=bottom, label=stage, color=colour)
        bottom += values
    right.set(ylabel="ms a frame, stages alone (three taps)")
    right.legend(frameon=False)
    figure.savefig(picture, dpi=110)
    return {"lengths": lengths, "seconds": by_length, "peak_gib": memory, "resolutions": by_size}


@torch.inference_mode()  # as Lightning predicts: a network compiled out of it would be compiled again in a round
def main() -> None:
    """Run both and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path, metavar="CLIP", help="default: a generated one of 960x540")
    parser.add_argument("--frames", type=int, default=96, help="of the generated clip")
    parser.add_argument("--videos", type=int, default=6, help="copies that ours extracts in a row")
    parser.add_argument("--rounds", type=int, default=3, help="of each in turn; the best counts")
    parser.add_argument("--workers", type=int, default=1, help="decoding child processes")
    parser.add_argument("--chunk-frames", type=int, default=16)
    parser.add_argument("--decoder", default="pyav", choices=["pyav", "decord", "torchcodec", "nvdec"])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="of the network, both theirs and ours")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True, help="torch.compile")
    parser.add_argument("--frames-a-size", type=int, default=48, help="of the 540p, 1080p and 4K clips")
    parser.add_argument("--only", type=int, choices=[2, 3], help="one set of taps, without the resolutions")
    parser.add_argument("--costs", type=Path, metavar="PNG", help="plot cost against length and resolution instead")
    parser.add_argument("--processor-time", action="store_true", help="count it instead of the clock: see above")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda, but torch finds no CUDA device (or the driver is older than its CUDA)")
    if options.decoder == "nvdec":
        options.workers = 0  # frames stay where they are decoded
    if options.processor_time:
        machine.clock = time.process_time
        options.workers = 0
        torch.set_num_threads(1)
    named = {name: value for name, value in vars(options).items() if name not in ("clip", "costs")}
    result: dict[str, Any] = {
        "benchmark": "extraction",
        "options": named,
        "machine": described(torch.device(options.device)),
    }
    if options.costs:
        print(json.dumps(result | {"benchmark": "extraction costs", **costs(options.costs, options)}))
        return
    with folder() as scratch:
        clip = options.clip or generate(scratch / "generated.mp4", options.frames, SIZES["540p"])
        sets = [taps for taps in TAPS if options.only in (None, len(taps))]
        rows = {"+".join(taps): compare(clip, taps, options) for taps in sets}
    for field in ("ratio", "error", "peak_share"):
        result[field] = {
            taps: {name: float(f"{row[field]:.4g}") for name, row in by.items()} for taps, by in rows.items()
        }
    result["rows"] = rows
    if options.only is None:
        result["resolutions"] = resolutions(options)
    result["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps(result))


if __name__ == "__main__":
    main()
