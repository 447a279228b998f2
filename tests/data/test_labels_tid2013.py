import pytest

from fmcvqa.data.labels import TID2013
from fmcvqa.data.records import ImageRecord, Label
from fmcvqa.errors import DatasetError

# the original's mixture of letter cases: label file, distorted folder and reference folder differ
LINES = ["5.51430 I01_01_1.bmp", "5.56760 i01_01_2.bmp", "0.24242 I25_11_1.BMP", "7.21429 i25_24_5.bmp"]
DISTORTED = ["i01_01_1.bmp", "I01_01_2.BMP", "i25_11_1.BMP", "i25_24_5.bmp"]
REFERENCES = ["I01.BMP", "i25.bmp"]
IDS = ["i01_01_1", "i01_01_2", "i25_11_1", "i25_24_5"]
SCORES = [5.5143, 5.5676, 0.24242, 7.21429]


def images(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"BM")


def usual(root, lines=LINES, end="\n", distorted="distorted_images", references="reference_images"):
    images(root / distorted, DISTORTED)
    images(root / references, REFERENCES)
    (root / "mos_with_names.txt").write_bytes((end.join(lines) + end).encode())
    return TID2013(root, expected=4)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("inner", ["", "tid2013"])
@pytest.mark.parametrize(
    ("distorted", "references"),
    [("distorted_images", "reference_images"), ("Distorted_Images", "REFERENCE_IMAGES"), ("", ""), ("d", "r")],
)
def test_every_layout_and_letter_case_reads_the_same(tmp_path, end, inner, distorted, references):
    usual(tmp_path / inner, LINES, end, distorted, references)
    dataset = TID2013(tmp_path, expected=4)
    assert dataset.check().render() == f"TID2013 in {tmp_path}: 4 of 4 labels, 4 with their file\n  complete"
    assert dataset.labels() == [Label(key, mos) for key, mos in zip(IDS, SCORES, strict=True)]
    folder = tmp_path / inner / distorted
    assert dataset.records() == [
        ImageRecord(key, folder / name, mos, reference)
        for key, name, mos, reference in zip(IDS, DISTORTED, SCORES, ["I01", "I01", "I25", "I25"], strict=True)
    ]
    assert (dataset.name, dataset.mos_range, dataset.stand_in) == ("TID2013", (0.0, 9.0), False)


def test_the_root_may_be_the_folder_of_the_distorted_images(tmp_path):
    usual(tmp_path)
    assert TID2013(tmp_path / "distorted_images", expected=4).check().ok


def test_labels_are_ordered_by_id(tmp_path):
    assert usual(tmp_path, LINES[::-1]).labels() == [Label(key, mos) for key, mos in zip(IDS, SCORES, strict=True)]


def test_missing_images_and_references_are_named(tmp_path):
    usual(tmp_path)
    (tmp_path / "distorted_images" / "I01_01_2.BMP").unlink()
    (tmp_path / "reference_images" / "i25.bmp").unlink()
    images(tmp_path / "distorted_images", ["i02_01_1.bmp", "extra.bmp", "Thumbs.db"])
    text = (
        f"TID2013 in {tmp_path}: 4 of 3000 labels, 3 with their file\n"
        "  label without a file: i01_01_2.bmp\n"
        "  label without a file: reference I25\n"
        "  file without a label: extra.bmp\n"
        "  file without a label: i02_01_1.bmp\n"
        "  NOT complete"
    )
    assert TID2013(tmp_path).check().render() == text
    with pytest.raises(DatasetError) as caught:
        TID2013(tmp_path).records()
    assert str(caught.value) == (
        f"{text}. Try: `fmcvqa check tid2013 {tmp_path}` shows the whole list; "
        "allow_missing=true goes on with the 3 that are there"
    )
    assert [r.id for r in TID2013(tmp_path, allow_missing=True).records()] == ["i01_01_1", "i25_11_1", "i25_24_5"]


def test_without_images_the_labels_are_still_read(tmp_path):
    (tmp_path / "mos_with_names.txt").write_text("\n".join(LINES))
    dataset = TID2013(tmp_path, expected=4)
    assert len(dataset.labels()) == 4
    report = dataset.check()
    assert report.problems == (f"no file like i01_01_1.bmp in {tmp_path} or below it",)
    names = ("I01_01_1.bmp", "i01_01_2.bmp", "I25_11_1.BMP", "i25_24_5.bmp")
    assert report.missing == (*names, "reference I01", "reference I25")


def test_a_doubled_file_of_another_letter_case_is_named(tmp_path):
    dataset = usual(tmp_path)
    images(tmp_path / "distorted_images", ["I01_01_1.BMP"])
    images(tmp_path / "reference_images", ["I25.BMP"])
    problems = dataset.check().problems
    if len(problems) == 0:
        pytest.skip("this file system does not tell letter cases apart")
    assert problems == (
        f"I01_01_1.BMP and i01_01_1.bmp in {tmp_path}/distorted_images are both i01_01_1: keep one",
        f"I25.BMP and i25.bmp in {tmp_path}/reference_images are both I25: keep one",
    )


def test_every_unusable_line_is_named(tmp_path):
    lines = [
        "5 i01_01_1.bmp",
        "4 I01_01_1.BMP",
        "nan i01_01_2.bmp",
        "9.5 i25_11_1.bmp",
        "5",
        "x i25_24_5.bmp",
        "1 a.bmp",
    ]
    dataset = usual(tmp_path, lines)
    problems = (
        "mos_with_names.txt line 2: 'I01_01_1.BMP' is labelled twice, first in line 1",
        "mos_with_names.txt line 3: the MOS of 'i01_01_2.bmp' is nan, not a finite number",
        "mos_with_names.txt line 4: the MOS of 'i25_11_1.bmp' is 9.5, outside 0 to 9",
        "mos_with_names.txt line 5: '5' is not a MOS and a name",
        "mos_with_names.txt line 6: the MOS of 'i25_24_5.bmp' is 'x', not a number",
        "mos_with_names.txt line 7: 'a.bmp' is not a name of this dataset",
    )
    assert dataset.check().problems == problems
    with pytest.raises(DatasetError) as caught:
        dataset.labels()
    assert str(caught.value) == "\n  ".join([f"the labels of TID2013 in {tmp_path} cannot be used", *problems])


def test_a_folder_of_images_alone(tmp_path):
    images(tmp_path / "in" / "samples", ["i01_01_5.bmp", "I01.BMP"])
    root = tmp_path / "in" / "samples"
    assert TID2013(root).check().render() == (
        f"TID2013 in {root}: 0 of 3000 labels, 0 with their file\n"
        f"  problem: no mos_with_names.txt in {root}, below or beside it\n"
        "  file without a label: i01_01_5.bmp\n"
        "  NOT complete"
    )
