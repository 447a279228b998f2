from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from fmcvqa.report.groups import group_results
from fmcvqa.report.results import find_results
from fmcvqa.report.selection import group_selection, select_apart


def test_on_pure_noise_the_best_looks_good_and_is_not(figure: Callable[[str], None]) -> None:
    generator = np.random.default_rng(0)
    selection = select_apart(generator.normal(size=(30, 60)), generator.normal(size=60))
    figure(f"SROCC on noise: best of 30 {selection.together:.3f}, nested choice {selection.apart:+.3f}")
    assert selection.cells == 30
    assert selection.together > 0.2
    assert abs(selection.apart) < 0.1


def test_together_is_the_best_spearman() -> None:
    generator = np.random.default_rng(1)
    mos = generator.integers(1, 6, 50).astype(float)
    predicted = mos + generator.normal(0, [[0.5], [2.0], [1.0]], (3, 50)).round(1)
    expected = max(spearmanr(row, mos).statistic for row in predicted)
    assert select_apart(predicted, mos, rounds=2).together == pytest.approx(expected, abs=1e-12)


def test_a_clear_winner_pays_almost_nothing() -> None:
    generator = np.random.default_rng(2)
    mos = generator.normal(size=400)
    predicted = np.stack([mos + 0.3 * generator.normal(size=400), generator.normal(size=400)])
    selection = select_apart(predicted, mos)
    assert selection.apart == pytest.approx(selection.together, abs=0.01)


def test_constant_predictions_are_never_the_best() -> None:
    mos = np.arange(20.0)
    selection = select_apart(np.stack([np.zeros(20), -mos]), mos, rounds=5)
    assert selection.together == pytest.approx(-1.0)


def test_needs_several_cells_on_the_same_videos(tmp_path: Path, write, result) -> None:
    write(tmp_path / "a")
    (group,) = group_results(find_results(tmp_path))
    assert group_selection(group) is None
    data = result(kernel="rbf", srocc=0.7)
    data["predictions"].reverse()
    write(tmp_path / "b", data)
    (group,) = group_results(find_results(tmp_path))
    selection = group_selection(group)
    rows = [spearmanr(cell.predicted, cell.mos).statistic for cell in group.results]
    assert selection.together == pytest.approx(max(rows), abs=1e-12)
    data["predictions"].pop()
    write(tmp_path / "b", data)
    (group,) = group_results(find_results(tmp_path))
    assert group_selection(group) is None
