"""Splits of a set of videos, and the file they are exchanged in."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, KFold, ShuffleSplit

from fmcvqa.errors import FeatureError
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.files import write_atomic
from fmcvqa.regression.scaling import Rows

FORMAT = "fmcvqa-splits-1"
_NAMED = 5


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the videos that are trained on, and of those that are tested."""

    train: Rows
    test: Rows


def k_folds(rows: Rows, groups: npt.NDArray[Any] | None, folds: int, repeats: int, seed: int) -> list[Split]:
    """Shuffled k-fold splits of these rows, ``repeats`` times; round r is seeded by ``seed + r``.

    Args:
        rows: Row numbers.
        groups: Group label of every row of the whole set, or None.
        folds: Number of folds.
        repeats: Number of rounds.
        seed: Of the first round.

    Returns:
        ``folds`` splits of each round in turn.

    Raises:
        FeatureError: If there are fewer videos, or groups, than folds.
    """
    have = len(rows) if groups is None else len(np.unique(groups[rows]))
    if have < folds:
        what = "videos" if groups is None else "groups of videos"
        raise FeatureError(f"{have} {what} cannot make {folds} folds", advice="fewer folds, or more videos")
    found: list[Split] = []
    for turn in range(repeats):
        maker = (KFold if groups is None else GroupKFold)(folds, shuffle=True, random_state=seed + turn)
        found += [
            Split(rows[train], rows[test])
            for train, test in maker.split(rows, groups=None if groups is None else groups[rows])
        ]
    return found


def holdouts(rows: Rows, groups: npt.NDArray[Any] | None, fraction: float, rounds: int, seed: int) -> list[Split]:
    """Random splits of these rows with a share of them held out.

    Args:
        rows: Row numbers.
        groups: Group label of every row of the whole set, or None.
        fraction: Share of the videos, or of the groups, that is tested.
        rounds: Number of splits.
        seed: Of all of them.

    Raises:
        FeatureError: If there is a single group.
    """
    if groups is not None and len(np.unique(groups[rows])) < 2:
        raise FeatureError("videos of a single group cannot be split", advice="give more groups, or none")
    maker = (ShuffleSplit if groups is None else GroupShuffleSplit)(rounds, test_size=fraction, random_state=seed)
    return [
        Split(rows[train], rows[test])
        for train, test in maker.split(rows, groups=None if groups is None else groups[rows])
    ]


def splits_digest(splits: Sequence[Split]) -> str:
    """The first 16 hex digits of a SHA-256 over the splits; two cells may be paired only if theirs agree."""
    digest = hashlib.sha256()
    for split in splits:
        for rows in (split.train, split.test):
            digest.update(f"{len(rows)}:".encode() + rows.astype(np.int64).tobytes())
    return digest.hexdigest()[:16]


def write_splits(path: str | Path, ids: Sequence[str], splits: Sequence[Split]) -> None:
    """Write splits as JSON: the videos' ids, and for each split the places of its videos in that list."""
    rows = [{"train": split.train.tolist(), "test": split.test.tolist()} for split in splits]
    write_atomic(Path(path), json.dumps({"format": FORMAT, "videos": list(ids), "splits": rows}).encode())


