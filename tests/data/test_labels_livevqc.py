import subprocess
import sys

import numpy as np
import pytest
from scipy.io import savemat

from fmcvqa.data.labels import LIVEVQC
from fmcvqa.data.labels.livevqc import NEW_IN_SOME_COPIES
from fmcvqa.data.records import Label
from fmcvqa.errors import DatasetError

DATABASE = "LIVE Video Quality Challenge (VQC) Database"
SCORES = {"A001": 80.232, "A012": 57.5, "B054": 6.25, "R001": 94.0}


def data_mat(folder, names, scores, shape=(-1, 1), **options):
    folder.mkdir(parents=True, exist_ok=True)
    cell = np.empty(len(names), dtype=object)
    cell[:] = names
    savemat(folder / "data.mat", {"video_list": cell.reshape(shape), "mos": np.reshape(scores, shape)}, **options)
    return folder / "data.mat"


def clips(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"clip")


def usual(root, new_labels=False, new_files=False, videos="Video"):
    def name(stem, new):
        return f"{stem}NEW.mp4" if new and stem in NEW_IN_SOME_COPIES else f"{stem}.mp4"

    data_mat(root, [name(stem, new_labels) for stem in SCORES], list(SCORES.values()))
    clips(root / videos, [name(stem, new_files) for stem in SCORES])


@pytest.mark.parametrize("nested", ["", DATABASE, f"{DATABASE}/{DATABASE}"])
@pytest.mark.parametrize("videos", ["Video", "video", ""])
@pytest.mark.parametrize("new_labels", [False, True])
@pytest.mark.parametrize("new_files", [False, True])
def test_every_layout_reads_the_same(tmp_path, nested, videos, new_labels, new_files):
    usual(tmp_path / nested, new_labels, new_files, videos)
    for root in (tmp_path, tmp_path / nested, tmp_path / nested / videos):
        dataset = LIVEVQC(root, expected=4)
        assert dataset.labels() == [Label(key, mos) for key, mos in SCORES.items()]
        assert dataset.check().render() == f"LIVE-VQC in {root}: 4 of 4 labels, 4 with their file\n  complete"
        records = dataset.records()
        assert [(record.id, record.mos) for record in records] == list(SCORES.items())
        suffix = "NEW.mp4" if new_files else ".mp4"
        assert records[1].path == tmp_path / nested / videos / f"A012{suffix}"
    assert (dataset.name, dataset.mos_range, dataset.stand_in) == ("LIVE-VQC", (0.0, 100.0), False)


def test_exactly_the_nine_known_names_may_be_new(tmp_path):
    assert sorted(NEW_IN_SOME_COPIES) == ["A012", "A036", "A046", "A080", "B054", "B115", "B139", "B248", "B263"]
    usual(tmp_path)
    clips(tmp_path / "Video", ["A002NEW.mp4", "A001NEW.mp4"])
    report = LIVEVQC(tmp_path, expected=4).check()
    assert (report.unlabelled, report.missing, report.problems) == (("A001NEW.mp4", "A002NEW.mp4"), (), ())


def test_the_old_and_the_new_clip_together_are_a_problem(tmp_path):
    usual(tmp_path)
    clips(tmp_path / "Video", ["A012NEW.mp4"])
    report = LIVEVQC(tmp_path, expected=4).check()
    assert report.problems == (f"A012.mp4 and A012NEW.mp4 in {tmp_path}/Video are both A012: keep one",)


def test_missing_clips_are_named_as_the_labels_do(tmp_path):
    usual(tmp_path, new_labels=True)
    (tmp_path / "Video" / "B054.mp4").unlink()
    clips(tmp_path / "Video", ["S001.mp4", "Q007.MP4"])
    text = (
        f"LIVE-VQC in {tmp_path}: 4 of 585 labels, 3 with their file\n"
        "  label without a file: B054NEW.mp4\n"
        "  file without a label: Q007.MP4\n"
        "  file without a label: S001.mp4\n"
        "  NOT complete"
    )
    dataset = LIVEVQC(tmp_path)
    assert dataset.check().render() == text
    with pytest.raises(DatasetError) as caught:
        dataset.records()
    assert str(caught.value) == (
        f"{text}. Try: `fmcvqa check livevqc {tmp_path}` shows the whole list; "
        "allow_missing=true goes on with the 3 that are there"
    )
    assert [r.id for r in LIVEVQC(tmp_path, allow_missing=True).records()] == ["A001", "A012", "R001"]


def test_a_path_with_blanks_and_parentheses_is_quoted_in_advice(tmp_path):
    root = tmp_path / DATABASE
    usual(root)
    with pytest.raises(DatasetError) as caught:
        LIVEVQC(root).records()
    assert f"`fmcvqa check livevqc '{root}'` shows the whole list" in str(caught.value)


