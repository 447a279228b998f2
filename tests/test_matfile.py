import struct
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.io import savemat

from fmcvqa.data.labels import LIVEVQC
from fmcvqa.errors import FeatureError
from fmcvqa.features.matrixfile import read_matrix
from fmcvqa.matfile import MatFileError, load_mat

VALUES = np.arange(12.0).reshape(4, 3)
_DOUBLE, _RESERVED = 9, 8  # types of data


@pytest.fixture
def deadly(tmp_path: Path) -> Path:
    """A file whose numbers are of a type that does not exist: SciPy then uses a pointer to nothing."""
    file = tmp_path / "data.mat"
    savemat(file, {"mos": VALUES})
    before, after = (struct.pack("<II", kind, VALUES.nbytes) for kind in (_DOUBLE, _RESERVED))
    whole = file.read_bytes()
    assert whole.count(before) == 1
    file.write_bytes(whole.replace(before, after))
    return file


def test_variables_are_read(tmp_path: Path) -> None:
    savemat(tmp_path / "x.mat", {"a": VALUES, "b": np.eye(2)})
    np.testing.assert_array_equal(load_mat(tmp_path / "x.mat")["a"], VALUES)
    assert "a" not in load_mat(tmp_path / "x.mat", ["b"])


def test_a_file_that_would_end_the_process_is_one_message(deadly: Path) -> None:
    problem = "is damaged or not a MATLAB file (SciPy ends with SIGSEGV when it reads it)"
    with pytest.raises(MatFileError) as told:
        load_mat(deadly)
    assert str(told.value) == problem
    with pytest.raises(FeatureError) as refused:
        read_matrix(deadly)
    assert str(refused.value) == f"{deadly} {problem}"
    assert f"{deadly} {problem}" in LIVEVQC(deadly.parent).check().problems


@pytest.mark.parametrize(
    ("code", "how"), [(-9, "signal 9; out of memory?"), (-40, "signal 40; out of memory?"), (1, "exit code 1")]
)
def test_a_process_that_says_nothing_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, how: str
) -> None:
    savemat(tmp_path / "x.mat", {"a": VALUES})
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=code))
    with pytest.raises(MatFileError) as told:
        load_mat(tmp_path / "x.mat")
    assert str(told.value) == f"could not be read by a process of its own ({how})"


def test_a_file_that_is_not_there_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(MatFileError, match=r"cannot be read \(No such file or directory\)"):
        load_mat(tmp_path / "x.mat")
