"""``fmcvqa info``: what a model file is, before it is used."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from fmcvqa.errors import EXIT_OK
from fmcvqa.modelfile import read_model_file


def main(argv: Sequence[str]) -> int:
    """Print a model file's record; nothing of the model is built."""
    parser = argparse.ArgumentParser(
        prog="fmcvqa info",
        description="Verify a model file and show how it was made: data, scores with spread, recipe, versions.",
        epilog="example: fmcvqa info outputs/demo/model.fmcvqa",
    )
    parser.add_argument("model", type=Path, metavar="FILE", help="a model that fmcvqa fit wrote")
    arrays, record = read_model_file(parser.parse_args(argv).model)
    numbers = sum(array.size for array in arrays.values())
    print(json.dumps({**record, "numbers": numbers}, indent=1, sort_keys=True))
    return EXIT_OK
