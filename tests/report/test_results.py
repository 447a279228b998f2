import json
import math
from pathlib import Path

import pytest

from fmcvqa.errors import EXIT_NOT_STARTED, EXIT_USAGE, ConfigError
from fmcvqa.report.fields import ResultError
from fmcvqa.report.results import Cell, DatasetCard, Score, find_results, read_result

AGAIN = "Try: run this cell again with force=true"


def test_reads_what_was_written(tmp_path: Path, write) -> None:
    result = read_result(write(tmp_path, ["Mixed_5c", "avgpool"], "rbf", 0.75))
    assert result.cell == Cell(("Mixed_5c", "avgpool"), ("mean", "max"), "rbf", 1.0, 0.1, "scale")
    assert result.cell.layers_text == "avgpool+Mixed_5c"
    assert result.dataset == DatasetCard("KoNViD-1k", False, 40, (1.0, 5.0))
    assert result.target is None and not result.stand_in
    assert result.scores["srocc"] == Score(0.75, pytest.approx(0.0141421356))
    assert result.scores["plcc"].value == pytest.approx(0.76)
    assert result.splits["srocc"].tolist() == pytest.approx([0.73, 0.74, 0.75, 0.76, 0.77])
    assert result.splits["test"].tolist() == [8.0] * 5
    assert len(result.ids) == len(result.mos) == len(result.predicted) == 40


def test_cross_dataset_scores_have_an_interval(tmp_path: Path, write) -> None:
    live = {"name": "LIVE-VQC", "stand_in": True, "videos": 40, "mos_range": [0, 100]}
    result = read_result(write(tmp_path, srocc=0.7, target=live))
    assert result.scores["srocc"] == Score(0.7, None, (pytest.approx(0.65), pytest.approx(0.74)))
    assert result.target == DatasetCard("LIVE-VQC", True, 40, (0.0, 100.0))
    assert result.stand_in


def test_null_is_not_a_number(tmp_path: Path, write, result) -> None:
    data = result()
    data["scores"]["plcc_mapped"]["median"] = None
    data["splits"][1]["plcc_mapped"] = None
    del data["splits"][2]["rmse"]
    read = read_result(write(tmp_path, data))
    assert math.isnan(read.scores["plcc_mapped"].value)
    assert math.isnan(read.splits["plcc_mapped"][1])
    assert math.isnan(read.splits["rmse"][2])


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["cell"], None, "{path} has no cell. Found: name, dataset, target, protocol, scores, splits, predictions, "),
        (["cell", "kernel"], None, "{path} has no cell.kernel. Found: layers, pools, C, epsilon, gamma. "),
        (["scores", "plcc", "std"], None, "{path} has no scores.plcc.std. Found: median, mean. "),
        (["splits", 1, "srocc"], None, "{path} has no splits[1].srocc. Found: split, train, test, krocc, plcc, "),
        (["predictions", 3, "mos"], None, "{path} has no predictions[3].mos. Found: id, predicted. "),
        (["predictions"], [], "predictions in {path} is empty. "),
        (["splits"], [], "splits in {path} is empty. "),
        (["target"], None, "{path} has no target. Found: name, cell, dataset, protocol, scores, splits, predictions, "),
        (["cell", "layers"], "Mixed_5b", "cell.layers in {path} is not a list of texts. Found: 'Mixed_5b'. "),
        (["cell", "layers"], [5], "cell.layers in {path} is not a list of texts. Found: [5]. "),
        (["dataset", "videos"], True, "dataset.videos in {path} is not a whole number. Found: True. "),
        (["dataset", "stand_in"], 0, "dataset.stand_in in {path} is not true or false. Found: 0. "),
        (["dataset", "mos_range"], [1], "dataset.mos_range in {path} is not a pair of numbers. Found: [1]. "),
        (["scores", "srocc", "median"], "high", "scores.srocc.median in {path} is not a number. Found: 'high'. "),
        (["scores", "srocc", "median"], 10**400, "scores.srocc.median in {path} is no number of ours. "),
        (["dataset", "mos_range"], [1, 10**400], "dataset.mos_range in {path} is no number of ours. "),
        (["protocol"], "paper", "protocol in {path} is not an object. Found: 'paper'. "),
        (["predictions", 0], 1, "{path} has no predictions[0].id. Found: int. "),
    ],
)
def test_damage_is_named(tmp_path: Path, write, result, keys, value, message: str) -> None:
    data = result()
    place = data
    for key in keys[:-1]:
        place = place[key]
    if value is None:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    path = write(tmp_path, {"key": "k", **data}) if "cell" in data and "target" in data else tmp_path / "result.json"
    path.write_text(json.dumps({**data, "key": "k"}))
    with pytest.raises(ResultError) as caught:
        find_results(tmp_path)
    assert str(caught.value).startswith(message.format(path=path))
    assert str(caught.value).endswith(AGAIN)
    assert caught.value.exit_code == EXIT_NOT_STARTED


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"name": "ta', "Unterminated string starting at: line 1 column 10 (char 9)"),
        ("[" * 100_000, "maximum recursion depth exceeded"),
        ("1" * 5000, "Exceeds the limit (4300 digits) for integer string conversion"),
    ],
)
def test_half_a_file(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(ResultError) as caught:
        find_results(tmp_path)
    assert str(caught.value).startswith(f"{path} cannot be read as JSON: {reason}")
    assert str(caught.value).endswith(AGAIN)


def test_finds_cells_at_any_depth_and_counts_a_copy_once(tmp_path: Path, write) -> None:
    linear = write(tmp_path / "table1" / "Mixed_5b_linear", kernel="linear")
    write(tmp_path / "table1" / "Mixed_5b_rbf", kernel="rbf")
    (tmp_path / "result.json").write_bytes(linear.read_bytes())
    found = find_results(tmp_path)
    assert [result.cell.kernel for result in found] == ["linear", "rbf"]
    assert found[0].path == tmp_path / "result.json"
    assert len(find_results(linear)) == len(find_results(linear.parent)) == 1


def test_the_same_cell_in_two_experiments_counts_in_both(tmp_path: Path, write) -> None:
    for name in ("table1", "demo"):
        write(tmp_path / name, name=name, key="same")
    assert [result.name for result in find_results(tmp_path)] == ["demo", "table1"]


def test_results_of_other_commands_are_not_cells(tmp_path: Path, write) -> None:
    (tmp_path / "result.json").write_text('{"name": "finetune", "scores": {}}')
    with pytest.raises(ConfigError) as caught:
        find_results(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no result of a sweep's cell. Found: 1 result.json of other commands. "
        "Try: give the folder a sweep wrote, or run one: fmcvqa sweep table1_konvid1k"
    )
    write(tmp_path / "cell")
    assert len(find_results(tmp_path)) == 1


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find_results(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no result of a sweep's cell. Found: no file named result.json. "
        "Try: give the folder a sweep wrote, or run one: fmcvqa sweep table1_konvid1k"
    )
    with pytest.raises(ConfigError) as caught:
        find_results(tmp_path / "outputs")
    assert str(caught.value) == (
        f"there is no folder {tmp_path / 'outputs'}. Try: the folder a sweep wrote, such as outputs/NAME"
    )
    assert caught.value.exit_code == EXIT_USAGE
