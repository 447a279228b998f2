"""fmcvqa audit: an honest set passes, and each planted fault is named by the check that is there for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from tiny import run

from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.regression.audit import audit
from fmcvqa.regression.protocols import Paper
from fmcvqa.regression.svr import Cell

Capture = pytest.CaptureFixture[str]
Figure = Callable[[str], None]
CHECKS = [
    "finite numbers",
    "labels",
    "number of videos",
    "constant columns",
    "copies",
    "labels among features",
    "test rows in fitting",
    "test rows among each other",
    "permuted labels",
]


def made(count: int = 40, columns: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(count, columns))
    return X, 3 + X[:, 0] + rng.normal(size=count)


def written(tmp_path: Path, X: np.ndarray, mos: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", np.asfortranarray(X))  # as MATLAB's files are
    (tmp_path / "mos.csv").write_text("mos\n" + "\n".join(map(repr, map(float, mos))) + "\n")


def checked(X: np.ndarray, mos: np.ndarray, **more: object) -> dict[str, tuple[str, str]]:
    """Finding and detail of the checks that fit nothing."""
    features = FeatureMatrix([f"v{k}" for k in range(len(X))], {("matrix", "all"): X})
    found = islice(audit(features, mos, Cell(layers=("matrix",), pools=("all",)), Paper(repeats=1), **more), 5)
    return {verdict.check: (verdict.finding, verdict.detail) for verdict in found}


def audited(
    tmp_path: Path, capsys: Capture, X: np.ndarray, mos: np.ndarray, *more: str
) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and finding and detail by check."""
    written(tmp_path, X, mos)
    files = ["--features", str(tmp_path / "x.npy"), "--labels", str(tmp_path / "mos.csv")]
    code, out, _ = run(capsys, "audit", *files, "--json", *more)
    return code, {verdict["check"]: (verdict["finding"], verdict["detail"]) for verdict in json.loads(out)}


@pytest.mark.parametrize("kernel", ["linear", pytest.param("rbf", marks=pytest.mark.faults)])
def test_an_honest_set_passes_every_check(kernel: str, tmp_path: Path, capsys: Capture) -> None:
    written(tmp_path, *made())
    files = ["--features", str(tmp_path / "x.npy"), "--labels", str(tmp_path / "mos.csv")]
    code, out, _ = run(capsys, "audit", *files, "--kernel", kernel)
    lines = out.splitlines()
    assert (code, lines[-1]) == (0, "all 9 checks passed")
    assert lines[0] == "ok      finite numbers              40 videos x 6 columns"
    assert [line[8:36].strip() for line in lines[:-1]] == CHECKS
    assert {line[:8].strip() for line in lines[:-1]} == {"ok"}
    assert "5 splits: scrambled test rows change no bit of what is fitted" in lines[6]
    assert lines[8].partition("20 permutations: mean SROCC ")[1]


def failed(found: dict[str, tuple[str, str]]) -> list[str]:
    return [check for check, (finding, _) in found.items() if finding == "FAILED"]


def test_copies_are_named_and_kept_together_for_the_other_checks(
    tmp_path: Path, capsys: Capture, figure: Figure
) -> None:
    X, mos = made()
    twice, labels = np.vstack([X, X[:3]]), np.append(mos, mos[:3])
    code, found = audited(tmp_path, capsys, twice, labels)
    assert (code, failed(found)) == (3, ["copies"])
    assert found["permuted labels"][0] == "ok"
    found = checked(twice, labels)
    assert found["copies"] == (
        "FAILED",
        "v0 = v40, v1 = v41, v2 = v42 have equal features; folds would train on a video and test it: "
        "leave the copies out, or give a file of groups",
    )
    grouped = checked(twice, labels, groups=[k % 40 for k in range(43)])
    assert grouped["copies"][0] == "note"
    assert grouped["copies"][1] == "v0 = v40, v1 = v41, v2 = v42 have equal features, and are in one group"
    figure("copies: named")


def test_labels_among_features(figure: Figure) -> None:
    X, mos = made()
    assert checked(np.column_stack([X, np.exp(mos)]), mos)["labels among features"] == (
        "FAILED",
        "column 6 of matrix/all ranks the videos as their MOS does (1.000): was it made from the labels?",
    )
    figure("labels among features: named")


def test_numbers_that_are_not_finite(tmp_path: Path, capsys: Capture, figure: Figure) -> None:
    X, mos = made()
    X[4, 2] = np.nan
    code, found = audited(tmp_path, capsys, X, mos)
    assert (code, failed(found)) == (3, ["finite numbers"])
    assert "1 values that are not finite numbers: row 4 column 2" in found["finite numbers"][1]
    figure("not finite: named")


def test_constants_and_too_few(tmp_path: Path, capsys: Capture, figure: Figure) -> None:
    X, mos = made()
    found = checked(np.column_stack([X, np.ones(40)]), mos)
    assert found["constant columns"] == ("note", "1 of 7 columns; they change no score")
    found = checked(np.ones((40, 2)), mos)
    assert found["constant columns"] == ("FAILED", "all 2 columns are constant: every prediction would be too")
    code, found = audited(tmp_path, capsys, X, np.full(40, 3.0))
    assert (code, failed(found)) == (3, ["labels"])
    assert found["labels"][1] == "every MOS is 3: nothing can be learnt from a constant"
    code, found = audited(tmp_path, capsys, X[:9], mos[:9])
    assert (code, failed(found)) == (3, ["number of videos"])
    assert found["number of videos"][1] == "9 videos; give 10 or more"
    assert [found[name][0] for name in CHECKS[-3:]] == ["not run"] * 3
    figure("constant columns, constant features, constant labels, 9 videos: named")


def test_fewer_permutations_say_nothing(capsys: Capture) -> None:
    code, _, err = run(capsys, "audit", "--features", "x", "--labels", "y", "--permutations", "5")
    assert code == 2
    assert "give 20 or more: fewer say nothing of 0" in err
