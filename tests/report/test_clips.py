"""The page of predicted clips as text; tests/release looks at it in a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from damage import cut_clip

from fmcvqa.data.synthetic import SyntheticKoNViD1k
from fmcvqa.errors import Damage, VideoError
from fmcvqa.prediction import Interval, Prediction, Scale, Unlikeness, Window
from fmcvqa.report.clips import clips_page

SCALE = Scale("KoNViD-1k", 1, 5)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clips") / "set"
    return SyntheticKoNViD1k(root, videos=4, seconds=0.16, size=(64, 96)).records()[0].path


def made(predictions: list[Prediction], folder: Path, scale: Scale = SCALE) -> tuple[str, list[dict[str, Any]]]:
    card = {"dataset": {"name": "<b>set</b>", "videos": 9}, "config": {"secret": 1}}
    page = clips_page(predictions, folder, scale, card=card, command="fmcvqa predict '<i>'").decode()
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return page, json.loads(text)["clips"]


def test_a_clip_with_all_there_is_to_say(video: Path, tmp_path: Path) -> None:
    timeline = (Window(0, 1, 25, 3.0), Window(1, 2, 25, 3.5))
    interval, unlike = Interval(2.5, 4.25, 0.9), Unlikeness(1.7, ("far from all clips",))
    one = Prediction(video, 3.25, SCALE, interval, 73.4, unlike, 50, timeline)
    page, [clip] = made([one], tmp_path)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
    assert "3.25 90 % interval 2.50 to 4.25" in text
    assert "Better than 73 % of KoNViD-1k." in text
    assert "Unlike the training set : far from all clips." in text
    assert 'x1="42.5" x2="86.25"' in page and 'x1="61.25" x2="61.25"' in page  # 5 + share of the scale
    assert page.count("data:image/jpeg") == 3 + 1  # frames and the poster
    assert "&lt;b&gt;set&lt;/b&gt;" in page and "secret" not in page and "&lt;i&gt;" in page
    assert clip == {
        "anchor": "clip-0",
        "name": str(video),
        "score": 3.25,
        "kinds": ["unlike"],
        "timeline": [{"start": 0, "end": 1, "score": 3.0}, {"start": 1, "end": 2, "score": 3.5}],
    }
    assert "media-src &#39;self&#39; file:;" in page


def test_a_failure_is_there_with_its_code(tmp_path: Path) -> None:
    error = VideoError("E_EMPTY", "the file 'a.mp4' is empty", advice="another")
    page, [clip] = made([Prediction(tmp_path / "a.mp4", None, SCALE, error=error)], tmp_path)
    assert '<span class="code">E_EMPTY</span> a file of 0 bytes' in page and "<video" not in page
    assert clip == {
        "anchor": "clip-0",
        "name": str(tmp_path / "a.mp4"),
        "score": None,
        "kinds": ["failed"],
        "timeline": [],
    }


def test_a_damaged_clip_says_so_and_shows_what_was_scored(tmp_path: Path) -> None:
    path = cut_clip(tmp_path / "cut.mkv")
    page, [clip] = made([Prediction(path, 2.0, SCALE, frames=16, damage=Damage("E_TRUNCATED", "9 of <20>"))], tmp_path)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
    assert "Damaged E_TRUNCATED : the score is of the 16 frames before the damage. 9 of &lt;20&gt;." in text
    assert page.count("data:image/jpeg") == 3  # no browser plays Matroska, so there is no poster
    assert clip["kinds"] == ["alike", "damaged"]


def test_names_that_are_html_or_no_text(video: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "\udc80\"><img src=x onerror=alert(1)>'%#.mp4"
    hostile.write_bytes(video.read_bytes())
    page, [clip] = made([Prediction(hostile, 2.0, SCALE)], tmp_path / "pages")
    assert "<img src=x" not in page and clip["name"] == str(hostile)
    assert 'src="../%80%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%27%25%23.mp4"' in page
    assert page.count("data:image/jpeg") == 3 + 1


def test_only_what_browsers_play_gets_a_player_and_a_stand_in_is_named(video: Path, tmp_path: Path) -> None:
    other = tmp_path / "a.ts"
    other.write_bytes(video.read_bytes())
    page, _ = made([Prediction(other, 2.0, SCALE)], tmp_path, Scale("made", 1, 5, stand_in=True))
    assert "<video" not in page and "mean nothing about what people see" in page
