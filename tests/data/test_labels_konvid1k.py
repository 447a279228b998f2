import os
from pathlib import Path

import pytest

from fmcvqa.data.labels import KoNViD1k
from fmcvqa.data.records import Label, VideoRecord
from fmcvqa.errors import DatasetError

SCORES = {"3339962845": 4.64, "8171831850": 4.444029851, "10053703034": 3.46}
IN_ORDER = ["10053703034", "3339962845", "8171831850"]


def mos_csv(scores=SCORES, end="\n"):
    rows = ['"flickr_id","mos"', *(f'"{key}","{mos:.10f}"' for key, mos in scores.items())]
    return end.join(rows) + end


def attributes_csv(scores=SCORES):
    rows = [
        f"{key},1015445,{key}_original_centercrop_960x540_8s.mp4,{round(mos, 4)},4.5,14.4"
        for key, mos in sorted(scores.items(), key=lambda item: item[1])
    ]
    return "\n".join(["flickr_id,download_id,file_name,MOS,ti,si", *rows, ""])


def write(path, text="clip"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def clips(folder, names=None):
    for name in names or [f"{key}.mp4" for key in SCORES]:
        write(folder / name)


def usual(root):
    write(root / "KoNViD_1k_metadata" / "KoNViD_1k_mos.csv", mos_csv())
    clips(root / "KoNViD_1k_videos")
    return KoNViD1k(root, expected=3)


def test_todays_layout_gives_labels_report_and_records_by_id(tmp_path):
    dataset = usual(tmp_path)
    assert dataset.labels() == [Label(key, SCORES[key]) for key in IN_ORDER]
    report = dataset.check()
    assert report.ok
    assert report.render() == f"KoNViD-1k in {tmp_path}: 3 of 3 labels, 3 with their file\n  complete"
    folder = tmp_path / "KoNViD_1k_videos"
    assert dataset.records() == [VideoRecord(key, folder / f"{key}.mp4", SCORES[key]) for key in IN_ORDER]
    assert (dataset.name, dataset.mos_range, dataset.stand_in, dataset.root) == (
        "KoNViD-1k",
        (1.0, 5.0),
        False,
        tmp_path,
    )


@pytest.mark.parametrize("label_file", ["KoNViD_1k_mos.csv", "KoNViD_1k_attributes.csv", "konvid_1k_MOS.CSV"])
@pytest.mark.parametrize("place", ["", "KoNViD_1k_videos", "KoNViD_1k_metadata"])
@pytest.mark.parametrize("ending", [".mp4", "_original_centercrop_960x540_8s.mp4", "_cut_centercrop_960x540_8s.MP4"])
@pytest.mark.parametrize("root", ["", "set", "set/KoNViD_1k_videos"])
def test_every_layout_reads_the_same(tmp_path, label_file, place, ending, root):
    write(tmp_path / "set" / place / label_file, attributes_csv() if "attr" in label_file else mos_csv())
    videos = tmp_path / "set" / "KoNViD_1k_videos"
    clips(videos, [key + ending for key in SCORES])
    records = KoNViD1k(tmp_path / root, expected=3).records()
    assert [record.id for record in records] == IN_ORDER
    assert [record.mos for record in records] == pytest.approx([SCORES[key] for key in IN_ORDER], abs=5e-5)
    assert [record.path.resolve() for record in records] == [videos / (key + ending) for key in IN_ORDER]


def test_clips_and_labels_in_one_folder(tmp_path):
    write(tmp_path / "KoNViD_1k_mos.csv", mos_csv())
    clips(tmp_path)
    assert KoNViD1k(tmp_path, expected=3).check().ok


@pytest.mark.parametrize(
    "text", [mos_csv(end="\r\n"), "\ufeff" + mos_csv(), mos_csv() + "\n\n", mos_csv().replace('"', "")]
)
def test_crlf_byte_order_mark_blank_lines_and_quotes_do_not_matter(tmp_path, text):
    write(tmp_path / "KoNViD_1k_mos.csv", text)
    assert KoNViD1k(tmp_path, expected=3).labels() == [Label(key, SCORES[key]) for key in IN_ORDER]


def test_hidden_files_and_archive_droppings_are_no_clips(tmp_path):
    dataset = usual(tmp_path)
    write(tmp_path / "KoNViD_1k_videos" / "._3339962845.mp4")
    write(tmp_path / "__MACOSX" / "KoNViD_1k_videos" / "3339962845.mp4")
    assert dataset.check().ok


def test_a_link_to_a_folder_above_is_not_walked_twice(tmp_path):
    dataset = usual(tmp_path)
    (tmp_path / "KoNViD_1k_videos" / "again").symlink_to(tmp_path)
    (tmp_path / "KoNViD_1k_videos" / "loop").symlink_to(tmp_path / "KoNViD_1k_videos" / "loop")
    assert dataset.check().ok


def test_what_is_missing_and_unlabelled_is_named(tmp_path):
    dataset = usual(tmp_path)
    folder = tmp_path / "KoNViD_1k_videos"
    (folder / "3339962845.mp4").unlink()
    (folder / "8171831850.mp4").unlink()
    (folder / "8171831850.mp4").symlink_to(tmp_path / "gone.mp4")
    clips(folder, ["77_cut_centercrop_960x540_8s.mp4", "notes.mp4", "readme.txt", "a\nb.mp4"])
    text = (
        f"KoNViD-1k in {tmp_path}: 3 of 3 labels, 1 with their file\n"
        "  label without a file: 3339962845\n"
        "  label without a file: 8171831850\n"
        "  file without a label: 77_cut_centercrop_960x540_8s.mp4\n"
        "  file without a label: 'a\\nb.mp4'\n"
        "  file without a label: notes.mp4\n"
        "  NOT complete"
    )
    assert dataset.check().render() == text
    with pytest.raises(DatasetError) as caught:
        dataset.records()
    assert str(caught.value) == (
        f"{text}. Try: `fmcvqa check konvid1k {tmp_path}` shows the whole list; "
        "allow_missing=true goes on with the 1 that are there"
    )
    assert [r.id for r in KoNViD1k(tmp_path, expected=3, allow_missing=True).records()] == ["10053703034"]


def test_a_wrong_count_is_refused_unless_allowed(tmp_path):
    usual(tmp_path)
    with pytest.raises(DatasetError) as caught:
        KoNViD1k(tmp_path).labels()
    assert str(caught.value) == (
        f"KoNViD-1k has 1200 labels, {tmp_path}/KoNViD_1k_metadata/KoNViD_1k_mos.csv has 3. "
        "Try: get the complete label file, or set allow_missing=true to go on with these"
    )
    with pytest.raises(DatasetError) as caught:
        KoNViD1k(tmp_path).records()
    assert str(caught.value) == (
        f"KoNViD-1k in {tmp_path}: 3 of 1200 labels, 3 with their file\n  NOT complete. "
        f"Try: `fmcvqa check konvid1k {tmp_path}` shows the whole list; "
        "allow_missing=true goes on with the 3 that are there"
    )
    allowed = KoNViD1k(tmp_path, allow_missing=True)
    assert len(allowed.labels()) == len(allowed.records()) == 3


def test_both_label_files_may_differ_by_rounding_only(tmp_path):
    dataset = usual(tmp_path)
    other = tmp_path / "KoNViD_1k_metadata" / "KoNViD_1k_attributes.csv"
    write(other, attributes_csv())
    assert dataset.labels() == [Label(key, SCORES[key]) for key in IN_ORDER]
    write(other, attributes_csv({**SCORES, "10053703034": 3.47}))
    first = tmp_path / "KoNViD_1k_metadata" / "KoNViD_1k_mos.csv"
    assert dataset.check().problems == (f"{first} and {other} give different MOS for 10053703034 (3.46 and 3.47)",)
    fewer = {key: SCORES[key] for key in IN_ORDER[:2]}
    write(other, attributes_csv({**fewer, **{str(key): 2.0 for key in range(1, 8)}}))
    assert dataset.check().problems == (
        f"{first} labels 8171831850, {other} does not",
        f"{other} labels 1, 2, 3, 4, 5 and 2 more, {first} does not",
    )
    write(other, "nothing")
    assert dataset.check().problems == (f"{other} has no column 'flickr_id'. Found: the columns 'nothing'",)
    assert dataset.check().files == 3


def test_every_unusable_row_is_named(tmp_path):
    rows = ["1,3.0", "2,nan", "3,high", "4,5.01", "1_cut.mp4,3.0", "8.53E+09,2", "5,"]
    write(tmp_path / "KoNViD_1k_mos.csv", "\n".join(["flickr_id,mos", *rows]))
    problems = (
        "KoNViD_1k_mos.csv line 3: the MOS of '2' is nan, not a finite number",
        "KoNViD_1k_mos.csv line 4: the MOS of '3' is 'high', not a number",
        "KoNViD_1k_mos.csv line 5: the MOS of '4' is 5.01, outside 1 to 5",
        "KoNViD_1k_mos.csv line 6: '1_cut.mp4' is labelled twice, first in line 2",
        "KoNViD_1k_mos.csv line 7: '8.53E+09' is not a name of this dataset",
        "KoNViD_1k_mos.csv line 8: the MOS of '5' is '', not a number",
    )
    clips(tmp_path, [f"{key}.mp4" for key in range(1, 6)])
    report = KoNViD1k(tmp_path, expected=None).check()
    assert (report.problems, report.missing, report.unlabelled) == (problems, (), ())
    with pytest.raises(DatasetError) as caught:
        KoNViD1k(tmp_path, allow_missing=True).labels()
    assert str(caught.value) == "\n  ".join([f"the labels of KoNViD-1k in {tmp_path} cannot be used", *problems])
    with pytest.raises(DatasetError) as caught:
        KoNViD1k(tmp_path, allow_missing=True, expected=None).records()
    assert str(caught.value) == (f"{report.render()}. Try: `fmcvqa check konvid1k {tmp_path}` shows the whole list")


def test_an_error_shows_ten_of_many(tmp_path):
    write(tmp_path / "KoNViD_1k_mos.csv", "flickr_id,mos\n" + "".join(f"{key},9\n" for key in range(1, 13)))
    with pytest.raises(DatasetError) as caught:
        KoNViD1k(tmp_path).labels()
    lines = str(caught.value).splitlines()
    assert len(lines) == 12
    assert lines[1] == "  KoNViD_1k_mos.csv line 2: the MOS of '1' is 9, outside 1 to 5"
    assert lines[-1] == "  and 2 more"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "{file} is empty. Try: give it a header and one row per video, separated by commas"),
        (b"flickr_id,mos\n", "{file} has no labels"),
        (b"flickr_id,mos\n1,2,3\n", "{file} line 2 has 3 fields, the header 2. "
         "Try: separate fields with commas, and quote those with a comma in them"),
        (b'flickr_id,mos\n"1,2\n3,4\n', "{file} line 2 is not valid CSV (unexpected end of data)"),
        (b"flickr_id;mos\n1;2\n", "{file} has no column 'flickr_id'. Found: the columns 'flickr_id;mos'. "
         "Try: separate the columns with commas"),
        (b"flickr_id,MOS,mOs\n1,2,2\n", "{file} has 2 columns 'mos'. Found: the columns 'flickr_id', 'MOS', 'mOs'"),
        (b"flickr_id,mos\n\xff,2\n", "{file} is not UTF-8 text. Try: save it as UTF-8"),
    ],
)  # fmt: skip
def test_a_label_file_that_is_none(tmp_path, content, problem):
    file = tmp_path / "KoNViD_1k_mos.csv"
    file.write_bytes(content)
    clips(tmp_path)
    assert KoNViD1k(tmp_path).check().problems == (problem.format(file=file),)
    with pytest.raises(DatasetError):
        KoNViD1k(tmp_path, allow_missing=True).labels()


