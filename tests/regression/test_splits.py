from __future__ import annotations

import json

import numpy as np
import pytest

from fmcvqa.errors import FeatureError
from fmcvqa.regression.protocols import Paper
from fmcvqa.regression.splits import Split, read_groups, read_splits, splits_digest, write_splits

IDS = [f"v{i}" for i in range(12)]


def test_splits_go_to_a_file_and_back_by_id(tmp_path):
    splits = Paper().splits(IDS)
    write_splits(tmp_path / "splits.json", IDS, splits)
    back = Paper(splits_file=tmp_path / "splits.json").splits(IDS)
    assert splits_digest(back) == splits_digest(splits)
    turned = read_splits(tmp_path / "splits.json", IDS[::-1])
    assert [{IDS[::-1][i] for i in s.test} for s in turned] == [{IDS[i] for i in s.test} for s in splits]


def write(path, **changes):
    good = {"format": "fmcvqa-splits-1", "videos": IDS, "splits": [{"train": list(range(8)), "test": [8, 9, 10, 11]}]}
    path.write_text(json.dumps(good | changes))
    return path


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"format": "other"},
            "cannot read splits from {} (KeyError). Try: give a JSON file of the format fmcvqa-splits-1",
        ),
        *(
            (
                {"splits": [{"train": [0, odd], "test": [1]}]},
                "cannot read splits from {} (ValueError). Try: give a JSON file of the format fmcvqa-splits-1",
            )
            for odd in (99, 10**30, -1, 2.5, True, 0)
        ),
        (
            {"videos": [*IDS[:-1], "other"]},
            "{} splits 12 videos, but there are 12. Found: only on one side: other, v11. "
            "Try: use the splits of this very set",
        ),
        ({"splits": [{"train": [0, 1, 2], "test": [2, 3]}]}, "split 0 of {} trains on 1 of the videos it tests"),
        ({"splits": [{"train": [0, 1, 2], "test": []}]}, "split 0 of {} trains on 3 and tests 0 videos"),
        ({"splits": []}, "{} has no split"),
    ],
)
def test_a_file_that_leaks_or_does_not_fit_is_refused(tmp_path, changes, message):
    path = write(tmp_path / "splits.json", **changes)
    with pytest.raises(FeatureError) as error:
        read_splits(path, IDS)
    assert str(error.value) == message.format(path)


def test_a_file_that_tears_a_group_apart_is_refused(tmp_path):
    path = write(tmp_path / "splits.json")
    with pytest.raises(FeatureError) as error:
        read_splits(path, IDS, np.array([i // 5 for i in range(12)]))
    assert str(error.value) == f"split 0 of {path} has group 1 on both sides"


def test_the_digest_tells_order_and_sides_apart():
    a, b = np.array([0, 1]), np.array([2])
    assert len({splits_digest(s) for s in ([Split(a, b)], [Split(b, a)], [Split(a, b)] * 2)}) == 3


def test_groups_come_from_a_file_by_id(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("group,id,more\n" + "".join(f"g{i // 3},v{i},x\n" for i in range(20)))
    assert read_groups(path, IDS).tolist() == [f"g{i // 3}" for i in range(12)]
    assert read_groups(path, IDS[::-1]).tolist() == [f"g{i // 3}" for i in range(12)][::-1]
    for split in Paper(repeats=1, folds=4, groups_file=path).splits(IDS):
        assert {i // 3 for i in split.test}.isdisjoint({i // 3 for i in split.train})


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "id,content\nv0,g\n",
            "cannot read groups from {} (KeyError). Try: give a CSV file with the columns id and group",
        ),
        (
            "id,group\nv0,g\nv1,g\n",
            "{} has no group for 10 of 12 videos: v2, v3, v4, v5, v6. Found: v0, v1. Try: give every video one group",
        ),
        (
            "id,group\n" + "".join(f"v{i},g\n" for i in range(12)) + "v3,h\n",
            "{} gives v3 two groups. Try: give every video one",
        ),
    ],
)
def test_a_file_of_groups_that_does_not_fit_is_refused(tmp_path, text, message):
    path = tmp_path / "groups.csv"
    path.write_text(text)
    with pytest.raises(FeatureError) as error:
        read_groups(path, IDS)
    assert str(error.value) == message.format(path)
