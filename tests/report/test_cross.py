import csv
import io
from pathlib import Path

from fmcvqa.report.cross import CROSS_COLUMNS, build_cross_table, cross_csv, cross_markdown, cross_text
from fmcvqa.report.groups import group_results
from fmcvqa.report.results import find_results

KONVID = {"name": "KoNViD-1k", "stand_in": False, "videos": 40, "mos_range": [1, 5]}
LIVE = {"name": "LIVE-VQC", "stand_in": False, "videos": 40, "mos_range": [0, 100]}
STRICT = {"name": "cross", "scaling": "source", "selection": "all", "mapping_fitted_on": "train"}


def table(folder: Path):
    return build_cross_table(group_results(find_results(folder)))


def test_rows_of_both_directions(tmp_path: Path, write) -> None:
    write(tmp_path / "kl", srocc=0.7, dataset=KONVID, target=LIVE, protocol=STRICT)
    write(tmp_path / "lk", srocc=0.6, dataset=LIVE, target=KONVID, protocol=STRICT)
    rows = list(csv.DictReader(io.StringIO(cross_csv(table(tmp_path)))))
    assert tuple(rows[0]) == CROSS_COLUMNS
    assert len(rows) == 16
    ours = rows[0]
    assert (ours["direction"], ours["method"], ours["layers"]) == ("KoNViD-1k -> LIVE-VQC", "fmcvqa", "Mixed_5b")
    assert [float(ours[key]) for key in ("srocc", "srocc_low", "srocc_high")] == [0.7, 0.7 - 0.05, 0.7 + 0.04]
    assert float(ours["plcc"]) == 0.71 and ours["settings"] == "scaling=source"
    paper = next(row for row in rows if row["method"] == "proposed (paper)")
    assert (paper["plcc"], paper["srocc"], paper["plcc_low"], paper["layers"]) == ("0.821", "0.729", "", "")
    assert (rows[8]["direction"], float(rows[8]["srocc"])) == ("LIVE-VQC -> KoNViD-1k", 0.6)
    assert (rows[15]["plcc"], rows[15]["srocc"]) == ("0.6715", "0.6698")


def test_videos_of_both_sets_that_were_used_in_part_are_counted(tmp_path: Path, write) -> None:
    for kernel in ("linear", "rbf"):
        sets = {"dataset": {**KONVID, "damaged": 3}, "target": {**LIVE, "damaged": 1}}
        write(tmp_path / kernel, kernel=kernel, protocol=STRICT, **sets)
    notes = [note.split(" are marked as damaged")[0] for note in table(tmp_path).notes if "damaged" in note]
    assert notes == ["3 of the 40 videos of KoNViD-1k", "1 of the 40 videos of LIVE-VQC"]


def test_page(tmp_path: Path, write) -> None:
    write(tmp_path / "a", srocc=0.6, dataset=KONVID, target=LIVE, protocol=STRICT)
    write(tmp_path / "b", kernel="rbf", srocc=0.7, dataset=KONVID, target=LIVE, protocol=STRICT)
    page = cross_markdown(table(tmp_path))
    assert "| fmcvqa | Mixed_5b | rbf | scaling=source | 0.710 [0.660, 0.750] | 0.700 [0.650, 0.740] |" in page
    assert page.index("| rbf |") < page.index("| linear |")
    assert "| CNN-TLVQM (2020) |  |  |  | 0.752 | 0.713 |  |  |  |" in page
    assert "- k=2 cells were compared on the same target videos, so the best one's score is optimistic." in page
    assert "0.8139, Table II" in page
    assert "Stand-in" not in page


def test_scalings_stand_side_by_side(tmp_path: Path, write) -> None:
    write(tmp_path / "a", dataset=KONVID, target=LIVE, protocol=STRICT)
    authors = {**STRICT, "scaling": "target", "selection": "best_of_100"}
    write(tmp_path / "b", dataset=KONVID, target=LIVE, protocol=authors, name="authors")
    (direction,) = table(tmp_path).directions
    assert [settings for _, settings in direction.ours] == [
        "scaling=target, selection=best_of_100, authors",
        "scaling=source, table1",
    ]


def test_stand_ins_and_unknown_sets(tmp_path: Path, write) -> None:
    mine = {"name": "mine", "stand_in": False, "videos": 40, "mos_range": [0, 1]}
    write(tmp_path / "a", dataset={**KONVID, "stand_in": True}, target=mine, protocol=STRICT)
    text = cross_text(table(tmp_path))
    assert text.startswith(
        "KoNViD-1k -> mine\n"
        "Stand-in: the videos of KoNViD-1k are generated. Published numbers are for the real set.\n"
        "method  layers    kernel  settings        PLCC [95 %]           "
        "SROCC [95 %]          KROCC  PLCC mapped   RMSE\n"
    )
    assert "DisCoVQA" not in text
