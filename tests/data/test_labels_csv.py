import hashlib
import subprocess
import sys

import pytest

from fmcvqa.data.labels import CSVVideos
from fmcvqa.data.labels.csv import ids_of
from fmcvqa.data.records import Label, VideoRecord
from fmcvqa.errors import ConfigError, DatasetError


def write(folder, text, videos=()):
    for video in videos:
        (folder / video).parent.mkdir(parents=True, exist_ok=True)
        (folder / video).write_bytes(b"clip")
    file = folder / "mine.csv"
    file.write_bytes(text.encode())
    return file


def test_paths_beside_the_file_in_its_order(tmp_path):
    text = 'Path,MOS,note\r\n"b, second.mp4",3.5,x\r\nclips/a.mp4,2,y\r\n'
    dataset = CSVVideos(write(tmp_path, text, ["b, second.mp4", "clips/a.mp4"]))
    assert dataset.labels() == [Label("b, second", 3.5), Label("a", 2.0)]
    assert dataset.records() == [
        VideoRecord("b, second", tmp_path / "b, second.mp4", 3.5),
        VideoRecord("a", tmp_path / "clips" / "a.mp4", 2.0),
    ]
    assert dataset.check().render() == f"mine in {tmp_path}: 2 labels, 2 with their file\n  complete"
    assert (dataset.name, dataset.mos_range, dataset.stand_in) == ("mine", (2.0, 3.5), False)


def test_root_columns_name_and_range_are_settings(tmp_path):
    (tmp_path / "videos").mkdir()
    absolute = tmp_path / "elsewhere.mp4"
    absolute.write_bytes(b"clip")
    (tmp_path / "videos" / "a.mp4").write_bytes(b"clip")
    file = write(tmp_path, f"file,score,key\na.mp4,40,00012345678901\n{absolute},60,x\n")
    dataset = CSVVideos(
        file,
        root=tmp_path / "videos",
        path_column="file",
        mos_column="score",
        id_column="key",
        name="lab",
        mos_range=[0, 100],
    )
    assert dataset.records() == [
        VideoRecord("00012345678901", tmp_path / "videos" / "a.mp4", 40.0),
        VideoRecord("x", absolute, 60.0),
    ]
    assert (dataset.name, dataset.mos_range, dataset.root) == ("lab", (0.0, 100.0), tmp_path / "videos")


def test_a_mos_column_alone_has_labels_by_row_number_but_no_records(tmp_path):
    dataset = CSVVideos(write(tmp_path, "flickr_id,mos,width\n3339962845,4.64,960\n8171831850,4.44,960\n"))
    assert dataset.labels() == [Label("0", 4.64), Label("1", 4.44)]
    assert CSVVideos(dataset.file, id_column="flickr_id").labels()[0] == Label("3339962845", 4.64)
    problem = (
        f"{dataset.file} has no column 'path'. Found: the columns 'flickr_id', 'mos', 'width'. "
        "Try: set path_column to one of them"
    )
    assert dataset.check().problems == (problem,)
    with pytest.raises(DatasetError) as caught:
        dataset.records()
    assert str(caught.value) == (
        f"mine in {tmp_path}: 0 labels, 0 with their file\n  problem: {problem}\n  NOT complete. "
        f"Try: `fmcvqa check csv {dataset.file}` shows the whole list"
    )


@pytest.mark.parametrize("setting", ["path_column", "mos_column", "id_column"])
def test_a_column_that_is_not_there_lists_those_that_are(tmp_path, setting):
    file = write(tmp_path, "path,mos\na.mp4,1\n")
    with pytest.raises(DatasetError) as caught:
        CSVVideos(file, **{setting: "quality"}).labels()
    assert str(caught.value) == (
        f"{file} has no column 'quality'. Found: the columns 'path', 'mos'. Try: set {setting} to one of them"
    )


@pytest.mark.parametrize("separator", [";", "\t"])
def test_another_separator_is_told(tmp_path, separator):
    file = write(tmp_path, f"path{separator}mos\na.mp4{separator}1\n")
    with pytest.raises(DatasetError) as caught:
        CSVVideos(file).labels()
    assert str(caught.value) == (
        f"{file} has no column 'mos'. Found: the columns {f'path{separator}mos'!r}. "
        "Try: separate the columns with commas"
    )


def test_every_unusable_row_is_named(tmp_path):
    rows = ["a.mp4,1", "b.mp4,", "c.mp4,nan", "d.mp4,7", "x/../a.mp4,2", " ,2", "a.mp4,2"]
    file = write(tmp_path, "\n".join(["path,mos", *rows]), ["a.mp4", "b.mp4", "c.mp4", "d.mp4"])
    problems = (
        "mine.csv line 3: the MOS of 'b.mp4' is '', not a number",
        "mine.csv line 4: the MOS of 'c.mp4' is nan, not a finite number",
        "mine.csv line 5: the MOS of 'd.mp4' is 7, outside 1 to 5",
        "mine.csv line 6: 'x/../a.mp4' is the file of line 2 again, with the MOS 2 here and 1 there",
        "mine.csv line 7: '' is not a path",
        "mine.csv line 8: 'a.mp4' is the file of line 2 again, with the MOS 2 here and 1 there",
    )
    dataset = CSVVideos(file, mos_range=(1, 5))
    report = dataset.check()
    assert (report.problems, report.missing, report.files) == (problems, (), 1)
    with pytest.raises(DatasetError) as caught:
        dataset.labels()
    assert str(caught.value) == "\n  ".join([f"the labels of mine in {tmp_path} cannot be used", *problems])
    with pytest.raises(DatasetError):
        CSVVideos(file, mos_range=(1, 5), allow_missing=True).records()


