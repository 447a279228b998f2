"""`fmcvqa check`: what is there of a dataset and what is missing, by name."""

from __future__ import annotations

import argparse
import json
from difflib import get_close_matches

from fmcvqa.data.labels import LIVEVQC, TID2013, CSVVideos, KoNViD1k
from fmcvqa.data.records import DatasetReport
from fmcvqa.errors import EXIT_NOT_STARTED, EXIT_OK, ConfigError
from fmcvqa.tasks.terminal import Parser, at_least

FOLDERS: dict[str, type[TID2013] | type[KoNViD1k] | type[LIVEVQC]] = {
    "tid2013": TID2013,
    "konvid1k": KoNViD1k,
    "livevqc": LIVEVQC,
}
NAMES = (*FOLDERS, "csv")

_EXAMPLES = (
    "fmcvqa check konvid1k ~/data/KoNViD_1k",
    'fmcvqa check livevqc "~/data/LIVE Video Quality Challenge (VQC) Database" --limit 5',
    "fmcvqa check csv my_labels.csv --mos-column score --root ~/clips",
)


def main(argv: list[str]) -> int:
    """Print what a dataset folder holds and what it lacks.

    Args:
        argv: The arguments after ``fmcvqa check``.

    Returns:
        0 if the dataset is complete, else 4.

    Raises:
        ConfigError: If there is no dataset of that name.
        DatasetError: If the folder or the CSV file is not there.
    """
    options = _parser().parse_args(argv)
    report = _dataset(options).check()
    print(json.dumps(_as_dict(report), indent=2) if options.json else report.render(options.limit))
    return EXIT_OK if report.ok else EXIT_NOT_STARTED


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "check",
        "Say what is there of a dataset and what is missing, by name.",
        examples=_EXAMPLES,
        more="exit code: 0 complete, 4 not complete or not there",
    )
    parser.add_argument("dataset", metavar="DATASET", help="one of " + ", ".join(NAMES))
    parser.add_argument("root", metavar="ROOT", help="the dataset's folder; for csv the CSV file")
    parser.add_argument("--limit", type=at_least(0), metavar="N", help="print at most N names of a kind (default: all)")
    parser.add_argument("--json", action="store_true", help="print the whole report as one JSON object")
    folder = parser.add_argument_group("tid2013, konvid1k, livevqc")
    folder.add_argument(
        "--expected", type=at_least(0), metavar="N", help="labels there should be (default: the published)"
    )
    csv = parser.add_argument_group("csv")
    csv.add_argument("--root", dest="csv_root", metavar="DIR", help="where relative paths start (default: the CSV's)")
    csv.add_argument("--path-column", metavar="NAME", help="column of the paths (default: path)")
    csv.add_argument("--mos-column", metavar="NAME", help="column of the scores (default: mos)")
    csv.add_argument("--id-column", metavar="NAME", help="column of the ids (default: made from the paths)")
    return parser


def _dataset(options: argparse.Namespace) -> TID2013 | KoNViD1k | LIVEVQC | CSVVideos:
    """The dataset asked for; settings that were not given keep the class's own default."""
    for_csv = {
        "root": options.csv_root,
        "path_column": options.path_column,
        "mos_column": options.mos_column,
        "id_column": options.id_column,
    }
    for_folder = {"expected": options.expected}
    if options.dataset not in NAMES:
        raise _unknown(options.dataset)
    is_csv = options.dataset == "csv"
    given = {key: value for key, value in (for_csv if is_csv else for_folder).items() if value is not None}
    foreign = [key for key, value in (for_folder if is_csv else for_csv).items() if value is not None]
    if foreign:
        flags = ", ".join("--" + key.replace("_", "-") for key in foreign)
        raise ConfigError(f"`fmcvqa check {options.dataset}` takes no {flags}", advice="fmcvqa check --help")
    return CSVVideos(options.root, **given) if is_csv else FOLDERS[options.dataset](options.root, **given)


def _unknown(name: str) -> ConfigError:
    plain = "".join(char for char in name.casefold() if char.isalnum())
    nearest = next(iter(get_close_matches(plain, NAMES, n=1, cutoff=0.4)), "")
    return ConfigError(
        f"there is no dataset {name!r}",
        found=", ".join(NAMES),
        advice=f"fmcvqa check {nearest} ROOT" if nearest else "fmcvqa check csv FILE for a dataset of your own",
    )


def _as_dict(report: DatasetReport) -> dict[str, object]:
    return {
        "name": report.name,
        "root": str(report.root),
        "complete": report.ok,
        "labels": report.labels,
        "files": report.files,
        "expected": report.expected,
        "missing": report.missing,
        "unlabelled": report.unlabelled,
        "problems": report.problems,
    }
