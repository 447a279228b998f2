"""``fmcvqa report``: the paper's tables and figures from the results of sweeps."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fmcvqa.tasks.terminal import Parser

_EXAMPLES = (
    "fmcvqa sweep table1_konvid1k",
    "fmcvqa report outputs/table1_konvid1k --out reports/table1",
)
_MORE = """Writes report.html, which opens in any browser without network: tables, charts to point at, the worst
predictions with their frames where the videos are where the run found them; and table.md, table.csv, scatter.png,
heatmap.png and splits.png (table3.md and table3.csv for results across datasets); several datasets in one folder each
get their name before the file's.
"""


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = Parser(
        "report",
        "Write the paper's tables and figures from the result.json files of a folder.",
        examples=_EXAMPLES,
        more=_MORE,
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of a sweep, of several, or of one cell")
    parser.add_argument("--out", metavar="DIR2", type=Path, required=True, help="folder to write into")
    parser.add_argument("--no-frames", action="store_true", help="leave the videos' frames out of report.html")
    return parser


def main(argv: Sequence[str]) -> int:
    """Write the report, print its tables and the folder they lie in.

    Args:
        argv: The arguments after ``fmcvqa report``.

    Returns:
        0; everything else is an exception of `fmcvqa.errors` that carries its own exit code.
    """
    arguments = build_parser().parse_args(argv)
    from fmcvqa.report.writing import write_report  # matplotlib: not for --help
    from fmcvqa.tasks.videos import find_videos

    frames = None if arguments.no_frames else find_videos
    files = write_report(arguments.folder, arguments.out, find_videos=frames, progress=sys.stderr.isatty())
    print(files.text)
    print(f"{files.cells} cells; {len(files.paths)} files in {files.out}; open {files.page}")
    return 0
