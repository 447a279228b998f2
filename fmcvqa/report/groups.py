"""Which cells belong in one table: the same experiment, dataset or direction, and protocol.

The rows of an ablation may differ in how features are scaled, as long as the splits are the same.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fmcvqa.report.fields import ResultError
from fmcvqa.report.results import Cell, CellResult

_SETTINGS = 3  # the last part of a group's identity
_IN_CELL = {"C", "epsilon", "gamma", "pools", "layers", "kernel"}
_KERNELS_KEPT = ("kernels.folder", "kernels.memory_gib", "kernels.disk_gib")
_SCORELESS = {"name", "force", "paths", "loader", "trainer", "tracker", *_KERNELS_KEPT}
REFERENCE = "paper"  # the row that others are compared with


@dataclass(frozen=True)
class Group:
    """The cells of one table.

    Attributes:
        slug: Tells this group from the others of the same report in file names; empty for a single group.
        results: Its cells, at least one.
        settings: For each cell what tells it from others of the same layers and kernel, e.g. ``C=10``; mostly empty.
            In an ablation the row's name.
    """

    slug: str
    results: tuple[CellResult, ...]
    settings: tuple[str, ...]

    @property
    def first(self) -> CellResult:
        """Any of the cells: experiment, dataset and protocol are the same in all."""
        return self.results[0]

    @property
    def best(self) -> CellResult:
        """The cell with the highest SROCC, then the highest PLCC; NaN counts as lowest."""
        return max(self.results, key=_rank)

    @property
    def ablation(self) -> bool:
        """Whether the cells are rows of an ablation."""
        return all(result.row for result in self.results)

    def reference(self, result: CellResult) -> CellResult | None:
        """The row that a row of an ablation is compared with: same kernel, same layers where there is such a one."""
        same = [one for one in self.results if one.row == REFERENCE and one.cell.kernel == result.cell.kernel]
        near = [one for one in same if one.cell.layer_set == result.cell.layer_set] or same
        return near[0] if len(near) == 1 else None

    @property
    def title(self) -> str:
        """The dataset or the direction, e.g. ``KoNViD-1k -> LIVE-VQC``, and whether it is an ablation or a control."""
        target = self.first.target
        where = self.first.dataset.name if target is None else f"{self.first.dataset.name} -> {target.name}"
        where = f"{where}, ablation" if self.ablation else where
        return f"{where}, labels permuted (control)" if self.first.control else where

    @property
    def protocol_text(self) -> str:
        """The protocol's name and the settings that all cells share, e.g. ``paper (folds=5, seed=0)``."""
        given = {key: value for key, value in self.first.protocol.items() if key != "name" and value is not None}
        shared = {k: v for k, v in given.items() if all(result.protocol.get(k) == v for result in self.results)}
        inside = ", ".join(f"{key}={_short(value)}" for key, value in flatten(shared).items())
        return f"{self.first.protocol['name']} ({inside})" if inside else str(self.first.protocol["name"])


def _rank(result: CellResult) -> tuple[float, float]:
    srocc, plcc = result.srocc, result.scores["plcc"].value
    return (-math.inf if math.isnan(srocc) else srocc, -math.inf if math.isnan(plcc) else plcc)


