"""What ``fmcvqa predict --stride N`` saves, and what it costs in accuracy.

    python experiments/benchmarks/stride.py outputs/demo/model.fmcvqa               # on generated clips, a stand-in
    python experiments/benchmarks/stride.py my.fmcvqa clips/*.mp4 --strides 1 2 4   # on your own

Every clip is scored with each stride by the same model in the same run, one decoding process, the model loaded and the
first clip scored once before. ``ratio`` is seconds of stride 1 over seconds of stride N; every frame is decoded at any
stride, so it stays below N. ``difference`` is the mean absolute change of a score against stride 1 and
``srocc`` the rank correlation with it; ``in_interval`` the change as a share of the half width of the model's interval,
that is of what is unknown anyway. For generated clips ``srocc_true`` is the rank correlation with their known MOS. The
last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import described
from scipy.stats import spearmanr

from fmcvqa.data.synthetic import SyntheticKoNViD1k
from fmcvqa.predictor import VideoQualityModel

SECONDS, SIZE = 2.0, (540, 960)


def main() -> None:
    """Score clips with every stride and print what changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model file")
    parser.add_argument("clips", nargs="*", type=Path, help="video files (default: generated ones)")
    parser.add_argument("--strides", nargs="+", type=int, default=[1, 2, 4, 8, 16], help="1 comes first in any case")
    parser.add_argument("--videos", type=int, default=12, help="number of generated clips")
    options = parser.parse_args()
    model = VideoQualityModel.load(options.model)
    with tempfile.TemporaryDirectory() as folder:
        true: list[float] | None = None
        clips = options.clips
        if not clips:
            records = SyntheticKoNViD1k(folder, videos=options.videos, seconds=SECONDS, size=SIZE, seed=1).records()
            clips, true = [record.path for record in records], [record.mos for record in records]
        rows = measure(model, clips, true, sorted({1, *options.strides}))
    show(rows)
    about = {
        "model": model.scale.name,
        "stand_in": true is not None,
        "clips": len(clips),
        "machine": described(),
    }
    print(json.dumps({"ratio": {str(row["stride"]): row["ratio"] for row in rows}, "rows": rows, **about}))


def measure(
    model: VideoQualityModel, clips: Sequence[Path], true: Sequence[float] | None, strides: Sequence[int]
) -> list[dict[str, Any]]:
    """One row per stride, the first of which is 1."""
    model.predict_many(clips[:1], progress=False)  # what happens only once is not counted
    half = None if model.calibration is None else model.calibration.half_width()
    rows: list[dict[str, Any]] = []
    base: np.ndarray | None = None
    for stride in strides:
        started = time.perf_counter()
        found = model.predict_many(clips, stride=stride, progress=False)
        seconds = time.perf_counter() - started
        scores = np.array([one.score for one in found], dtype=np.float64)  # NaN where a clip cannot be read
        base = scores if base is None else base
        change = np.abs(scores - base)
        rows.append(
            {
                "stride": stride,
                "seconds": seconds,
                "frames": sum(one.frames for one in found),
                "ratio": rows[0]["seconds"] / seconds if rows else 1.0,
                "difference": float(change.mean()),
                "largest": float(change.max()),
                "in_interval": None if half is None else float(change.mean() / half),
                "srocc": _ranks(scores, base),
                "srocc_true": None if true is None else _ranks(scores, np.array(true)),
            }
        )
    return rows


def _ranks(a: np.ndarray, b: np.ndarray) -> float | None:
    return float(spearmanr(a, b).statistic) if len(a) > 2 else None


def show(rows: Sequence[dict[str, Any]]) -> None:
    """A table of the rows."""
    columns = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    print("  ".join(f"{name:>11}" for name in columns))
    for row in rows:
        texts = [f"{row[name]:.3f}" if isinstance(row[name], float) else str(row[name]) for name in columns]
        print("  ".join(f"{text:>11}" for text in texts))


if __name__ == "__main__":
    main()
