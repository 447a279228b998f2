from __future__ import annotations

import numpy as np
import pytest
from scipy.io import savemat

from fmcvqa.errors import ConfigError, FeatureError
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.features.matrixfile import read_matrix

VALUES = np.arange(12.0).reshape(4, 3)
KEY = ("matrix", "all")


def message(call):
    with pytest.raises((FeatureError, ConfigError)) as error:
        call()
    return str(error.value)


@pytest.fixture
def files(tmp_path):
    savemat(tmp_path / "one.mat", {"feats_mat": VALUES})
    savemat(tmp_path / "two.mat", {"a": VALUES, "b": VALUES + 1, "text": "words"})
    np.savez(tmp_path / "one.npz", feats=VALUES, ids=np.array(["v3", "v1", "v0", "v2"]))
    np.save(tmp_path / "one.npy", VALUES.astype(np.float32))
    (tmp_path / "plain.csv").write_text("\n".join(",".join(map(str, row)) for row in VALUES))
    lines = ["name,f0,f1,f2"] + [f"v{i}," + ",".join(map(str, row)) for i, row in enumerate(VALUES)]
    (tmp_path / "named.csv").write_text("﻿" + "\r\n".join(lines))
    return tmp_path


@pytest.mark.parametrize("name", ["one.mat", "one.npz", "one.npy", "plain.csv"])
def test_every_kind_of_file_gives_the_same_block(files, name):
    matrix = read_matrix(files / name)
    np.testing.assert_array_equal(matrix.blocks[KEY], VALUES)
    assert matrix.blocks[KEY].dtype == (np.float32 if name == "one.npy" else np.float64)
    assert matrix.columns == 3 and len(matrix) == 4
    assert matrix.carries_ids == (name == "one.npz")
    assert matrix.ids == (["v3", "v1", "v0", "v2"] if name == "one.npz" else ["0", "1", "2", "3"])


def test_one_of_several_arrays_is_named(files):
    np.testing.assert_array_equal(read_matrix(files / "two.mat", array="b").blocks[KEY], VALUES + 1)
    expected = f"in {files / 'two.mat'}. Found: a [4, 3], b [4, 3]. Try: name it with features.array"
    assert message(lambda: read_matrix(files / "two.mat")) == f"cannot find one matrix {expected}"
    assert message(lambda: read_matrix(files / "two.mat", array="c")) == f"cannot find a matrix called c {expected}"


def test_a_csv_may_carry_ids(files):
    matrix = read_matrix(files / "named.csv", id_column="name")
    assert matrix.ids == ["v0", "v1", "v2", "v3"]
    np.testing.assert_array_equal(matrix.blocks[KEY], VALUES)
    assert message(lambda: read_matrix(files / "named.csv")) == (
        f"{files / 'named.csv'} has 'v0' in data line 0, which is no number. "
        "Try: name the column of ids with features.id_column; every other column must hold numbers"
    )
    assert message(lambda: read_matrix(files / "one.mat", id_column="id")) == (
        f"{files / 'one.mat'} has no column id, nor ids of another kind. "
        "Try: a .csv with that column, an .npz with an array of strings called ids, or no features.id_column"
    )
    assert message(lambda: read_matrix(files / "named.csv", id_column="id")) == (
        f"{files / 'named.csv'} has no column id. Found: name, f0, f1, f2. Try: check features.id_column"
    )
    assert message(lambda: read_matrix(files / "named.csv", array="a", id_column="name")) == (
        f"{files / 'named.csv'} holds a single matrix without a name, so none called a. "
        "Try: leave out features.array, or give a .mat or .npz file"
    )
    for text, column in (("1,2\n3\n", None), ("a,id\n1,v\n2\n", "id"), ("a,b\n1\n2\n", None)):
        (files / "odd.csv").write_text(text)
        assert message(lambda column=column: read_matrix(files / "odd.csv", id_column=column)) == (
            f"the lines of {files / 'odd.csv'} differ in their number of columns"
        )


def test_cells_that_are_not_finite_are_named_or_made_0(tmp_path):
    values = VALUES.copy()
    values[1, 2], values[3, 0] = np.nan, np.inf
    np.save(tmp_path / "bad.npy", values)
    assert message(lambda: read_matrix(tmp_path / "bad.npy")) == (
        "block matrix/all holds 2 values that are not finite numbers: row 1 column 2, row 3 column 0. "
        "Try: repair them, leave those videos out, or set features.nonfinite=zero to put 0 in their place"
    )
    zeroed = read_matrix(tmp_path / "bad.npy", nonfinite="zero").blocks[KEY]
    values[1, 2] = values[3, 0] = 0
    np.testing.assert_array_equal(zeroed, values)
    assert message(lambda: read_matrix(tmp_path / "bad.npy", nonfinite="skip")) == (
        "features.nonfinite=skip is unknown. Found: error, zero"
    )


