from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import KFold

from fmcvqa.errors import ConfigError, FeatureError
from fmcvqa.regression.protocols import UGCVQA, Cross, Nested, Paper
from fmcvqa.regression.splits import splits_digest
from fmcvqa.regression.svr import Cell

IDS = [f"v{i}" for i in range(40)]
GROUPS = [i // 4 for i in range(40)]
WITHIN = [Paper(), UGCVQA(), Nested()]


def test_paper_is_20_rounds_of_shuffled_5_fold():
    splits = Paper().splits(IDS)
    assert len(splits) == 100
    for turn in range(20):
        tests = [split.test for split in splits[5 * turn : 5 * turn + 5]]
        assert sorted(np.concatenate(tests)) == list(range(40))
    expected = next(iter(KFold(5, shuffle=True, random_state=7).split(IDS)))[1]
    np.testing.assert_array_equal(Paper(seed=7).splits(IDS)[0].test, expected)


def test_ugcvqa_is_100_random_holdouts_of_a_fifth():
    splits = UGCVQA().splits(IDS)
    assert [len(split.test) for split in splits] == [8] * 100
    assert len({tuple(sorted(split.test)) for split in splits}) == 100


@pytest.mark.parametrize("protocol", WITHIN, ids=lambda p: p.name)
def test_splits_are_seeded_and_disjoint(protocol):
    first, second = protocol.splits(IDS), protocol.splits(IDS)
    assert splits_digest(first) == splits_digest(second)
    assert splits_digest(type(protocol)(seed=1).splits(IDS)) != splits_digest(first)
    for split in first:
        assert not set(split.train) & set(split.test)
        assert len(split.train) + len(split.test) == 40


@pytest.mark.parametrize("protocol", WITHIN, ids=lambda p: p.name)
def test_videos_of_one_group_stay_together_inner_splits_included(protocol):
    groups = np.array(GROUPS)
    for i, split in enumerate(protocol.splits(IDS, GROUPS)[:10]):
        assert not set(groups[split.train]) & set(groups[split.test])
        search = protocol.search(split, i, GROUPS)
        for part in search.inner if search else ():
            assert not set(groups[part.train]) & set(groups[part.test])
            assert set(part.train) | set(part.test) == set(split.train)


@pytest.mark.parametrize("protocol, inner", [(UGCVQA(), 1), (Nested(), 5)])
def test_a_search_looks_at_the_training_fold_only(protocol, inner):
    split = protocol.splits(IDS)[3]
    search = protocol.search(split, 3)
    assert len(search.inner) == inner
    for part in search.inner:
        assert set(part.train) | set(part.test) == set(split.train)
        assert not set(part.train) & set(part.test)


def test_the_grids():
    split = UGCVQA().splits(IDS)[0]
    rbf, linear = Cell(layers=("A",), kernel="rbf"), Cell(layers=("A",), epsilon=0.2)
    grid = UGCVQA().search(split, 0).candidates(rbf)
    assert len(grid) == 100
    assert {cell.C for cell in grid} == {2.0**k for k in range(1, 11)}
    assert {cell.gamma for cell in grid} == {2.0**k for k in range(-8, 2)}
    assert {cell.epsilon for cell in grid} == {0.1}
    assert [(cell.C, cell.epsilon) for cell in UGCVQA().search(split, 0).candidates(linear)[:2]] == [(2, 0.2), (4, 0.2)]
    assert len(UGCVQA().search(split, 0).candidates(linear)) == 10
    assert len(Nested().search(split, 0).candidates(rbf)) == 24
    assert len(Nested().search(split, 0).candidates(linear)) == 8


def test_cross_trains_on_all_of_the_source():
    (split,) = Cross().splits(IDS)
    assert split.train.tolist() == list(range(40))
    assert len(Cross(selection="best_of_100").splits(IDS)) == 100


def test_permuted_labels_are_the_same_values_in_another_order():
    mos = np.arange(40.0)
    np.testing.assert_array_equal(Paper().training_mos(mos), mos)
    shuffled = Paper(permute_labels=True).training_mos(mos)
    assert sorted(shuffled) == mos.tolist()
    assert (shuffled != mos).sum() > 30
    assert (Paper(permute_labels=True, seed=1).training_mos(mos) != shuffled).any()


def test_settings_as_a_result_holds_them():
    assert Paper(splits_file="/some/where/s.json").describe() == {
        "name": "paper",
        "seed": 0,
        "scale_mos": True,
        "permute_labels": False,
        "repeats": 20,
        "folds": 5,
        "scaling": "standard",
        "permutation": 0,
        "splits_file": "s.json",
        "groups_file": None,
        "mapping_fitted_on": "train",
    }


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: Paper(scaling="source"),
            "protocol.scaling=source is unknown. Found: standard, minmax, none, l2, signed_sqrt, signed_sqrt_l2",
        ),
        (lambda: Paper(folds=1), "protocol.folds=1 is below 2"),
        (lambda: Paper(repeats=0), "protocol.repeats=0 is below 1"),
        (lambda: Paper(mapping="all"), "protocol.mapping=all is unknown. Found: train, test"),
        (lambda: UGCVQA(test_fraction=1.5), "protocol.test_fraction=1.5 is not between 0 and 1"),
        (
            lambda: Cross(scaling="minmax"),
            "protocol.scaling=minmax is unknown across datasets. Found: source, target",
        ),
        (
            lambda: Cross(scaling="target", scaler="l2"),
            "protocol.scaler=l2 cannot be had. Found: standard, minmax",
        ),
        (lambda: Cross(selection="best"), "protocol.selection=best is unknown. Found: all, best_of_100"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ConfigError) as error:
        make()
    assert str(error.value) == message


@pytest.mark.parametrize(
    "ids, groups, message",
    [
        (IDS[:9], None, "9 videos are too few to evaluate on. Try: give 10 or more"),
        (IDS, GROUPS[:5], "there are 5 group labels for 40 videos"),
        (IDS, [0] * 20 + [1] * 20, "2 groups of videos cannot make 5 folds. Try: fewer folds, or more videos"),
    ],
)
def test_videos_that_cannot_be_split(ids, groups, message):
    with pytest.raises(FeatureError) as error:
        Paper().splits(ids, groups)
    assert str(error.value) == message


def test_cross_on_the_whole_source_has_no_splits_to_import():
    with pytest.raises(ConfigError) as error:
        Cross(splits_file="splits.json")
    assert str(error.value) == (
        "protocol.selection=all fits on the whole source and has no splits. "
        "Try: leave protocol.splits_file out, or set protocol.selection=best_of_100"
    )
