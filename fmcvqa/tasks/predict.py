"""``fmcvqa predict``: a score per clip."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmcvqa.errors import EXIT_OK, EXIT_SOME_FAILED
from fmcvqa.prediction import Prediction, Scale
from fmcvqa.predictor import VideoQualityModel


def main(argv: Sequence[str]) -> int:
    """Score clips; gives 0, or 3 if some could not be read."""
    options = _parser().parse_args(argv)
    model = VideoQualityModel.load(options.model)
    predictions = list(model.predict_many(options.clips, num_workers=options.workers, progress=sys.stderr.isatty()))
    if options.json:
        print(json.dumps([_row(prediction, model.scale) for prediction in predictions], indent=1))
    elif options.jsonl:
        print("\n".join(json.dumps(_row(prediction, model.scale)) for prediction in predictions))
    else:
        print(_table(predictions, model.scale))
    failed = [prediction.error for prediction in predictions if prediction.error is not None]
    for error in failed:
        print(f"error: {error}", file=sys.stderr)
    return EXIT_SOME_FAILED if failed else EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fmcvqa predict",
        description="Score videos with a model file.",
        epilog="example: fmcvqa predict holiday.mp4 --model outputs/demo/model.fmcvqa",
    )
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="video files")
    parser.add_argument("--model", required=True, type=Path, metavar="FILE", help="a model that fmcvqa fit wrote")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="decoding processes (default: 1)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON list of {path, score, scale, code}")
    form.add_argument("--jsonl", action="store_true", help="the same, one object a line")
    return parser


def _row(prediction: Prediction, scale: Scale) -> dict[str, Any]:
    code = None if prediction.error is None else prediction.error.code
    span = {"name": scale.name, "minimum": scale.minimum, "maximum": scale.maximum, "stand_in": scale.stand_in}
    return {"path": str(prediction.path), "score": prediction.score, "scale": span, "code": code}


def _table(predictions: Sequence[Prediction], scale: Scale) -> str:
    width = max(len(str(prediction.path)) for prediction in predictions)
    lines = [
        f"{prediction.path!s:{width}}  {prediction.error.code if prediction.error else f'{prediction.score:.3f}'}"
        for prediction in predictions
    ]
    return "\n".join([*lines, f"scale: {scale}"])
