"""``fmcvqa report``: the paper's tables and figures from the results of sweeps."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

_EXAMPLE = """example:
  fmcvqa sweep table1_konvid1k
  fmcvqa report outputs/table1_konvid1k --out reports/table1

writes table.md, table.csv, scatter.png, heatmap.png and splits.png (table3.md and table3.csv for results across
datasets); several datasets in one folder each get their name before the file's.
"""


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="fmcvqa report",
        description="Write the paper's tables and figures from the result.json files of a folder.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of a sweep, of several, or of one cell")
    parser.add_argument("--out", metavar="DIR2", type=Path, required=True, help="folder to write into")
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

    files = write_report(arguments.folder, arguments.out)
    print(files.text)
    print(f"{files.cells} cells; {len(files.paths)} files in {files.out}")
    return 0
