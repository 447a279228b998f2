"""``fmcvqa info``: what a model file is, before it is used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from fmcvqa.errors import EXIT_OK
from fmcvqa.hub import local_model
from fmcvqa.modelcard import describe
from fmcvqa.modelfile import read_model_file
from fmcvqa.tasks.files import READERS
from fmcvqa.tasks.terminal import Parser


def main(argv: Sequence[str]) -> int:
    """Print a model file's card; nothing of the model is built."""
    parser = Parser(
        "info",
        "Verify a model file and show its card: data, scores with spread, what a score is worth, recipe, versions.",
        examples=["fmcvqa info outputs/demo/model.fmcvqa"],
        more="Also, as JSON: an entry of a store (.safetensors), a checkpoint or weights (.ckpt, .pth), a result.json.",
    )
    parser.add_argument("model", metavar="FILE", help="a model that fmcvqa fit wrote, or hf://OWNER/NAME")
    parser.add_argument("--json", action="store_true", help="everything the file says of itself, for programs")
    options = parser.parse_args(argv)
    other = Path(options.model)
    if other.suffix.lower() in READERS:
        print(json.dumps(READERS[other.suffix.lower()](other), indent=1, sort_keys=True))
        return EXIT_OK
    arrays, record = read_model_file(local_model(options.model))
    if options.json:
        numbers = sum(array.size for array in arrays.values())
        print(json.dumps({**record, "numbers": numbers}, indent=1, sort_keys=True))
    else:
        print(describe(record, arrays), end="")
    return EXIT_OK
