import pytest

from fmcvqa.report.published import (
    K_TO_L,
    L_TO_K,
    PROPOSED,
    TABLE_1,
    TABLE_2,
    TABLE_3,
    PublishedCell,
    published_cross,
    published_table,
)

A, B, C = "avgpool", "Mixed_5b", "Mixed_5c"


@pytest.mark.parametrize("table", [TABLE_1, TABLE_2])
def test_fourteen_cells_over_seven_sets(table) -> None:
    assert len(table.cells) == 14
    assert len(set(table.layer_order)) == 7
    assert max(table.cells, key=lambda cell: table.cells[cell].srocc) == table.bold == (frozenset({B}), "linear")


def test_spot_values() -> None:
    assert TABLE_1.cells[frozenset({B}), "linear"] == PublishedCell(0.8179, 0.8118)
    assert TABLE_1.cells[frozenset({A}), "rbf"] == PublishedCell(0.6433, 0.6498)
    assert TABLE_1.cells[frozenset({A, B, C}), "rbf"] == PublishedCell(0.7924, 0.7822)
    assert TABLE_2.cells[frozenset({B}), "linear"] == PublishedCell(0.7939, 0.8125)
    assert TABLE_2.cells[frozenset({C, A}), "rbf"] == PublishedCell(0.7259, 0.7690)
    assert TABLE_2.cells[frozenset({C}), "rbf"] == PublishedCell(0.7607, 0.8121)


def test_sums_of_all_cells() -> None:
    sums = [
        round(sum(getattr(cell, score) for cell in table.cells.values()), 4)
        for table in (TABLE_1, TABLE_2)
        for score in ("srocc", "plcc")
    ]
    assert sums == [10.7589, 10.7157, 10.3452, 10.7594]


def test_order_of_rows_is_the_papers() -> None:
    assert [sorted(layers) for layers in TABLE_1.layer_order[:2]] == [[B, C, A], [B, A]]
    assert TABLE_2.layer_order[-1] == frozenset({A, B, C})


def test_table_3_has_seven_methods_each_way() -> None:
    assert len(TABLE_3) == 14
    to_live = {row.method: (row.plcc, row.srocc) for row in published_cross(*K_TO_L)}
    to_konvid = {row.method: (row.plcc, row.srocc) for row in published_cross(*L_TO_K)}
    assert to_live[PROPOSED] == (0.821, 0.729)
    assert to_konvid[PROPOSED] == (0.6715, 0.6698)
    assert to_live["VIDEVAL (2021)"] == (0.841, 0.669)
    assert to_konvid["GST-VQA (2021)"] == (0.7074, 0.685)
    assert list(to_live)[-1] == PROPOSED and len(to_live) == len(to_konvid) == 7


def test_what_the_notes_say_is_in_the_numbers() -> None:
    best = max(cell.plcc for cell in TABLE_2.cells.values())
    assert best == TABLE_2.cells[frozenset({A, C}), "linear"].plcc == 0.8139
    assert next(row for row in published_cross(*K_TO_L) if row.method == PROPOSED).plcc > best


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("KoNViD-1k", TABLE_1),
        ("KoNViD-1k (synthetic stand-in)", TABLE_1),
        ("KoNViD_1k_mos", TABLE_1),
        ("LIVE-VQC", TABLE_2),
        ("LIVE-VQA", None),
        ("my clips", None),
    ],
)
def test_table_of_a_dataset(name: str, table) -> None:
    assert published_table(name) is table
    assert published_cross(name, name) == []
