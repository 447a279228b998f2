"""What a benchmark runs on: its name and versions, its clock, and the limit of its arithmetic."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import torch

from fmcvqa.precision import own_precision

CPU = torch.device("cpu")
VERSIONS = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "av")
LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # of threads

clock = time.perf_counter


def described(device: torch.device = CPU) -> dict[str, Any]:
    """What a benchmark ran on and with, for the last line of every benchmark."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    found: dict[str, Any] = {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "limits": {name: os.environ[name] for name in LIMITS if name in os.environ},
        "bfloat16": bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()),
        "versions": {"python": platform.python_version(), "ffmpeg": av.ffmpeg_version_info}
        | {name: version(name) for name in VERSIONS},
    }
    if device.type == "cuda":
        found["gpu"] = {"name": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
    return found


def finish(device: torch.device) -> None:
    """Wait for all that a GPU has been given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], at_least: float = 0.4, *, device: torch.device = CPU) -> float:
    """Seconds of one call, the best of as many as fit."""
    work()
    finish(device)
    best, spent = float("inf"), 0.0
    while spent < at_least:
        start = clock()
        work()
        finish(device)
        spent += (last := clock() - start)
        best = min(best, last)
    return best


def kernel_gflops(dtype: torch.dtype, device: torch.device = CPU) -> dict[str, float]:
    """Billions of operations per second of matrix products and of convolutions, which go through different libraries.

    The best of them is the machine's peak; by name, since a large product alone, which is often meant by it, is slower
    than others on some processors.
    """
    sizes = (512, 2048) if device.type == "cpu" else (4096, 8192)
    found = {}
    with torch.no_grad(), own_precision(device):
        for kernel, side in ((1, 64), (3, 32)):
            maps = torch.randn(4, 512, side, side).to(device, dtype=dtype, memory_format=torch.channels_last)
            convolution = torch.nn.Conv2d(512, 512, kernel, padding=kernel // 2)
            convolution = convolution.to(device, dtype=dtype, memory_format=torch.channels_last)
            flop = 2 * 4 * side**2 * (512 * kernel) ** 2
            seconds = seconds_of(partial(convolution, maps), device=device)
            found[f"convolution {kernel}x{kernel}"] = flop / seconds / 1e9
        for n in sizes:
            a, b = torch.randn(n, n).to(device, dtype), torch.randn(n, n).to(device, dtype)
            found[f"product {n}x{n}"] = 2 * n**3 / seconds_of(partial(torch.matmul, a, b), device=device) / 1e9
    return found
