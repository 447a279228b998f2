"""``fmcvqa degrade``: an ordinal video set from clean clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fmcvqa.data.degradations import STRENGTHS, TYPES
from fmcvqa.data.degraded import LABELS, DegradedSet
from fmcvqa.errors import EXIT_OK
from fmcvqa.tasks.clips import find_clips
from fmcvqa.tasks.terminal import Parser, at_least

_EXAMPLES = (
    "fmcvqa degrade ~/clips outputs/degraded",
    "fmcvqa degrade ~/clips outputs/small --types h264,blur,freeze --height 270 --frames 60",
    "fmcvqa sweep table1_konvid1k data=csv data.labels=outputs/degraded/labels.csv "
    "protocol.groups_file=outputs/degraded/labels.csv",
)
_MORE = """The labels are ordinal: 5 less the strength, an order within one source and type. They are no MOS; nobody has
rated these videos. The source is the group, so that groups_file keeps it on one side of a split. Degrading
again with the same settings finishes what was interrupted."""


def main(argv: Sequence[str]) -> int:
    """Make the set and say what it holds.

    Raises:
        ConfigError: If a flag or a type cannot be, or an encoder is missing.
        VideoError: If a clip cannot be read.
        DatasetError: If a clip cannot be used, or the folder cannot be written.
    """
    options = _parser().parse_args(argv)
    clips, _ = find_clips(options.clips)
    for clip in clips:
        if clip.error is not None:
            raise clip.error
    types = TYPES if options.types == "all" else [name.strip() for name in options.types.split(",")]
    made = DegradedSet(
        [clip.path for clip in clips],
        options.out,
        types=types,
        height=options.height,
        frames=options.frames,
        seed=options.seed,
    )
    made.prepare()
    print(
        f"{len(made)} videos of {len(made.sources)} sources ({len(made.types)} types x {len(STRENGTHS)} strengths, and "
        f"the source) in {made.root}\n{LABELS}: an order within source and type, no MOS: nobody has rated these videos"
    )
    return EXIT_OK


def _parser() -> Parser:
    parser = Parser(
        "degrade",
        "Degrade clean clips in known order: codecs, scaling, blur, noise, freezes, shake, flicker, mixtures.",
        examples=_EXAMPLES,
        more=_MORE,
    )
    parser.add_argument("clips", metavar="CLIPS", nargs="+", help="clean clips: files, folders, patterns")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder of the set: new, empty, or of a run to finish")
    parser.add_argument("--types", default="all", metavar="A,B", help=f"some of {', '.join(TYPES)} (default: all)")
    parser.add_argument(
        "--height", type=int, metavar="N", help="shrink higher frames to N lines (default: as they are)"
    )
    parser.add_argument("--frames", type=int, metavar="N", help="the first N frames of each clip (default: all)")
    parser.add_argument(
        "--seed", type=at_least(0), default=0, metavar="N", help="of noise, shake and mixtures (default: 0)"
    )
    return parser