def test_files_that_are_no_matrix(tmp_path):
    (tmp_path / "x.mat").write_text("text")
    (tmp_path / "x.npy").write_text("text")
    (tmp_path / "x.h5").write_text("text")
    np.save(tmp_path / "words.npy", np.array([["a"]], dtype=object), allow_pickle=True)
    np.save(tmp_path / "flat.npy", np.arange(3.0))
    assert message(lambda: read_matrix(tmp_path / "no.mat")) == (
        f"there is no feature matrix {tmp_path / 'no.mat'}. Try: check features.path"
    )
    assert message(lambda: read_matrix(tmp_path / "x.h5")) == (
        f"cannot tell what kind of feature matrix {tmp_path / 'x.h5'} is. Found: .mat, .npz, .npy, .csv"
    )
    assert message(lambda: read_matrix(tmp_path / "flat.npy")) == (
        f"cannot find one matrix in {tmp_path / 'flat.npy'}. Found: no 2-D array of numbers. "
        "Try: one row a video, one column a feature"
    )
    assert message(lambda: read_matrix(tmp_path / "x.mat")).startswith(
        f"{tmp_path / 'x.mat'} is damaged or not a MATLAB file ("
    )
    (tmp_path / "latin.csv").write_bytes("größe\n1\n".encode("latin-1"))
    assert message(lambda: read_matrix(tmp_path / "latin.csv")) == (
        f"{tmp_path / 'latin.csv'} is not UTF-8 text. Try: save it as UTF-8"
    )
    (tmp_path / "long.csv").write_text("1" * 200_000)
    assert message(lambda: read_matrix(tmp_path / "long.csv")) == (
        f"{tmp_path / 'long.csv'} is not valid CSV (field larger than field limit (131072))"
    )
    np.save(tmp_path / "open.npy", VALUES)
    header = (tmp_path / "open.npy").read_bytes()
    (tmp_path / "open.npy").write_bytes(header.replace(b"(4, 3), }", b"(4, 3),  "))
    for name in ("x.npy", "words.npy", "open.npy"):
        assert message(lambda name=name: read_matrix(tmp_path / name)).startswith(
            f"cannot read {tmp_path / name} as an .npy file: "
        )


def test_rows_are_joined_to_labels_by_id_or_by_order(files):
    named, plain = read_matrix(files / "one.npz"), read_matrix(files / "one.mat")
    joined = named.aligned(["v1", "v2"])
    assert joined.ids == ["v1", "v2"]
    np.testing.assert_array_equal(joined.blocks[KEY], VALUES[[1, 3]])
    assert plain.aligned(["a", "b", "c", "d"]).ids == ["a", "b", "c", "d"]
    assert message(lambda: named.aligned(["v1", "v9"])) == (
        "1 of 2 labelled videos have no features: v9. Found: 4 rows, the first of them v3. "
        "Try: extract those videos, or leave their labels out"
    )
    assert message(lambda: plain.aligned(["a"])) == (
        "the feature matrix has 4 rows but there are 1 labels. "
        "Try: give one row per label in the labels' order, or a matrix that carries ids"
    )


def test_a_matrix_checks_itself():
    block = np.ones((2, 3), np.float32)
    assert message(lambda: FeatureMatrix(["a", "b"], {})) == (
        "there are no features. Try: name at least one layer and one pooling"
    )
    assert message(lambda: FeatureMatrix(["a", "a"], {("A", "mean"): block})) == (
        "1 video ids occur more than once. Found: a"
    )
    assert message(lambda: FeatureMatrix(["a", "b", "c"], {("A", "mean"): block})) == (
        "block A/mean has shape [2, 3], not [3, columns]. Try: give one row per video"
    )
    block[1, 1] = np.nan
    assert message(lambda: FeatureMatrix(["a", "b"], {("A", "mean"): block})).startswith(
        "block A/mean holds 1 values that are not finite numbers: row 1 (b) column 1. Try: "
    )


def test_the_fingerprint_sees_ids_names_and_every_value():
    def make(ids=("a", "b"), name="A", value=1.0, kind=np.float32):
        return FeatureMatrix(list(ids), {(name, "mean"): np.full((2, 3), value, kind)}).fingerprint()

    assert make() == make()
    assert len({make(), make(("b", "a")), make(name="B"), make(value=2.0), make(kind=np.float64)}) == 5
