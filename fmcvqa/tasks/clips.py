"""Which clips a command line names: files, folders, patterns and a list on stdin, each clip once."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fmcvqa.data.decoding.base import shown
from fmcvqa.errors import VideoError

# By these endings a file in a folder is taken for a video; a file that is named itself may have any.
ENDINGS = frozenset(
    {".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".h264", ".h265", ".hevc", ".ivf", ".m2ts", ".m2v"}
    | {".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".obu", ".ogv", ".rm", ".rmvb", ".ts"}
    | {".vob", ".webm", ".wmv", ".y4m"}
)
LIST = "-"


@dataclass(frozen=True)
class Clip:
    """A file to score, or something that was named and holds none."""

    path: Path
    error: VideoError | None = None


def find_clips(words: Sequence[str]) -> tuple[list[Clip], int]:
    """The clips that were named, in that order, and how many mentions named one of them again.

    A folder stands for every video in it and in the folders below it, by name, hidden ones left out. A word that is no
    file but holds ``*``, ``?`` or ``[`` is a pattern (``**`` for any depth). ``-`` stands for a list of all these on
    stdin, one a line. Names are compared after making them absolute; a link is a clip of its own.

    Args:
        words: What was typed.
    """
    found: dict[str, Clip] = {}
    mentions = 0
    for clip in _expanded(words):
        mentions += 1
        found.setdefault(os.path.abspath(clip.path), clip)  # noqa: PTH100 - resolve() would follow links
    return list(found.values()), mentions - len(found)


def _expanded(words: Iterable[str]) -> Iterator[Clip]:
    for word in words:
        if word == LIST:
            lines = sys.stdin.buffer.read().split(b"\n")  # names are bytes; stdin's encoding may not take them
            yield from _expanded(os.fsdecode(line.rstrip(b"\r")) for line in lines if line.strip())
        elif os.path.lexists(word):
            yield from _file_or_folder(Path(word))
        else:
            matches = sorted(glob.glob(word, recursive=True)) if glob.has_magic(word) else []  # noqa: PTH207 - any root
            for match in matches:
                yield from _file_or_folder(Path(match))
            if not matches:
                yield Clip(Path(word))  # the decoder says what is wrong with it


def _file_or_folder(path: Path) -> Iterator[Clip]:
    yield from _folder(path) if path.is_dir() else [Clip(path)]


def _folder(folder: Path) -> Iterator[Clip]:
    closed: list[Clip] = []

    def refused(error: OSError) -> None:
        path = Path(os.fsdecode(error.filename))
        problem = f"the folder {shown(path)} cannot be looked into ({error.strerror})"
        closed.append(Clip(path, VideoError("E_PERMISSION", problem, advice="give it the right to be read")))

    files: list[Clip] = []
    for here, below, names in os.walk(folder, onerror=refused):
        below[:] = sorted(name for name in below if not name.startswith("."))
        videos = (name for name in sorted(names) if not name.startswith("."))
        files += [Clip(path) for path in (Path(here, name) for name in videos) if path.suffix.lower() in ENDINGS]
    if not files and not closed:
        problem = f"there is no video in the folder {shown(folder)}"
        error = VideoError("E_NO_FILES", problem, advice="name another folder, or the files themselves")
        files = [Clip(folder, error)]
    yield from [*files, *closed]
