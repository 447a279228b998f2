"""``fmcvqa predict``: a score per clip, with what it is worth."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from fmcvqa.data.decoding import OnDamage, make_decoder
from fmcvqa.errors import EXIT_OK, EXIT_SOME_FAILED, ConfigError, FileError
from fmcvqa.files import behind_link, file_digest, refuse_unwritable, write_atomic
from fmcvqa.hub import local_model
from fmcvqa.prediction import Prediction
from fmcvqa.predictor import VideoQualityModel
from fmcvqa.report.clips import clips_page
from fmcvqa.tasks.clips import Clip, find_clips
from fmcvqa.tasks.rows import comma_separated, table
from fmcvqa.tasks.scorefile import ScoreFile
from fmcvqa.tasks.terminal import Parser, at_least, coloured, counted


def main(argv: Sequence[str]) -> int:
    """Score clips; gives 0, or 3 if some could not be read."""
    options = _parser().parse_args(argv)
    if options.html:
        with _page_is_written(options.html):
            refuse_unwritable(options.html)
    options.model = local_model(options.model)
    model = VideoQualityModel.load(options.model)
    clips, again = find_clips(options.clips)
    if not clips:
        raise ConfigError("no clip was named", advice="files, folders, patterns, or - for a list on stdin")
    if again:
        _say(f"{counted(again, 'mention')} of a clip that was named before left out")
    if options.html:
        options.timeline = True  # each second costs nothing more: the pass is the same
    predictions = _score(model, clips, options)
    _print(predictions, model, options)
    if options.html:
        _write_page(predictions, model, options, argv)
    if marked := sum(prediction.damage is not None for prediction in predictions):
        _say(f"{counted(marked, 'clip')} marked as damaged: scored by the frames before the damage")
    failed = [prediction.error for prediction in predictions if prediction.error is not None]
    for error in failed:
        print(coloured(f"error: {error}", "red", sys.stderr), file=sys.stderr)
    return EXIT_SOME_FAILED if failed else EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "predict",
        "Score videos with a model file. Every clip is one row, failures included, with a code.",
        examples=[
            "fmcvqa predict holiday.mp4 --model outputs/demo/model.fmcvqa",
            "fmcvqa predict clips/ 'more/**/*.mov' --model my.fmcvqa --out scores.jsonl --csv > scores.csv",
            "fmcvqa predict clips/ --model my.fmcvqa --html scores.html",
            "find /videos -name '*.mp4' | fmcvqa predict - --model my.fmcvqa --jsonl",
        ],
        more="exit code: 0 all scored, 2 usage, 3 some clips have a code and no score, 4 the model cannot be read",
    )
    parser.add_argument(
        "clips", nargs="+", metavar="PATH", help="video file, folder (with those below it), pattern, or - for stdin"
    )
    parser.add_argument(
        "--model", required=True, metavar="FILE", help="a model that fmcvqa fit wrote, or hf://OWNER/NAME"
    )
    parser.add_argument("--workers", type=at_least(0), default=1, metavar="N", help="decoding processes (default: 1)")
    parser.add_argument(
        "--stride",
        type=at_least(1),
        metavar="N",
        help="use every Nth frame: faster, and another score (default: the model's)",
    )
    parser.add_argument(
        "--damage",
        choices=get_args(OnDamage),
        default="reject",
        help="what a damaged clip gets: no score, or that of its frames before the damage, marked (default: reject)",
    )
    parser.add_argument("--timeline", action="store_true", help="a score for each second too")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="keep each row in this file as JSON lines; run again to go on where it stopped",
    )
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="also a page with frames, a player, each second and what a score is worth; opens without network",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="a header and one row per clip, commas between")
    form.add_argument("--json", action="store_true", help="a JSON list of {path, score, scale, code, interval, ...}")
    form.add_argument("--jsonl", action="store_true", help="the same, one object a line, as soon as it is there")
    return parser


def _score(model: VideoQualityModel, clips: Sequence[Clip], options: argparse.Namespace) -> list[Prediction]:
    """Predictions in the order of the clips; what an earlier run has kept is not scored again."""
    kept = ScoreFile(options.out, _made_by(model, options), damage=options.damage) if options.out else None
    found: dict[Path, Prediction] = {}
    for clip in clips:
        known = (
            Prediction(clip.path, None, model.scale, error=clip.error) if clip.error else kept and kept.known(clip.path)
        )
        if known:
            found[clip.path] = known
    left = [clip.path for clip in clips if clip.path not in found]
    if kept and len(left) < len(clips):
        _say(f"{counted(len(clips) - len(left), 'clip')} of {len(clips)} scored before, in {options.out}")
    show = _in_order(clips, found, options)

    def done(prediction: Prediction) -> None:
        found[prediction.path] = prediction
        if kept:
            kept.add(prediction)
        show()

    show()
    model.predict_many(
        left,
        timeline=options.timeline,
        stride=options.stride,
        damage=options.damage,
        num_workers=options.workers,
        progress=sys.stderr.isatty(),
        done=done,
    )
    if kept:
        kept.finish([clip.path for clip in clips])
    return [found[clip.path] for clip in clips]


def _made_by(model: VideoQualityModel, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "model": file_digest(options.model),
        "decoder": make_decoder(model.recipe.decoder).version(),
        "stride": options.stride or model.recipe.stride,
        "timeline": options.timeline,
    }


def _in_order(clips: Sequence[Clip], found: dict[Path, Prediction], options: argparse.Namespace) -> Callable[[], None]:
    """Prints the lines of ``--jsonl`` that can be printed: a clip's comes when all before it have theirs."""
    waiting = [clip.path for clip in reversed(clips)] if options.jsonl else []

    def show() -> None:
        while waiting and waiting[-1] in found:
            print(json.dumps(found[waiting.pop()].to_dict()), flush=True)

    return show


def _print(predictions: Sequence[Prediction], model: VideoQualityModel, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps([prediction.to_dict() for prediction in predictions], indent=1))
    elif options.csv:
        print(comma_separated(predictions))
    elif not options.jsonl:
        print(table(predictions))
        print(f"scale: {model.scale}; better than: the share of that set's clips with a lower MOS")
        if model.calibration is None:
            print("no interval, percentile and distance: the model file has the format 1; fmcvqa fit writes them")


def _write_page(
    predictions: Sequence[Prediction], model: VideoQualityModel, options: argparse.Namespace, argv: Sequence[str]
) -> None:
    page = clips_page(
        predictions,
        options.html.parent,
        model.scale,
        card=model.card,
        command=shlex.join(["fmcvqa", "predict", *argv]),
        num_workers=max(options.workers, 1),
        progress=sys.stderr.isatty(),
    )
    with _page_is_written(options.html):
        write_atomic(behind_link(options.html), page)
    _say(f"the page is {options.html}")


@contextmanager
def _page_is_written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileError(f"{path} cannot be written ({error.strerror})", advice="another --html") from error


def _say(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)
