import json

import pytest

from fmcvqa.errors import ConfigError, DatasetError
from fmcvqa.tasks.check import main


@pytest.fixture
def konvid(tmp_path):
    (tmp_path / "KoNViD_1k_mos.csv").write_text("flickr_id,mos\n1,2.5\n2,3.5\n3,4\n")
    (tmp_path / "1.mp4").write_bytes(b"clip")
    return tmp_path


def test_the_report_is_printed_whole_and_the_code_is_4(konvid, capsys):
    assert main(["konvid1k", str(konvid), "--expected", "3"]) == 4
    assert capsys.readouterr().out == (
        f"KoNViD-1k in {konvid}: 3 of 3 labels, 1 with their file\n"
        "  label without a file: 2\n"
        "  label without a file: 3\n"
        "  NOT complete\n"
    )


def test_limit_says_how_many_more(konvid, capsys):
    assert main(["konvid1k", str(konvid), "--expected", "3", "--limit", "1"]) == 4
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  label without a file: 2",
        "  label without a file: and 1 more",
        "  NOT complete",
    ]


def test_a_complete_set_is_0_and_json_is_one_object(konvid, capsys):
    for name in ("2", "3"):
        (konvid / f"{name}.mp4").write_bytes(b"clip")
    assert main(["konvid1k", str(konvid), "--expected", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "KoNViD-1k",
        "root": str(konvid),
        "complete": True,
        "labels": 3,
        "files": 3,
        "expected": 3,
        "missing": [],
        "unlabelled": [],
        "problems": [],
    }


def test_csv_takes_columns_and_a_root(tmp_path, capsys):
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "a.mp4").write_bytes(b"clip")
    (tmp_path / "l.csv").write_text("file,score,key\na.mp4,3,k\n")
    flags = ["--root", str(tmp_path / "v"), "--path-column", "file", "--mos-column", "score", "--id-column", "key"]
    assert main(["csv", str(tmp_path / "l.csv"), *flags]) == 0
    assert capsys.readouterr().out == f"l in {tmp_path}/v: 1 labels, 1 with their file\n  complete\n"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("konvid", "fmcvqa check konvid1k ROOT"),
        ("KoNViD-1k", "fmcvqa check konvid1k ROOT"),
        ("LIVE-VQA", "fmcvqa check livevqc ROOT"),
        ("tid2008", "fmcvqa check tid2013 ROOT"),
        ("youtube", "fmcvqa check csv FILE for a dataset of your own"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(name, advice):
    with pytest.raises(ConfigError) as caught:
        main([name, "x"])
    assert str(caught.value) == (f"there is no dataset {name!r}. Found: tid2013, konvid1k, livevqc, csv. Try: {advice}")
    assert caught.value.exit_code == 2


def test_flags_of_another_dataset_are_refused(tmp_path):
    with pytest.raises(ConfigError) as caught:
        main(["livevqc", str(tmp_path), "--mos-column", "score"])
    assert str(caught.value) == "`fmcvqa check livevqc` takes no --mos-column. Try: fmcvqa check --help"
    with pytest.raises(ConfigError) as caught:
        main(["csv", str(tmp_path), "--expected", "3"])
    assert str(caught.value) == "`fmcvqa check csv` takes no --expected. Try: fmcvqa check --help"


def test_a_root_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DatasetError) as caught:
        main(["tid2013", str(tmp_path / "none")])
    assert caught.value.exit_code == 4


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: fmcvqa check [-h]")
    assert "fmcvqa check konvid1k ~/data/KoNViD_1k" in text
