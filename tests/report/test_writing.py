from pathlib import Path

import pytest

from fmcvqa.errors import ConfigError
from fmcvqa.report.fields import ResultError
from fmcvqa.report.writing import write_report

LIVE = {"name": "LIVE-VQC", "stand_in": False, "videos": 40, "mos_range": [0, 100]}
FILES = ["heatmap.png", "report.html", "scatter.png", "splits.png", "table.csv", "table.md"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_dataset(tmp_path: Path, write) -> None:
    for kernel, srocc in (("linear", 0.7), ("rbf", 0.75)):
        write(tmp_path / "in" / kernel, kernel=kernel, srocc=srocc)
    files = write_report(tmp_path / "in", tmp_path / "out" / "deep")
    assert names(files.out) == sorted([*FILES, "differences.csv"])
    assert sorted(path.name for path in files.paths) == names(files.out)
    assert files.groups[0].differences.read_text().splitlines()[1].startswith("Mixed_5b linear,Mixed_5b rbf,-0.05")
    assert files.cells == 2
    assert files.groups[0].best.cell.kernel == "rbf"
    assert files.groups[0].table_csv.read_text().splitlines()[1].startswith("Mixed_5b,linear,0.7,")
    page = files.groups[0].table_md.read_text(encoding="utf-8")
    assert page.endswith("\n![scatter](scatter.png)\n\n![heatmap](heatmap.png)\n\n![splits](splits.png)\n")
    assert (files.table3_md, files.table3_csv) == (None, None)


def test_into_the_folder_it_reads_and_again(tmp_path: Path, write) -> None:
    write(tmp_path / "cell")
    first = {path.name: path.read_bytes() for path in write_report(tmp_path, tmp_path).paths}
    assert {path.name: path.read_bytes() for path in write_report(tmp_path, tmp_path).paths} == first
    assert names(tmp_path) == ["cell", *FILES]


def test_several_datasets_a_control_and_a_direction(tmp_path: Path, write) -> None:
    write(tmp_path / "in" / "a")
    write(tmp_path / "in" / "b", dataset=LIVE)
    write(tmp_path / "in" / "c", protocol={"name": "paper", "permute_labels": True})
    write(tmp_path / "in" / "d", dataset=LIVE, target={**LIVE, "name": "KoNViD-1k"})
    files = write_report(tmp_path / "in", tmp_path / "out")
    assert names(files.out) == sorted(
        [f"{slug}_{name}" for slug in ("konvid-1k", "live-vqc", "permuted") for name in FILES if name != "report.html"]
        + [
            "live-vqc-to-konvid-1k_heatmap.png",
            "live-vqc-to-konvid-1k_scatter.png",
            "report.html",
            "table3.csv",
            "table3.md",
        ]
    )
    assert [group.group.slug for group in files.groups] == [
        "konvid-1k",
        "live-vqc",
        "live-vqc-to-konvid-1k",
        "permuted",
    ]
    assert files.table3_csv.read_text().startswith("direction,method,layers,kernel,settings,plcc,")
    assert "![scatter](konvid-1k_scatter.png)" in (files.out / "konvid-1k_table.md").read_text(encoding="utf-8")
    titles = [line for line in files.text.splitlines() if line.endswith("splits")]
    assert titles == [
        "KoNViD-1k: median and standard deviation over 5 splits",
        "LIVE-VQC: median and standard deviation over 5 splits",
        "KoNViD-1k, labels permuted (control): median and standard deviation over 5 splits",
    ]


def test_one_damaged_result_writes_nothing(tmp_path: Path, write) -> None:
    write(tmp_path / "in" / "a")
    (tmp_path / "in" / "b").mkdir()
    (tmp_path / "in" / "b" / "result.json").write_text("{")
    with pytest.raises(ResultError):
        write_report(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_out_is_a_file(tmp_path: Path, write) -> None:
    write(tmp_path / "in")
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConfigError) as caught:
        write_report(tmp_path / "in", tmp_path / "out")
    assert str(caught.value) == (
        f"cannot write a report into {tmp_path / 'out'}. Found: a file of that name. Try: another --out"
    )
    assert (tmp_path / "out").read_text() == "mine"
