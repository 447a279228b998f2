"""The paper's Tables I, II and III as data, with a note wherever the paper contradicts itself.

Source: "The Role of Fine-Tuned Feature Map Correlation in Video Quality Assessment" (Asadi, Pourmatin, Mansouri).
The paper's letters A, B and C are the layers ``avgpool``, ``Mixed_5b`` and ``Mixed_5c``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

A, B, C = "avgpool", "Mixed_5b", "Mixed_5c"
PAPER_LAYERS = (A, B, C)
KERNELS = ("linear", "rbf")
BACKBONE = "inception_v3"
K_TO_L = ("KoNViD-1k", "LIVE-VQC")
L_TO_K = ("LIVE-VQC", "KoNViD-1k")

LayerSet = frozenset[str]


@dataclass(frozen=True, slots=True)
class PublishedCell:
    """One published cell: median SROCC and PLCC of 100 splits."""

    srocc: float
    plcc: float


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """Table I or II of the paper.

    Attributes:
        title: The paper's name for the table.
        dataset: The dataset it was measured on.
        cells: 14 cells in the paper's order of layers, by layers and kernel.
        bold: Layers and kernel of the cell the paper prints in bold.
        notes: What to know when reading it, one sentence each.
    """

    title: str
    dataset: str
    cells: dict[tuple[LayerSet, str], PublishedCell]
    bold: tuple[LayerSet, str]
    notes: tuple[str, ...]

    @property
    def layer_order(self) -> list[LayerSet]:
        """The seven sets of layers in the order of the paper's rows."""
        return list(dict.fromkeys(layers for layers, _ in self.cells))


@dataclass(frozen=True, slots=True)
class PublishedCross:
    """One method in one direction of Table III."""

    method: str
    source: str
    target: str
    plcc: float
    srocc: float


def _cells(
    rows: Iterable[tuple[tuple[str, ...], tuple[float, float], tuple[float, float]]],
) -> dict[tuple[LayerSet, str], PublishedCell]:
    return {
        (frozenset(layers), kernel): PublishedCell(*scores)
        for layers, *both in rows
        for kernel, scores in zip(KERNELS, both, strict=True)
    }


_POOLING = (
    "The paper's abstract names maximum pooling over time; its section III.C average and maximum, the default here."
)

TABLE_1 = PublishedTable(
    title="Table I",
    dataset="KoNViD-1k",
    cells=_cells(
        [
            ((A, B, C), (0.7983, 0.8067), (0.7924, 0.7822)),
            ((A, B), (0.8145, 0.8076), (0.7895, 0.7797)),
            ((A, C), (0.7987, 0.7964), (0.7679, 0.7769)),
            ((A,), (0.5841, 0.5737), (0.6433, 0.6498)),
            ((B,), (0.8179, 0.8118), (0.7838, 0.7727)),
            ((B, C), (0.8139, 0.8052), (0.7798, 0.7846)),
            ((C,), (0.7809, 0.7780), (0.7939, 0.7904)),
        ]
    ),
    bold=(frozenset({B}), "linear"),
    notes=(_POOLING,),
)

TABLE_2 = PublishedTable(
    title="Table II",
    dataset="LIVE-VQC",
    cells=_cells(
        [
            ((A, B), (0.7842, 0.7923), (0.7672, 0.7918)),
            ((A, C), (0.7923, 0.8139), (0.7259, 0.7690)),
            ((A,), (0.5624, 0.6241), (0.5274, 0.6001)),
            ((B,), (0.7939, 0.8125), (0.7867, 0.7626)),
            ((B, C), (0.7704, 0.8027), (0.7690, 0.7768)),
            ((C,), (0.7572, 0.8007), (0.7607, 0.8121)),
            ((A, B, C), (0.7868, 0.7910), (0.7611, 0.8098)),
        ]
    ),
    bold=(frozenset({B}), "linear"),
    notes=(
        _POOLING,
        "The paper writes both LIVE-VQC and LIVE-VQA for this set; they are different sets, and LIVE-VQC is meant.",
        "The paper's bold cell (Mixed_5b, linear) has the highest SROCC of Table II, but avgpool+Mixed_5c, linear, "
        "has the higher PLCC (0.8139 against 0.8125).",
    ),
)

PROPOSED = "proposed (paper)"

_TABLE_3_ROWS: tuple[tuple[str, float, float, float, float], ...] = (
    # method, then LIVE-VQC -> KoNViD-1k PLCC and SROCC, then KoNViD-1k -> LIVE-VQC PLCC and SROCC, as printed
    ("CNN-TLVQM (2020)", 0.631, 0.642, 0.752, 0.713),
    ("VIDEVAL (2021)", 0.621, 0.625, 0.841, 0.669),
    ("DisCoVQA (2022)", 0.785, 0.754, 0.787, 0.737),
    ("GST-VQA (2021)", 0.7074, 0.685, 0.777, 0.732),
    ("MDTVSFA (2021)", 0.711, 0.645, 0.816, 0.716),
    ("Bakhtiari DFMP (2022)", 0.647, 0.679, 0.823, 0.756),
    (PROPOSED, 0.6715, 0.6698, 0.821, 0.729),
)

TABLE_3 = (
    *(PublishedCross(method, *L_TO_K, plcc, srocc) for method, plcc, srocc, _, _ in _TABLE_3_ROWS),
    *(PublishedCross(method, *K_TO_L, plcc, srocc) for method, _, _, plcc, srocc in _TABLE_3_ROWS),
)

TABLE_3_NOTES = (
    "Table III prints PLCC before SROCC; Tables I and II print SROCC before PLCC.",
    "KoNViD-1k to LIVE-VQC: the paper's PLCC across datasets (0.821) is above its best PLCC within LIVE-VQC "
    "(0.8139, Table II), while its SROCC (0.729) is below (0.7939).",
    "The paper writes both LIVE-VQC and LIVE-VQA for one set; they are different sets, and LIVE-VQC is meant.",
)


def known_dataset(name: str) -> str | None:
    """The published dataset a name stands for, also when it is that set's synthetic stand-in; None for others."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    if "konvid1k" in plain:
        return TABLE_1.dataset
    return TABLE_2.dataset if "livevqc" in plain else None


def published_table(dataset: str) -> PublishedTable | None:
    """Table I or II, whichever was measured on the dataset; None where the paper has no table for it."""
    known = known_dataset(dataset)
    return next((table for table in (TABLE_1, TABLE_2) if table.dataset == known), None)


def published_cross(source: str, target: str) -> list[PublishedCross]:
    """The rows of Table III for one direction, the six other methods first; empty for other datasets."""
    direction = (known_dataset(source), known_dataset(target))
    return [row for row in TABLE_3 if (row.source, row.target) == direction]
