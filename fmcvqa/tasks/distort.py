"""``fmcvqa distort``: an image-quality set in TID2013's layout from a folder of good photographs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from fmcvqa.data.distorted import LABELS, MEASURED, DistortedSet
from fmcvqa.data.distortions import DISTORTIONS, LEVELS
from fmcvqa.data.photos import Crop, read_offsets
from fmcvqa.errors import EXIT_OK, ConfigError
from fmcvqa.tasks.terminal import Parser, at_least

_EXAMPLES = (
    "fmcvqa distort ~/photos outputs/distorted",
    "fmcvqa distort ~/photos outputs/distorted --reduce --types 1,8,10,11",
    "fmcvqa distort kodak outputs/tid --offsets offsets.csv --labels mos_with_names.txt",
    "fmcvqa finetune data.root=outputs/tid data.expected=2880",
)
_MORE = """Nobody has rated these images: without --labels the set has no mos_with_names.txt. Distorting again
with the same settings finishes what was interrupted."""


def main(argv: Sequence[str]) -> int:
    """Make the set and say what it holds.

    Raises:
        ConfigError: If a flag or a distortion's number cannot be.
        DatasetError: If a photograph, the offsets or the labels cannot be used, or the folder cannot be written.
    """
    options = _parser().parse_args(argv)
    offsets = None if options.offsets is None else read_offsets(options.offsets)
    crop = Crop(_size(options.size), options.reduce, offsets)
    made = DistortedSet(
        options.photos,
        options.out,
        crop=crop,
        distortions=_types(options.types),
        labels=options.labels,
        seed=options.seed,
    )
    made.prepare()
    print(_summary(made, options.labels))
    return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "distort",
        "Distort good photographs in the 24 ways of TID2013 at 5 levels each, in TID2013's layout.",
        examples=_EXAMPLES,
        more=_MORE,
    )
    parser.add_argument("photos", metavar="PHOTOS", type=Path, help="folder of photographs, one reference each")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder of the set: new, empty, or of a run to finish")
    parser.add_argument("--labels", type=Path, metavar="FILE", help='true scores, lines of "MOS i01_01_1.bmp"')
    parser.add_argument("--size", default="512x384", metavar="WxH", help="centre crop, or whole (default: 512x384)")
    parser.add_argument("--reduce", action="store_true", help="shrink each photograph until the crop only just fits")
    parser.add_argument("--offsets", type=Path, metavar="FILE", help="CSV photo,top,left of crops that are not central")
    parser.add_argument("--types", default="all", metavar="N,N", help="distortions by TID2013's numbers (default: all)")
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="of noise and errors (default: 0)")
    return parser


def _size(text: str) -> tuple[int, int] | None:
    width, cross, height = text.partition("x")
    if text == "whole":
        return None
    if not cross or not width.isdecimal() or not height.isdecimal() or min(int(width), int(height)) < 64:
        raise ConfigError(f"--size {text} cannot be", advice="WIDTHxHEIGHT of at least 64 pixels each, or whole")
    return int(height), int(width)


def _types(text: str) -> list[int]:
    if text == "all":
        return list(DISTORTIONS)
    numbers = text.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise ConfigError(f"--types {text} cannot be", advice="numbers from 1 to 24 with commas between, or all")
    return [int(number) for number in numbers]


def _summary(made: DistortedSet, labels: Path | None) -> str:
    lines = [
        f"{len(made)} images of {len(made.photos)} photographs ({len(made.distortions)} types x {len(LEVELS)} levels)"
        f" in {made.root}; {MEASURED} has the PSNR of each"
    ]
    if labels is None:
        lines.append(f"no labels: nobody has rated these images, so there is no {LABELS}; --labels FILE adds it")
    else:
        left = f"; {len(made.unused_labels)} labels of other images left out" if made.unused_labels else ""
        lines.append(f"{LABELS}: {len(made)} labels from {labels}{left}")
    return "\n".join(lines)
