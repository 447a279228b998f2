import csv
import io
from itertools import product
from pathlib import Path

import pytest
from made_results import card

from fmcvqa.report.groups import group_results
from fmcvqa.report.results import find_results
from fmcvqa.report.tables import CSV_COLUMNS, build_table, table_csv, table_markdown, table_text

A, B, C = "avgpool", "Mixed_5b", "Mixed_5c"
SUBSETS = [(A,), (B,), (C,), (B, A), (C, A), (B, C), (A, B, C)]
STAND_IN = {"name": "KoNViD-1k (synthetic stand-in)", "stand_in": True, "videos": 40, "mos_range": [1, 5]}


def table(folder: Path):
    (group,) = group_results(find_results(folder))
    return build_table(group)


@pytest.fixture
def fourteen(tmp_path: Path, write):
    """SROCC .60, .61, ... in the order of SUBSETS; rbf .005 above linear."""
    for number, (layers, kernel) in enumerate(product(SUBSETS, ("linear", "rbf"))):
        srocc = 0.6 + 0.01 * (number // 2) + 0.005 * (number % 2)
        write(tmp_path / f"{number}", layers, kernel, round(srocc, 3))
    return tmp_path


def test_order_and_published_numbers_of_table_1(fourteen: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(table_csv(table(fourteen)))))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [(row["layers"], row["kernel"]) for row in rows[:4]] == [
        (f"{A}+{B}+{C}", "linear"),
        (f"{A}+{B}+{C}", "rbf"),
        (f"{A}+{B}", "linear"),
        (f"{A}+{B}", "rbf"),
    ]
    assert [row["layers"] for row in rows[::2]] == [f"{A}+{B}+{C}", f"{A}+{B}", f"{A}+{C}", A, B, f"{B}+{C}", C]
    assert [float(rows[8][key]) for key in ("published_srocc", "published_plcc")] == [0.8179, 0.8118]
    assert rows[8]["layers"] == B and rows[8]["srocc"] == "0.61"
    assert [float(rows[8][key]) for key in ("plcc", "krocc", "plcc_mapped", "rmse")] == pytest.approx(
        [0.62, 0.41, 0.64, 0.31]
    )
    assert float(rows[8]["srocc_std"]) == float(rows[8]["plcc_std"]) == pytest.approx(0.0141421356)


def test_order_of_table_2_is_its_own(tmp_path: Path, write) -> None:
    live = {"name": "LIVE-VQC", "stand_in": False, "videos": 40, "mos_range": [0, 100]}
    for layers in SUBSETS:
        write(tmp_path / "+".join(layers), layers, dataset=live)
    made = table(tmp_path)
    texts = [row.result.cell.layers_text for row in made.rows]
    assert texts == [f"{A}+{B}", f"{A}+{C}", A, B, f"{B}+{C}", C, f"{A}+{B}+{C}"]
    assert made.rows[3].published.plcc == 0.8125
    assert any("LIVE-VQA" in note for note in made.notes)
    assert any("0.8139 against 0.8125" in note for note in made.notes)


def test_best_row_and_k(fourteen: Path) -> None:
    made = table(fourteen)
    best = [row for row in made.rows if row.best]
    assert [(row.result.cell.layers_text, row.result.cell.kernel) for row in best] == [(f"{A}+{B}+{C}", "rbf")]
    note = next(note for note in made.notes if note.startswith("k="))
    assert note.startswith("k=14 cells were compared on the same test folds, so the best one's score is optimistic. ")
    assert not any(note.startswith("Not run") for note in made.notes)
    page = table_markdown(made)
    assert page.startswith("# KoNViD-1k: median and standard deviation over 5 splits\n\n| layers | kernel | SROCC |")
    assert (
        f"| **{A}+{B}+{C}** | **rbf** | **0.6650 ± 0.0141** | **0.6750 ± 0.0141** | **0.4650 ± 0.0141** | "
        "**0.3650 ± 0.0141** | **0.6950 ± 0.0141** | 0.7924 / 0.7822 | best |"
    ) in page
    assert page.count("**") == 14


def test_videos_that_were_used_in_part_are_counted(tmp_path: Path, write) -> None:
    write(tmp_path / "a", dataset=card("KoNViD-1k") | {"damaged": 3})
    assert table(tmp_path).notes[2] == (
        "3 of the 40 videos of KoNViD-1k are marked as damaged: their features are of the frames before the damage "
        "(recipe.damage=mark)."
    )


def test_notes_in_full(tmp_path: Path, write) -> None:
    write(tmp_path)
    assert table(tmp_path).notes[:3] == (
        "40 videos, MOS on a scale from 1 to 5. Protocol: paper (folds=5, mapping_fitted_on=train, repeats=1, seed=0).",
        "The standard deviation is that from split to split: not the error of the median, nor that of a difference "
        "between two cells, which share their splits.",
        "PLCC is raw; PLCC mapped follows a 4-parameter logistic fitted on the training predictions. "
        "RMSE is in MOS units.",
    )
    assert table(tmp_path).notes[3].startswith("Not run, of the paper's 14 cells: avgpool+Mixed_5b+Mixed_5c linear, ")
    assert "Mixed_5b linear," not in table(tmp_path).notes[3].replace("+Mixed_5b linear,", "")
    assert table(tmp_path).notes[-1] == (
        "The paper's abstract names maximum pooling over time; its section III.C average and maximum, the default here."
    )