def read_splits(path: str | Path, ids: Sequence[str], groups: npt.NDArray[Any] | None = None) -> list[Split]:
    """Read splits and find their videos by id.

    Args:
        path: A file of :func:`write_splits`.
        ids: The videos to be split; the file must name the same ones, in any order.
        groups: Group label of each, or None.

    Raises:
        FeatureError: If the file is missing or of another format, names other videos, or has a split that is
            empty, trains on what it tests, or tears a group apart.
    """
    file = Path(path)
    try:
        content = json.loads(file.read_text())
        if content["format"] != FORMAT:
            raise KeyError("format")
        names, rows = [str(name) for name in content["videos"]], list(content["splits"])
        parts = [(_rows(row["train"], len(names)), _rows(row["test"], len(names))) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        advice = f"give a JSON file of the format {FORMAT}"
        raise FeatureError(f"cannot read splits from {file} ({type(error).__name__})", advice=advice) from error
    place = {name: row for row, name in enumerate(ids)}
    if len(names) != len(ids) or set(names) != set(ids):
        odd = sorted(set(names) ^ set(ids))[:_NAMED]
        raise FeatureError(
            f"{file} splits {len(names)} videos, but there are {len(ids)}",
            found=f"only on one side: {', '.join(odd)}",
            advice="use the splits of this very set",
        )
    order = np.array([place[name] for name in names], dtype=np.intp)
    splits = [Split(order[train], order[test]) for train, test in parts]
    if not splits:
        raise FeatureError(f"{file} has no split")
    for number, split in enumerate(splits):
        if not len(split.train) or not len(split.test):
            sizes = f"trains on {len(split.train)} and tests {len(split.test)} videos"
            raise FeatureError(f"split {number} of {file} {sizes}")
    refuse_leaks(splits, groups, f" of {file}")
    return splits


def _rows(values: Sequence[int], count: int) -> Rows:
    if len(set(values)) != len(values) or not all(type(value) is int and 0 <= value < count for value in values):
        raise ValueError("not places of the videos")
    return np.array(values, dtype=np.intp)


def refuse_leaks(splits: Sequence[Split], groups: npt.NDArray[Any] | None, where: str = "") -> None:
    """Refuse splits that train on what they test, however they were made.

    Args:
        splits: The splits.
        groups: Group label of each video, or None.
        where: Put behind the split's number in the message.

    Raises:
        FeatureError: If a split has a video, or a group, on both sides.
    """
    for number, split in enumerate(splits):
        both = np.intersect1d(split.train, split.test)
        if len(both):
            raise FeatureError(f"split {number}{where} trains on {len(both)} of the videos it tests")
        torn = [] if groups is None else np.intersect1d(groups[split.train], groups[split.test]).tolist()
        if torn:
            raise FeatureError(f"split {number}{where} has group {torn[0]} on both sides")


def refuse_copies(features: FeatureMatrix, mos: npt.NDArray[np.float64], splits: Sequence[Split]) -> None:
    """Refuse splits that train on a video and test another one that is the same.

    Two videos count as the same if every feature and the MOS are equal: a file that lists a video twice, whatever it
    calls it.

    Args:
        features: The features.
        mos: ``[videos]``, of each row of theirs.
        splits: The splits of these rows.

    Raises:
        FeatureError: If a split has such a pair on both sides.
    """
    copy_of = np.arange(len(features))
    first: dict[bytes, int] = {}
    for row in _same_start(features, mos):
        digest = hashlib.sha256(mos[row].tobytes())
        for block in features.blocks.values():
            digest.update(np.ascontiguousarray(block[row]).data)
        copy_of[row] = first.setdefault(digest.digest(), row)
    for number, split in enumerate(splits if len(np.unique(copy_of)) < len(features) else ()):
        both = np.intersect1d(copy_of[split.train], copy_of[split.test])
        if len(both):
            names = ", ".join(features.ids[row] for row in np.flatnonzero(copy_of == both[0])[:_NAMED])
            raise FeatureError(
                f"{names} are one video (equal features and MOS), and split {number} trains on it and tests it",
                advice="leave the copies out, or give them one group in protocol.groups_file",
            )


def _same_start(features: FeatureMatrix, mos: npt.NDArray[np.float64]) -> list[int]:
    """Rows whose MOS and first few features another row has too: hashing whole rows of all videos would take longer."""
    found: dict[bytes, list[int]] = {}
    heads = [np.ascontiguousarray(block[:, :4], dtype=np.float64) for block in features.blocks.values()]
    for row in range(len(features)):
        key = b"".join([mos[row].tobytes(), *(head[row].tobytes() for head in heads)])
        found.setdefault(key, []).append(row)
    return [row for rows in found.values() if len(rows) > 1 for row in rows]


def read_groups(path: str | Path, ids: Sequence[str]) -> npt.NDArray[np.str_]:
    """The content group of each video from a CSV file with the columns ``id`` and ``group``.

    Args:
        path: The file; more columns and more videos than asked for are fine.
        ids: The videos.

    Returns:
        ``[videos]``, the group's name of each of ``ids``.

    Raises:
        FeatureError: If the file cannot be read, lacks a column, or has no group, or two, for a video.
    """
    file = Path(path)
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = [(row["id"].strip(), row["group"].strip()) for row in csv.DictReader(stream)]
    except (OSError, ValueError, KeyError, AttributeError, csv.Error) as error:
        advice = "give a CSV file with the columns id and group"
        raise FeatureError(f"cannot read groups from {file} ({type(error).__name__})", advice=advice) from error
    known = dict(rows)
    missing = [name for name in ids if not known.get(name)]
    if missing:
        raise FeatureError(
            f"{file} has no group for {len(missing)} of {len(ids)} videos: {', '.join(missing[:_NAMED])}",
            found=", ".join(list(known)[:_NAMED]) or "no row",
            advice="give every video one group",
        )
    twice = sorted({name for name, group in rows if known[name] != group})
    if twice:
        raise FeatureError(f"{file} gives {', '.join(twice[:_NAMED])} two groups", advice="give every video one")
    return np.array([known[name] for name in ids])
