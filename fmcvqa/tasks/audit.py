"""``fmcvqa audit``: what could make a score say too much, in your own features and labels."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fmcvqa.errors import EXIT_OK, EXIT_SOME_FAILED, DatasetError, FeatureError
from fmcvqa.tasks.terminal import Parser

if TYPE_CHECKING:
    from fmcvqa.regression.audit import Verdict

_MORE = """A matrix without ids goes row by row with the labels. The checks: finite features and labels, enough videos,
constant columns, copies across folds, columns made from the labels; then with the regressor and splits asked for: test
rows are scrambled and nothing that is fitted may change; permuted labels must score about 0.

exit code: 0 nothing found, 3 a check failed"""


def main(argv: Sequence[str]) -> int:
    """Print a verdict per check; gives 0, or 3 if one failed.

    Raises:
        ConfigError: If a flag's value does not exist.
        DatasetError: If the labels cannot be read.
        FeatureError: If the features cannot be read or do not fit the labels.
    """
    options = _parser().parse_args(argv)
    verdicts = []
    for verdict in _verdicts(options):
        verdicts.append(verdict)
        if not options.json:
            print(f"{verdict.finding:8}{verdict.check:28}{verdict.detail}", flush=True)
    failed = sum(verdict.finding == "FAILED" for verdict in verdicts)
    if options.json:
        print(json.dumps([asdict(verdict) for verdict in verdicts], indent=1))
    else:
        print(f"{failed} of {len(verdicts)} checks failed" if failed else f"all {len(verdicts)} checks passed")
    return EXIT_SOME_FAILED if failed else EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "audit",
        "Look in your features and labels for what would make a score say too much.",
        examples=["fmcvqa audit --features my_features.mat --labels my_scores.csv --mos-column mos"],
        more=_MORE,
    )
    parser.add_argument("--features", required=True, type=Path, metavar="FILE", help=".mat, .npz, .npy or .csv")
    parser.add_argument("--array", metavar="NAME", help="the array to read where a file holds several")
    parser.add_argument("--id-column", metavar="NAME", help="column of ids in a .csv of features")
    parser.add_argument("--nonfinite", default="error", choices=["error", "zero"], help="zero puts 0 there")
    parser.add_argument("--labels", required=True, type=Path, metavar="CSV", help="one row per video")
    parser.add_argument("--mos-column", default="mos", metavar="NAME", help="column of the scores (default: mos)")
    parser.add_argument("--label-id-column", metavar="NAME", help="column of ids in the labels")
    parser.add_argument("--groups", type=Path, metavar="FILE", help="which videos must not be split up, as in sweeps")
    parser.add_argument("--kernel", default="linear", choices=["linear", "rbf"], help="of the regressor")
    parser.add_argument("--scaling", default="standard", help="of the features: standard, minmax, none, l2 ...")
    parser.add_argument("--permutations", type=_several, default=20, metavar="N", help="at least 20 (the default)")
    parser.add_argument("--json", action="store_true", help="a JSON list of {check, finding, detail}")
    return parser


def _verdicts(options: argparse.Namespace) -> Iterator[Verdict]:
    from fmcvqa.data.labels import CSVVideos  # here: --help needs none of it
    from fmcvqa.regression.audit import Verdict, audit
    from fmcvqa.regression.protocols import Paper
    from fmcvqa.regression.svr import Cell
    from fmcvqa.tasks.sources import MatrixFeatures

    source = MatrixFeatures(
        options.features, array=options.array, id_column=options.id_column, nonfinite=options.nonfinite
    )
    dataset = CSVVideos(options.labels, mos_column=options.mos_column, id_column=options.label_id_column)
    try:
        labelled = source.open(dataset, _never)
        features = labelled.read()
    except (FeatureError, DatasetError) as error:
        if "finite" not in str(error):
            raise
        yield Verdict("finite numbers", "FAILED", str(error))
        return
    yield Verdict("finite numbers", "ok", f"{len(features)} videos x {features.columns} columns")
    protocol = Paper(repeats=1, scaling=options.scaling, groups_file=options.groups)
    cell = Cell(layers=tuple(source.layers), pools=tuple(source.pools), kernel=options.kernel)

    def show(check: str) -> None:
        if sys.stderr.isatty():
            print(f"checking: {check} ...", file=sys.stderr)

    groups = protocol.groups(features.ids)
    yield from audit(
        features,
        labelled.mos,
        cell,
        protocol,
        groups=None if groups is None else list(groups),
        permutations=options.permutations,
        progress=show,
    )


def _never() -> NoReturn:
    raise NotImplementedError("a matrix needs no extraction")


def _several(text: str) -> int:
    if int(text) < 20:
        raise argparse.ArgumentTypeError("give 20 or more: fewer say nothing of 0")
    return int(text)
