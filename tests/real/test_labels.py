"""The label readers on the published label files."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from fmcvqa.data.labels import LIVEVQC, TID2013, CSVVideos, KoNViD1k

pytestmark = pytest.mark.real


def test_tid2013_has_3000_labels_in_three_letter_cases(real_data: Path) -> None:
    folder = real_data / "labels" / "tid2013"
    names = [line.split()[1] for line in (folder / "mos_with_names.txt").read_text().splitlines()]
    cases = Counter((name[0], name.rpartition(".")[2]) for name in names)
    assert cases == {("i", "bmp"): 2925, ("I", "bmp"): 25, ("I", "BMP"): 50}
    labels = TID2013(folder).labels()
    assert len(labels) == 3000
    assert {label.id for label in labels} == {
        f"i{ref:02}_{kind:02}_{level}" for ref in range(1, 26) for kind in range(1, 25) for level in range(1, 6)
    }
    scores = [label.mos for label in labels]
    assert (min(scores), max(scores)) == pytest.approx((0.24242, 7.21429), abs=5e-5)
    assert {label.id: label.mos for label in labels}["i01_01_5"] == pytest.approx(3.86486, abs=5e-5)


def test_tid2013_finds_its_genuine_reference_and_distortion(real_data: Path) -> None:
    samples = real_data / "tid2013_samples"
    report = TID2013(samples).check()
    assert report.unlabelled == ("i01_01_5.bmp",)
    both = TID2013(real_data, allow_missing=True)
    (record,) = both.records()
    assert (record.id, record.path, record.reference) == ("i01_01_5", samples / "i01_01_5.bmp", "I01")
    assert [name for name in both.check().missing if "reference" in name] == [
        f"reference I{number:02}" for number in range(2, 26)
    ]


@pytest.mark.parametrize("file", ["KoNViD_1k_mos.csv", "KoNViD_1k_attributes.csv"])
def test_konvid1k_has_the_same_1200_labels_in_either_file(real_data: Path, tmp_path: Path, file: str) -> None:
    folder = real_data / "labels" / "konvid1k"
    shutil.copy(folder / file, tmp_path)
    alone, both = KoNViD1k(tmp_path).labels(), KoNViD1k(folder).labels()
    assert len(both) == 1200
    assert [label.id for label in alone] == [label.id for label in both]
    assert [label.mos for label in alone] == pytest.approx([label.mos for label in both], abs=5e-5)
    assert (min(label.mos for label in both), max(label.mos for label in both)) == (1.22, 4.64)


def test_konvid1k_joins_the_three_genuine_clips(real_data: Path) -> None:
    dataset = KoNViD1k(real_data, allow_missing=True)
    report = dataset.check()
    assert (report.labels, report.files, len(report.missing), report.unlabelled, report.problems) == (
        1200,
        3,
        1197,
        (),
        (),
    )
    assert {record.id: round(record.mos, 2) for record in dataset.records()} == {
        "3339962845": 4.64,
        "10053703034": 3.46,
        "5115335471": 2.16,
    }


def test_livevqc_has_585_labels_and_agrees_with_the_metadata(real_data: Path) -> None:
    labels = LIVEVQC(real_data / "labels" / "livevqc").labels()
    assert len(labels) == 585
    assert Counter(label.id[0] for label in labels).keys() == set("ABCDEFGHIJKLMNOPQR")
    metadata = real_data / "features" / "LIVE_VQC_metadata.csv"
    rows = CSVVideos(metadata, path_column="File").labels()
    named = {row.id.removesuffix("NEW"): row.mos for row in rows}
    assert sum(row.id.endswith("NEW") for row in rows) == 9
    assert {label.id: label.mos for label in labels} == pytest.approx(named, abs=1e-4)


def test_the_metadata_rows_are_labels_in_their_own_order(real_data: Path) -> None:
    labels = CSVVideos(real_data / "features" / "KONVID_1K_metadata.csv").labels()
    assert (len(labels), labels[0].id, labels[0].mos) == (1200, "0", 4.64)
    by_id = CSVVideos(real_data / "features" / "KONVID_1K_metadata.csv", id_column="flickr_id").labels()
    assert sorted(by_id, key=lambda label: label.id) == KoNViD1k(real_data / "labels").labels()