def test_ids_given_must_be_single_and_safe(tmp_path):
    file = write(tmp_path, "path,mos,id\na.mp4,1,x\nb.mp4,2,x\nc.mp4,2,../x\nd.mp4,2,\n")
    assert CSVVideos(file, id_column="id").check().problems == (
        "mine.csv line 3: 'b.mp4' is labelled twice, first in line 2",
        "mine.csv line 4: the id '../x' cannot name a file",
        "mine.csv line 5: the id '' cannot name a file",
    )


def test_missing_videos_are_named_and_may_be_left_out(tmp_path):
    file = write(tmp_path, f"path,mos\na.mp4,1\ngone.mp4,2\n{'x' * 300}.mp4,3\n", ["a.mp4"])
    dataset = CSVVideos(file)
    text = (
        f"mine in {tmp_path}: 3 labels, 1 with their file\n"
        "  label without a file: gone.mp4\n"
        f"  label without a file: {'x' * 300}.mp4\n"
        "  NOT complete"
    )
    with pytest.raises(DatasetError) as caught:
        dataset.records()
    assert str(caught.value) == (
        f"{text}. Try: `fmcvqa check csv {file}` shows the whole list; "
        "allow_missing=true goes on with the 1 that are there"
    )
    assert [record.id for record in CSVVideos(file, allow_missing=True).records()] == ["a"]
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(DatasetError):
        CSVVideos(file, allow_missing=True).records()


def digest(path):
    return hashlib.sha256(path.encode()).hexdigest()[:8]


def test_ids_are_safe_single_and_do_not_depend_on_the_order():
    paths = ["a/clip.mp4", "b/Clip.mp4", "c/other one.mov", "q:*?.mp4", ".hidden.mp4", ".mp4", "t\nb.mp4", "é😀.mp4"]
    ids = ids_of(paths)
    assert ids == [
        f"clip-{digest('a/clip.mp4')}",
        f"Clip-{digest('b/Clip.mp4')}",
        "other one",
        "q___",
        "_hidden",
        "_mp4",
        "t_b",
        "é😀",
    ]
    assert ids_of(paths[::-1]) == ids[::-1]
    (long,) = ids_of(["😀" * 60 + ".mp4"])
    assert long == "😀" * 37
    assert len({*ids_of(["😀" * 60 + ".mp4", "😀" * 61 + ".mp4"])}) == 2


@pytest.mark.parametrize("text", ["path,mos\n", "path,mos\n\n\n"])
def test_a_header_without_rows(tmp_path, text):
    file = write(tmp_path, text)
    with pytest.raises(DatasetError) as caught:
        CSVVideos(file, allow_missing=True).labels()
    assert str(caught.value) == (
        f"the labels of mine in {tmp_path} cannot be used\n  mine.csv has a header, but no rows"
    )


def test_a_file_or_root_that_is_not_there(tmp_path):
    missing = CSVVideos(tmp_path / "none.csv")
    for call in (missing.labels, missing.check, missing.records):
        with pytest.raises(DatasetError) as caught:
            call()
        assert str(caught.value) == (
            f"the label file {tmp_path}/none.csv does not exist. "
            "Try: give a CSV file with a header, a column of paths and a column of MOS"
        )
    with pytest.raises(DatasetError) as caught:
        CSVVideos(write(tmp_path, "path,mos\na.mp4,1\n"), root=tmp_path / "none").check()
    assert str(caught.value) == (
        f"mine is looked for in {tmp_path}/none, which does not exist. "
        "Try: give the folder the dataset was unpacked into"
    )


def test_settings_that_do_not_fit():
    with pytest.raises(ConfigError) as caught:
        CSVVideos("x.csv", name="a/b")
    assert str(caught.value) == "the dataset name 'a/b' cannot name a folder. Try: use letters and digits"
    for mos_range in ([5, 1], [1, 1], [1, 2, 3], [float("nan"), 5]):
        with pytest.raises(ConfigError) as caught:
            CSVVideos("x.csv", mos_range=mos_range)
        assert str(caught.value) == f"mos_range {mos_range} is not a lowest and a highest MOS. Try: mos_range=[1,5]"


def test_importing_the_label_readers_loads_nothing_heavy():
    code = (
        "import sys, fmcvqa.data.labels, fmcvqa.tasks.check\n"
        "heavy = {'torch', 'lightning', 'wandb', 'scipy', 'sklearn', 'numpy', 'hydra'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
