import csv
import io
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fmcvqa.errors import FeatureError
from fmcvqa.report.differences import differences_csv, from_best
from fmcvqa.report.groups import group_results
from fmcvqa.report.results import find_results
from fmcvqa.report.tables import build_table, table_markdown

OFFSETS = np.random.default_rng(0).normal(0, 0.02, 20)
OTHER = np.random.default_rng(1).normal(0, 0.02, 20)


def group(folder: Path):
    return group_results(find_results(folder))[0]


def corrected_p(differences: np.ndarray) -> float:
    """Variance x (1/20 + 8/32), 19 degrees of freedom."""
    t = differences.mean() / np.sqrt(differences.var(ddof=1) * (1 / 20 + 8 / 32))
    return float(2 * stats.t.sf(abs(t), 19))


@pytest.fixture
def three(tmp_path: Path, write) -> Path:
    write(tmp_path / "best", ["Mixed_5b"], "linear", 0.8, offsets=OFFSETS)
    write(tmp_path / "near", ["Mixed_5b"], "rbf", 0.79, offsets=OTHER)
    write(tmp_path / "far", ["avgpool"], "linear", 0.55, offsets=OTHER)
    return tmp_path


def test_near_is_noise_and_far_is_not(three: Path) -> None:
    found = from_best(group(three))
    names = {result.key: result.path.parent.name for result in group(three).results}
    assert {names[key]: lower for key, lower in found.lower.items()} == {"near": False, "far": True}
    assert len(found.pairs) == 3
    assert corrected_p(0.01 + OFFSETS - OTHER) > 0.3
    assert 3 * corrected_p(0.25 + OFFSETS - OTHER) < 1e-3
    assert found.note == (
        "Against the best, by SROCC: 1 of 2 cells lower beyond noise, the others not told apart from it (p < 0.05, "
        "corrected resampled t-test of Nadeau and Bengio, Holm's correction over all 3 pairs)."
    )


def test_every_pair_is_written(three: Path) -> None:
    rows = {
        (row["first"], row["second"]): row
        for row in csv.DictReader(io.StringIO(differences_csv(from_best(group(three)))))
    }
    assert set(rows) == {
        ("Mixed_5b linear", "avgpool linear"),
        ("Mixed_5b linear", "Mixed_5b rbf"),
        ("avgpool linear", "Mixed_5b rbf"),
    }
    near = rows["Mixed_5b linear", "Mixed_5b rbf"]
    differences = 0.01 + OFFSETS - OTHER
    assert float(near["difference"]) == pytest.approx(differences.mean())
    assert float(near["p"]) == pytest.approx(corrected_p(differences))


def test_the_table_says_so(three: Path) -> None:
    table = build_table(group(three))
    assert [row.verdict for row in table.rows] == ["lower", "best", "not told apart"]
    assert from_best(group(three)).note in table.notes
    assert "| 0.7838 / 0.7727 | not told apart |" in table_markdown(table)


def test_a_cell_without_a_score_is_left_out_and_said(three: Path, write, result) -> None:
    data = result(["Mixed_5c"], "rbf", 0.6, offsets=OTHER)
    data["splits"][3]["srocc"] = None
    write(three / "gap", data)
    table = build_table(group(three))
    assert {row.result.path.parent.name: row.verdict for row in table.rows}["gap"] == "not tested"


def test_nothing_to_compare(tmp_path: Path, write) -> None:
    write(tmp_path / "a")
    assert from_best(group(tmp_path)) is None
    for kernel in ("linear", "rbf"):
        write(tmp_path / "one" / kernel, kernel=kernel, offsets=[0.0])
    assert from_best(group(tmp_path / "one")) is None


def test_other_splits_are_refused(tmp_path: Path, write) -> None:
    write(tmp_path / "a", offsets=[0.0, 0.1])
    write(tmp_path / "b", kernel="rbf")
    with pytest.raises(FeatureError) as caught:
        from_best(group(tmp_path))
    assert str(caught.value) == (
        "Mixed_5b rbf was not evaluated on the splits of Mixed_5b linear. Try: compare cells of one protocol and seed"
    )
