"""Rows of an ablation land in one table, each against the paper's row."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from fmcvqa.report.ablation import changes, from_reference
from fmcvqa.report.figures import DPI, heatmap_png
from fmcvqa.report.groups import group_results
from fmcvqa.report.results import find_results
from fmcvqa.report.sections import cells_section, charted
from fmcvqa.report.tables import ABLATION_COLUMNS, CSV_COLUMNS, build_table, table_csv, table_markdown, table_text

OFFSETS = np.random.default_rng(0).normal(0, 0.02, 20)
OTHER = np.random.default_rng(1).normal(0, 0.02, 20)
SPLITS = {"name": "paper", "folds": 5, "splits_sha256": "a" * 64}


def config(row: str, **recipe: Any) -> dict[str, Any]:
    taps = ["Mixed_5b", "Mixed_5c"] if row == "paper" else ["Mixed_5b"]
    return {"row": row, "recipe": {"stride": 1, "taps": taps, **recipe}, "features": {"shared": row != "deep"}}


@pytest.fixture
def rows(tmp_path: Path, write) -> Path:
    """Two rows and a paper with the linear kernel; one with rbf, whose paper is missing."""

    def row(name: str, kernel: str, srocc: float, offsets: Any, protocol: dict[str, Any], **recipe: Any) -> None:
        given = {"protocol": protocol, "config": config(name, **recipe), "key": f"{name} {kernel}", "offsets": offsets}
        write(tmp_path / f"{name}_{kernel}", ["Mixed_5b"], kernel, srocc, **given)

    standard, minmax = SPLITS | {"scaling": "standard"}, SPLITS | {"scaling": "minmax"}
    row("paper", "linear", 0.7, OFFSETS, standard)
    row("minmax", "linear", 0.6, OTHER, minmax)
    row("every5", "linear", 0.705, OTHER, standard, stride=5)
    row("deep", "rbf", 0.8, OTHER, standard)
    return tmp_path


def one(folder: Path):
    (group,) = group_results(find_results(folder))
    return group


def corrected(differences: np.ndarray) -> float:
    """Variance x (1/20 + 8/32), 19 degrees of freedom."""
    t = differences.mean() / np.sqrt(differences.var(ddof=1) * (1 / 20 + 8 / 32))
    return float(2 * stats.t.sf(abs(t), 19))


def test_rows_of_other_scalings_are_in_one_table_and_those_of_other_splits_are_not(rows: Path, write) -> None:
    group = one(rows)
    assert group.ablation
    assert group.title == "KoNViD-1k, ablation"
    assert group.settings == ("deep", "every5", "minmax", "paper")
    assert group.protocol_text == f"paper (folds=5, splits_sha256={'a' * 12})"
    write(rows / "other", protocol=SPLITS | {"splits_sha256": "b" * 64}, config=config("other"), key="other")
    assert len(group_results(find_results(rows))) == 2


def test_a_sweep_that_is_no_ablation_keeps_a_table_for_each_scaling(tmp_path: Path, write) -> None:
    for scaling in ("standard", "minmax"):
        write(tmp_path / scaling, protocol=SPLITS | {"scaling": scaling}, key=scaling)
    assert [group.slug for group in group_results(find_results(tmp_path))] == ["scaling-minmax", "scaling-standard"]


def test_each_row_is_tested_against_the_papers_and_the_correction_is_over_these(rows: Path) -> None:
    gains = from_reference(one(rows))
    tests = {path.parent.name: test for path, test in gains.tests.items()}
    assert set(tests) == {"minmax_linear", "every5_linear"}
    low, near = OTHER - OFFSETS - 0.1, OTHER - OFFSETS + 0.005
    assert tests["minmax_linear"].difference == pytest.approx(low.mean())
    assert tests["minmax_linear"].p == pytest.approx(corrected(low))
    assert tests["minmax_linear"].p_holm == pytest.approx(2 * corrected(low))
    assert tests["every5_linear"].p_holm == pytest.approx(corrected(near))
    assert 2 * corrected(low) < 0.05 < corrected(near)
    assert {result.row: gains.verdict(result) for result in one(rows).results} == {
        "paper": "reference",
        "minmax": "lower",
        "every5": "not told apart",
        "deep": "not tested",
    }
    assert gains.note == (
        "Against the row paper with the same kernel, by the mean difference in SROCC over the same splits: 0 of 2 rows "
        "higher and 1 lower beyond noise, the others not told apart from it (p < 0.05, corrected resampled t-test of "
        "Nadeau and Bengio, Holm's correction over these 2 comparisons)."
    )


def test_a_row_higher_beyond_noise_is_said_to_be(rows: Path, write) -> None:
    given = {"protocol": SPLITS | {"scaling": "none"}, "config": config("good"), "key": "good", "offsets": OFFSETS}
    write(rows / "good", srocc=0.75, **given)
    gains = from_reference(one(rows))
    assert next(gains.verdict(result) for result in one(rows).results if result.row == "good") == "higher"


def test_the_reference_of_a_row_has_its_layers_where_there_is_one(rows: Path, write) -> None:
    for layer in ("Mixed_5c", "Mixed_5b"):
        given = {"protocol": SPLITS | {"scaling": "l2"}, "config": config("l2"), "key": f"l2 {layer}"}
        write(rows / f"l2_{layer}", [layer], offsets=OTHER, **given)
    given = {"protocol": SPLITS | {"scaling": "standard"}, "config": config("paper"), "key": "paper 5c"}
    write(rows / "paper_5c", ["Mixed_5c"], offsets=OTHER, **given)
    group = one(rows)
    for result in group.results:
        reference = group.reference(result)
        if result.row == "l2":
            assert reference is not None and reference.cell.layers == result.cell.layers
    assert group.reference(next(result for result in group.results if result.row == "deep")) is None


def test_a_row_that_changes_nothing_is_there_too(rows: Path, write) -> None:
    given = {"protocol": SPLITS | {"scaling": "standard"}, "config": config("same"), "key": "paper linear"}
    write(rows / "same", srocc=0.7, offsets=OFFSETS, **given)
    found = {row.name: row for row in build_table(one(rows)).rows}
    assert (found["same"].test.difference, found["same"].test.p, found["same"].verdict) == (0.0, 1.0, "not told apart")
    assert (found["paper"].test, found["paper"].verdict) == (None, "reference")


def test_what_a_row_changes_is_named_without_what_is_merely_extracted(rows: Path) -> None:
    group = one(rows)
    by_row = {result.row: result for result in group.results}
    assert changes(by_row["every5"], by_row["paper"]) == "recipe.stride=5"
    assert changes(by_row["deep"], by_row["paper"]) == ""
    assert changes(by_row["every5"], None) == ""


def test_the_table_is_ordered_by_kernel_with_the_papers_row_first(rows: Path) -> None:
    table = build_table(one(rows))
    assert [row.name for row in table.rows] == ["paper", "every5", "minmax", "deep"]
    text = [" ".join(line.split()) for line in table_text(table).splitlines()]
    assert text[0] == "KoNViD-1k, ablation: median and standard deviation over 20 splits"
    assert text[1] == (
        "row layers pools kernel settings SROCC (std) PLCC (std) SROCC minus paper published against paper"
    )
    published = "0.8179 / 0.8118"
    assert text[3].startswith("paper Mixed_5b mean+max linear 0.7000 (")
    assert text[3].endswith(f" {published} reference")
    change = (OTHER - OFFSETS).mean()
    assert text[4].startswith("every5 Mixed_5b mean+max linear recipe.stride=5 0.7050 (")
    assert text[4].endswith(f" {change + 0.005:+.4f} not told apart")
    assert text[5].endswith(f" {change - 0.1:+.4f} lower")
    assert "".join(text).count(published) == 1
    page = table_markdown(table)
    assert "\n|:---|:---|:---|:---|:---|---:|" in page
    assert from_reference(one(rows)).note in page
    assert "Not run, of the paper's" not in page and "not all run alike" not in page


def test_the_csv_has_the_test_of_each_row(rows: Path) -> None:
    found = {row["row"]: row for row in csv.DictReader(io.StringIO(table_csv(build_table(one(rows)))))}
    assert tuple(found["paper"]) == (*CSV_COLUMNS, "settings", *ABLATION_COLUMNS)
    test = from_reference(one(rows)).tests[rows / "minmax_linear" / "result.json"]
    numbers = [float(found["minmax"][name]) for name in ("difference", "p", "p_holm")]
    assert numbers == [test.difference, test.p, test.p_holm]
    assert [found["paper"][name] for name in ("difference", "p", "p_holm")] == ["", "", ""]
    assert found["minmax"]["pools"] == "mean+max"


def test_pages_and_pictures_call_a_row_by_its_name(rows: Path) -> None:
    group = one(rows)
    section = cells_section("a", group, build_table(group))
    assert section.left == 5
    assert section.headers[:5] == ["row", "layers", "pools", "kernel", "settings"]
    assert section.headers[6] == "against paper"
    assert section.names()[1] == "Mixed_5b, linear, every5"
    assert [cell["place"] for cell in charted(section)["cells"]] == ["paper", "every5", "minmax", "deep"]
    ordered = [row.result for row in build_table(group).rows]
    picture = Image.open(io.BytesIO(heatmap_png(group, ordered)))
    assert picture.height == pytest.approx(
        (1.5 + 0.42 * 4) * DPI, abs=1
    )  # a line for each row, not for each set of layers