@pytest.mark.parametrize("shape", [(-1, 1), (1, -1)])
@pytest.mark.parametrize("compressed", [False, True])
def test_columns_rows_and_compression_do_not_matter(tmp_path, shape, compressed):
    data_mat(tmp_path, ["A001.mp4", "a002.MP4"], [50, 60], shape, do_compression=compressed)
    assert LIVEVQC(tmp_path, expected=2).labels() == [Label("A001", 50.0), Label("A002", 60.0)]


def test_names_and_scores_in_cells_or_padded_text_are_read(tmp_path):
    savemat(tmp_path / "data.mat", {"video_list": np.array(["A001.mp4", "A012NEW.mp4"]), "mos": [[1.0], [2.0]]})
    assert LIVEVQC(tmp_path, expected=2).labels() == [Label("A001", 1.0), Label("A012", 2.0)]
    data_mat(tmp_path, ["A001.mp4", "A002.mp4"], np.array([np.array([[3.0]]), np.array([[4.0]])]).ravel())
    assert LIVEVQC(tmp_path, expected=2).labels() == [Label("A001", 3.0), Label("A002", 4.0)]


def test_labels_are_ordered_by_id(tmp_path):
    data_mat(tmp_path, ["B001.mp4", "A001.mp4"], [50, 60])
    assert LIVEVQC(tmp_path, expected=2).labels() == [Label("A001", 60.0), Label("B001", 50.0)]


def test_every_unusable_row_is_named(tmp_path):
    names = ["A001.mp4", "A002.mp4", "A012.mp4", "A012NEW.mp4", "clip.mp4", "A003.mp4"]
    data_mat(tmp_path, names, [np.nan, 100.5, 50, 50, 50, -0.1])
    problems = (
        "data.mat row 1: the MOS of 'A001.mp4' is nan, not a finite number",
        "data.mat row 2: the MOS of 'A002.mp4' is 100.5, outside 0 to 100",
        "data.mat row 4: 'A012NEW.mp4' is labelled twice, first in row 3",
        "data.mat row 5: 'clip.mp4' is not a name of this dataset",
        "data.mat row 6: the MOS of 'A003.mp4' is -0.1, outside 0 to 100",
    )
    with pytest.raises(DatasetError) as caught:
        LIVEVQC(tmp_path).labels()
    assert str(caught.value) == "\n  ".join([f"the labels of LIVE-VQC in {tmp_path} cannot be used", *problems])


def write_text(file):
    file.write_text("A001.mp4,50\n" * 20)


def write_empty(file):
    file.write_bytes(b"")


def write_cut(file):
    data_mat(file.parent, [f"A{n:03}.mp4" for n in range(100)], np.full(100, 50.0))
    file.write_bytes(file.read_bytes()[:1000])


@pytest.mark.parametrize("write", [write_text, write_empty, write_cut])
def test_a_damaged_file_is_one_message(tmp_path, write):
    write(tmp_path / "data.mat")
    (problem,) = [text for text in LIVEVQC(tmp_path).check().problems if "data.mat" in text]
    assert problem.startswith(f"{tmp_path}/data.mat is damaged or not a MATLAB file (")


def test_a_matlab_7_3_file_and_foreign_variables(tmp_path):
    file = tmp_path / "data.mat"
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    file.write_bytes(header + bytes(400))
    clips(tmp_path, ["A001.mp4"])
    assert LIVEVQC(tmp_path).check().problems == (
        f"{file} is a MATLAB 7.3 file. Try: save it in MATLAB with the flag -v7",
    )
    savemat(file, {"video_list": np.array(["A001.mp4"])})
    assert LIVEVQC(tmp_path).check().problems == (
        f"{file} has no variable 'mos'. Found: video_list of video_list and mos",
    )
    savemat(file, {"scores": [1.0]})
    assert LIVEVQC(tmp_path).check().problems == (
        f"{file} has no variable 'video_list'. Found: neither of video_list and mos",
    )
    data_mat(tmp_path, ["A001.mp4", "A002.mp4"], [1, 2])
    savemat(file, {"video_list": np.array(["A001.mp4", "A002.mp4"], dtype=object), "mos": [1.0]})
    assert LIVEVQC(tmp_path).check().problems == (f"{file} has 2 names in video_list and 1 scores in mos",)


def test_reading_runs_no_pickle(tmp_path):
    data_mat(tmp_path, ["A001.mp4"], [50])
    code = (
        "import sys; seen = []\n"
        "sys.addaudithook(lambda event, _: seen.append(event) if 'pickle' in event else None)\n"
        "from fmcvqa.data.labels import LIVEVQC\n"
        f"assert LIVEVQC({str(tmp_path)!r}, expected=1).labels()[0].mos == 50\n"
        "assert not seen, seen\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
