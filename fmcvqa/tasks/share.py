"""``fmcvqa share``: a model file with its card, in a Hugging Face repository or a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fmcvqa.errors import EXIT_OK
from fmcvqa.hub import share
from fmcvqa.tasks.terminal import Parser


def main(argv: Sequence[str]) -> int:
    """Verify a model file, write its card beside it and put both where they are asked for."""
    parser = Parser(
        "share",
        "Put a model file and its card (README.md) into a Hugging Face repository or a folder.",
        examples=[
            "fmcvqa share my.fmcvqa hf://me/my-model --private",
            "fmcvqa share my.fmcvqa handed-on/",
        ],
        more="Then: fmcvqa predict clip.mp4 --model hf://me/my-model",
    )
    parser.add_argument("model", type=Path, metavar="FILE", help="a model that fmcvqa fit wrote")
    parser.add_argument("target", metavar="WHERE", help="hf://OWNER/NAME (needs a login), or a folder")
    parser.add_argument("--private", action="store_true", help="a new repository is for its owner alone")
    options = parser.parse_args(argv)
    print(share(options.model, options.target, private=options.private))
    return EXIT_OK