def test_two_clips_of_one_id_and_two_folders_of_clips(tmp_path):
    dataset = usual(tmp_path)
    folder = tmp_path / "KoNViD_1k_videos"
    clips(folder, ["3339962845_cut_centercrop_960x540_8s.mp4"])
    assert dataset.check().problems == (
        f"3339962845.mp4 and 3339962845_cut_centercrop_960x540_8s.mp4 in {folder} are both 3339962845: keep one",
    )
    (folder / "3339962845_cut_centercrop_960x540_8s.mp4").unlink()
    clips(tmp_path / "some_clips")
    assert dataset.check().ok  # the usual folder wins
    clips(tmp_path / "copy" / "KoNViD_1k_videos")
    assert dataset.check().problems == (
        f"several folders hold files like <flickr_id>.mp4: {folder}, {tmp_path}/copy/KoNViD_1k_videos; "
        "give one of them",
    )


def test_a_folder_without_labels_or_clips_says_so(tmp_path):
    root = tmp_path / "above" / "empty"
    root.mkdir(parents=True)
    no_labels = f"no KoNViD_1k_mos.csv or KoNViD_1k_attributes.csv in {root}, below or beside it"
    assert KoNViD1k(root).check().render() == (
        f"KoNViD-1k in {root}: 0 of 1200 labels, 0 with their file\n"
        f"  problem: {no_labels}\n"
        f"  problem: no file like <flickr_id>.mp4 in {root} or below it\n"
        "  NOT complete"
    )
    with pytest.raises(DatasetError) as caught:
        KoNViD1k(root, allow_missing=True).labels()
    assert str(caught.value) == f"the labels of KoNViD-1k in {root} cannot be used\n  {no_labels}"


@pytest.mark.parametrize("kind", ["does not exist", "is not a folder"])
def test_a_root_that_is_no_folder(tmp_path, kind):
    root = tmp_path / "konvid"
    if kind == "is not a folder":
        root.write_text("x")
    for call in (KoNViD1k(root).labels, KoNViD1k(root).check, KoNViD1k(root).records):
        with pytest.raises(DatasetError) as caught:
            call()
        assert str(caught.value) == (
            f"KoNViD-1k is looked for in {root}, which {kind}. Try: give the folder the dataset was unpacked into"
        )


def test_a_closed_folder_is_a_problem_only_if_something_is_not_found(tmp_path, monkeypatch):
    dataset, closed, scandir = usual(tmp_path), tmp_path / "lost+found", os.scandir
    closed.mkdir()

    def refuse(folder):
        if folder == closed:
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert dataset.check().ok
    closed = tmp_path / "KoNViD_1k_videos"
    assert dataset.check().problems == (
        f"no file like <flickr_id>.mp4 in {tmp_path} or below it",
        f"{closed} cannot be opened (Permission denied)",
    )


def test_the_root_may_start_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    usual(tmp_path / "konvid")
    assert KoNViD1k("~/konvid", expected=3).check().root == Path(tmp_path / "konvid")