def _short(value: str) -> str:
    """A hash by its first digits, anything else whole."""
    return value[:12] if len(value) == 64 and set(value) <= set("0123456789abcdef") else value


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted keys and their values as text, sorted by key."""
    flat: dict[str, str] = {}
    for key in sorted(values):
        value = values[key]
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value if isinstance(value, str) else json.dumps(value)
    return flat


def slugify(text: str) -> str:
    """A text as part of a file name: lower case, everything but letters, digits, dots and dashes a dash."""
    kept = "".join(letter if letter.isalnum() or letter in ".-_" else " " for letter in text.lower())
    return "-".join(kept.split()).strip(".-") or "unnamed"


def group_results(results: Iterable[CellResult]) -> list[Group]:
    """Put the cells that belong in one table together, sorted by dataset, experiment and protocol, controls last.

    A control's files are called ``permuted``; it does not change what the others are called.

    Raises:
        ResultError: If two results are of the same cell and nothing in their configurations tells them apart.
    """
    groups: dict[tuple[str, ...], list[CellResult]] = {}
    for result in results:
        groups.setdefault(_identity(result), []).append(result)
    identities = sorted(groups)
    controls = [identity for identity in identities if groups[identity][0].control]
    others = [identity for identity in identities if identity not in controls]
    slugs = dict(zip(others, _slugs(others), strict=True))
    slugs |= {identity: _join("permuted", slug) for identity, slug in zip(controls, _slugs(controls), strict=True)}
    return [
        Group(slugs[identity], tuple(groups[identity]), tuple(_settings(groups[identity])))
        for identity in others + controls
    ]


def _identity(result: CellResult) -> tuple[str, ...]:
    """What must agree within a table, from the most telling to the least."""
    where = result.dataset.name + ("" if result.target is None else f" to {result.target.name}")
    apart = {"name", "scaling"} if result.row and result.target is None else {"name"}
    settings = flatten({key: value for key, value in result.protocol.items() if key not in apart})
    return where, result.name, str(result.protocol["name"]), json.dumps(settings)


def _slugs(identities: Sequence[tuple[str, ...]]) -> list[str]:
    """One file-name prefix per group: the first part in which it differs from others, and more while it must."""
    slugs = dict.fromkeys(identities, "")

    def refine(alike: Sequence[tuple[str, ...]], part: int) -> None:
        if len(alike) < 2 or part > _SETTINGS:
            return
        words = _protocol_words(alike) if part == _SETTINGS else [slugify(identity[part]) for identity in alike]
        for word in dict.fromkeys(words):
            same = [identity for identity, own in zip(alike, words, strict=True) if own == word]
            slugs.update({identity: _join(slugs[identity], word) for identity in same if len(same) < len(alike)})
            refine(same, part + 1)

    refine(identities, 0)
    taken = list(slugs.values())
    return [_join(slug, str(i)) if taken.count(slug) > 1 else slug for i, slug in enumerate(taken, start=1)]


def _join(*parts: str) -> str:
    return "_".join(part for part in parts if part)


def _protocol_words(identities: Sequence[tuple[str, ...]]) -> list[str]:
    """The settings in which protocols of one name differ; the hash of their splits only where nothing else does."""
    settings = [json.loads(identity[_SETTINGS]) for identity in identities]
    differing = _differing(settings)
    told = [key for key in differing if not key.endswith("sha256")] or differing
    return [_join(*(slugify(f"{key}-{_short(flat[key])}") for key in told if key in flat)) for flat in settings]


def _differing(settings: Sequence[Mapping[str, str]]) -> list[str]:
    keys = sorted({key for flat in settings for key in flat})
    return [key for key in keys if len({flat.get(key) for flat in settings}) > 1]


def _cell_settings(cell: Cell) -> dict[str, str]:
    return {"C": str(cell.C), "epsilon": str(cell.epsilon), "gamma": str(cell.gamma), "pools": "+".join(cell.pools)}


def _settings(results: Sequence[CellResult]) -> list[str]:
    """What tells each cell from the others of its layers and kernel; empty where there is one of each."""
    places = [(result.cell.layer_set, result.cell.kernel) for result in results]
    rows = [result.row for result in results]
    if all(rows) and len(set(zip(places, rows, strict=True))) == len(places):
        return rows
    if len(set(places)) == len(places):
        return [""] * len(results)
    texts = _texts([_cell_settings(result.cell) for result in results])
    if len(set(zip(places, texts, strict=True))) < len(results):
        texts = _texts([_cell_settings(result.cell) | own_settings(result) for result in results])
    seen: dict[tuple[frozenset[str], str, str], CellResult] = {}
    for result, text in zip(results, texts, strict=True):
        other = seen.setdefault((result.cell.layer_set, result.cell.kernel, text), result)
        if other is not result:
            problem = f"{other.path} and {result.path} are two results of the same cell, {result.cell.layers_text} "
            advice = "report one folder at a time, or delete the one that is out of date"
            raise ResultError(f"{problem}with {result.cell.kernel}, and their settings are the same", advice=advice)
    return texts


def differing_configuration(results: Sequence[CellResult]) -> list[str]:
    """Keys beyond layers and regressor in which the configurations of a table's cells differ."""
    return _differing([own_settings(result) for result in results])


def own_settings(result: CellResult) -> dict[str, str]:
    """The configuration without what the cell says already, and without what no score depends on."""
    flat = flatten({key: value for key, value in result.config.items() if key not in _SCORELESS})
    return {k: value for k, value in flat.items() if k not in _SCORELESS and k.split(".")[-1] not in _IN_CELL}


def _texts(settings: Sequence[Mapping[str, str]]) -> list[str]:
    differing = _differing(settings)
    return [", ".join(f"{key}={flat[key]}" for key in differing if key in flat) for flat in settings]
