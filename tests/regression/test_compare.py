from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fmcvqa.errors import FeatureError
from fmcvqa.regression.compare import compare, corrected_t_test, holm


def rows(values, train=80, test=20):
    return [{"split": i, "train": train, "test": test, "srocc": value} for i, value in enumerate(values)]


def test_the_corrected_t_test_by_hand():
    # Mean 2, variance 1 over 3 splits, test/train 1/4: t = 2 / sqrt(1/3 + 1/4), 2 degrees of freedom.
    t, p = corrected_t_test([1.0, 2.0, 3.0], 0.25)
    assert t == pytest.approx(2 / np.sqrt(7 / 12))
    assert p == pytest.approx(2 * stats.t.sf(2 / np.sqrt(7 / 12), 2))


def test_equal_cells_do_not_differ_and_a_constant_gap_does():
    assert corrected_t_test([0.0, 0.0], 0.25) == (0.0, 1.0)
    assert corrected_t_test([0.5, 0.5], 0.25) == (np.inf, 0.0)
    assert corrected_t_test([-0.5, -0.5], 0.25) == (-np.inf, 0.0)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_noise_is_called_noise_where_a_naive_test_calls_it_a_difference():
    rng = np.random.default_rng(0)
    a = 0.8 + 0.03 * rng.normal(size=100)
    b = a - 0.005 + 0.02 * rng.normal(size=100)
    assert stats.ttest_rel(a, b).pvalue < 0.05
    (one,) = compare({"a": rows(a), "b": rows(b)})
    assert (one.first, one.second) == ("a", "b")
    assert one.difference == pytest.approx(np.mean(a - b))
    assert one.p > 0.5
    assert one.p_holm == one.p


def test_all_pairs_are_compared():
    cells = {name: rows(np.random.default_rng(i).normal(size=10)) for i, name in enumerate("abcd")}
    found = compare(cells)
    assert [(c.first, c.second) for c in found] == [
        ("a", "b"),
        ("a", "c"),
        ("a", "d"),
        ("b", "c"),
        ("b", "d"),
        ("c", "d"),
    ]
    assert all(c.p <= c.p_holm <= 1 for c in found)


def test_cells_of_other_splits_are_not_paired():
    with pytest.raises(FeatureError) as error:
        compare({"a": rows([1, 2, 3]), "b": rows([1, 2]), "c": rows([1, 2, 3], train=70)})
    assert str(error.value) == (
        "b, c was not evaluated on the splits of a. Try: compare cells of one protocol and seed"
    )
    with pytest.raises(FeatureError) as error:
        corrected_t_test([1.0], 0.25)
    assert str(error.value) == "1 splits cannot be compared. Try: a paired test needs at least 2"