@pytest.mark.parametrize(
    ("fitted", "words"),
    [
        ("test", "fitted on the test predictions (optimistic)"),
        (None, "fitted where the run does not say"),
        ("inner folds", "fitted on inner folds"),
    ],
)
def test_where_the_logistic_was_fitted(tmp_path: Path, write, fitted, words: str) -> None:
    protocol = {"name": "paper"} | ({} if fitted is None else {"mapping_fitted_on": fitted})
    write(tmp_path, protocol=protocol)
    assert f"PLCC is raw; PLCC mapped follows a 4-parameter logistic {words}. RMSE" in table_markdown(table(tmp_path))


def test_stand_ins_are_called_so_beside_the_real_numbers(tmp_path: Path, write) -> None:
    write(tmp_path, dataset=STAND_IN)
    made = table(tmp_path)
    banner = (
        "Stand-in: the videos of KoNViD-1k (synthetic stand-in) are generated. Published numbers are for the real set."
    )
    assert made.banner == banner
    assert table_markdown(made).split("\n")[2] == f"> **{banner}**"
    assert table_text(made).split("\n")[1] == banner
    assert made.rows[0].published.srocc == 0.8179


def test_a_control_has_no_published_numbers(tmp_path: Path, write) -> None:
    write(tmp_path, srocc=0.01, protocol={"name": "paper", "permute_labels": True})
    made = table(tmp_path)
    assert made.banner == "Control: the MOS were shuffled over the videos, so scores far from 0 would show a leak."
    assert made.rows[0].published is None
    assert not any("Table I" in note or "Not run" in note for note in made.notes)


def test_other_features_have_no_published_numbers(tmp_path: Path, write) -> None:
    write(tmp_path, ["matrix"], kernel="poly")
    made = table(tmp_path)
    assert made.rows[0].published is None
    assert table_csv(made).endswith(",,\n")
    assert "published" not in table_markdown(made) + table_text(made)
    assert not any("paper" in note and "Protocol" not in note for note in made.notes)


def test_another_network_has_an_avgpool_of_its_own(tmp_path: Path, write) -> None:
    write(tmp_path, [A], config={"model": {"name": "resnet50"}})
    assert table(tmp_path).rows[0].published is None
    write(tmp_path, [A], config={"model": {"name": "inception_v3"}})
    assert table(tmp_path).rows[0].published.srocc == 0.5841


def test_cells_of_different_runs_are_named(tmp_path: Path, write) -> None:
    for kernel, weights in (("linear", "imagenet"), ("rbf", "tid2013.ckpt")):
        config = {"model": {"weights": weights}, "regressor": {"kernel": kernel}, "paths": {"outputs": kernel}}
        write(tmp_path / kernel, kernel=kernel, config=config)
    assert "The cells were not all run alike; their configurations differ in model.weights." in table(tmp_path).notes


def test_swept_settings_get_a_column(tmp_path: Path, write) -> None:
    for number in (1.0, 10.0):
        write(tmp_path / str(number), C=number, srocc=0.7 + number / 1000)
    made = table(tmp_path)
    rows = list(csv.DictReader(io.StringIO(table_csv(made))))
    assert [(row["settings"], float(row["srocc"])) for row in rows] == [("C=1.0", 0.701), ("C=10.0", 0.71)]
    assert tuple(rows[0]) == (*CSV_COLUMNS, "settings")
    assert "| **Mixed_5b** | **linear** | **C=10.0** | **0.7100 ± 0.0141** |" in table_markdown(made)


def test_intervals_of_medians_get_a_column(tmp_path: Path, write, result) -> None:
    data = result()
    data["scores"]["srocc"]["ci95"] = [0.77, 0.8312]
    write(tmp_path, data)
    page = table_markdown(table(tmp_path))
    assert "| layers | kernel | SROCC | SROCC 95 % | PLCC |" in page
    assert "| **0.8000 ± 0.0141** | **[0.770, 0.831]** |" in page
    assert (
        "- SROCC 95 %: bootstrap interval of the median over videos, with the regressors as they were fitted.\n" in page
    )


def test_terminal_table(tmp_path: Path, write) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", [A, B], "rbf", 0.7)
    lines = table_text(table(tmp_path)).splitlines()
    assert lines[0] == "KoNViD-1k: median and standard deviation over 5 splits"
    squeezed = [" ".join(line.split()) for line in lines]
    assert squeezed[1] == "layers kernel SROCC (std) PLCC (std) published against the best"
    assert squeezed[3].startswith("avgpool+Mixed_5b rbf 0.7000 (0.0141) 0.7100 (0.0141) 0.7895 / 0.7797")
    assert squeezed[4] == "Mixed_5b linear 0.8000 (0.0141) 0.8100 (0.0141) 0.8179 / 0.8118 best"
    assert "\n".join(lines).isascii()
