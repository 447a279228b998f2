"""What a command line names, each clip once."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from fmcvqa.tasks.clips import find_clips


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.mp4", "a.MOV", "notes.txt", ".hidden.mp4", "sub/deep/c.webm", ".git/x.mp4", "brackets[1].mp4"):
        path = tmp_path / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.md").touch()
    return tmp_path


def names(*words: str) -> list[str]:
    return [str(clip.path) for clip in find_clips(words)[0]]


def test_a_folder_stands_for_the_videos_below_it(tree: Path) -> None:
    assert names("clips") == ["clips/a.MOV", "clips/b.mp4", "clips/brackets[1].mp4", "clips/sub/deep/c.webm"]


def test_files_of_any_ending_are_taken_as_named(tree: Path) -> None:
    assert names("clips/notes.txt", "clips/.hidden.mp4", "gone.mp4") == [
        "clips/notes.txt",
        "clips/.hidden.mp4",
        "gone.mp4",
    ]


def test_patterns_are_expanded_and_existing_names_are_not_patterns(tree: Path) -> None:
    assert names("clips/*.mp4") == ["clips/b.mp4", "clips/brackets[1].mp4"]
    assert names("clips/**/*.webm") == ["clips/sub/deep/c.webm"]
    assert names("clips/s*b") == ["clips/sub/deep/c.webm"]
    assert names("clips/brackets[1].mp4") == ["clips/brackets[1].mp4"]
    assert names("clips/*.gif") == ["clips/*.gif"]


def test_a_clip_that_is_named_twice_comes_once(tree: Path) -> None:
    clips, again = find_clips(["clips/b.mp4", "clips", "./clips/b.mp4", str(tree / "clips" / "sub")])
    assert [str(clip.path) for clip in clips] == [
        "clips/b.mp4",
        "clips/a.MOV",
        "clips/brackets[1].mp4",
        "clips/sub/deep/c.webm",
    ]
    assert again == 3
    (tree / "link.mp4").symlink_to("clips/b.mp4")
    assert names("clips/b.mp4", "link.mp4") == ["clips/b.mp4", "link.mp4"]


def test_a_list_on_stdin(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = b"clips/b.mp4\r\n\n clips/with blank.mp4\nbad \xff name.mp4\nempty"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(listed)))
    clips = find_clips(["clips/a.MOV", "-"])[0]
    assert [os.fsencode(clip.path) for clip in clips] == [
        b"clips/a.MOV",
        b"clips/b.mp4",
        b" clips/with blank.mp4",
        b"bad \xff name.mp4",
        b"empty",
    ]


def test_a_folder_without_videos_is_one_row(tree: Path) -> None:
    [clip] = find_clips(["empty"])[0]
    assert clip.path == Path("empty")
    assert str(clip.error) == (
        "E_NO_FILES: there is no video in the folder 'empty'. Try: name another folder, or the files themselves"
    )


def test_a_folder_that_may_not_be_read_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    clips = find_clips(["clips/sub", "clips/b.mp4"])[0]
    assert [str(clip.path) for clip in clips] == ["clips/sub/deep", "clips/b.mp4"]
    assert str(clips[0].error) == (
        "E_PERMISSION: the folder 'clips/sub/deep' cannot be looked into (Permission denied). "
        "Try: give it the right to be read"
    )
