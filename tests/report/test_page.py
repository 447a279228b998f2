"""report.html as text; tests/release looks at it in a browser."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmcvqa.data.decoding import PyAVDecoder
from fmcvqa.data.synthetic import SyntheticKoNViD1k
from fmcvqa.report.fields import ResultError
from fmcvqa.report.frames import Glimpse, pictures
from fmcvqa.report.results import read_result
from fmcvqa.report.sections import on_tested_scale, worst
from fmcvqa.report.writing import write_report

LIVE = {"name": "LIVE-VQC", "stand_in": False, "videos": 40, "mos_range": [0, 100]}
HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def page_of(folder: Path, **options) -> str:
    return write_report(folder / "in", folder / "out", **options).page.read_text(encoding="utf-8")


def data_of(page: str) -> dict:
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("clips") / "set"
    made = SyntheticKoNViD1k(root, videos=4, seconds=0.32, size=(90, 160))
    return {record.id: record.path for record in made.records()}


def test_table_and_charts_hold_the_numbers(tmp_path: Path, write) -> None:
    write(tmp_path / "in" / "a", kernel="linear", srocc=0.7)
    path = write(tmp_path / "in" / "b", kernel="rbf", srocc=0.9)
    page = page_of(tmp_path)
    rows = re.findall(r"<tr( class=\"best\")? data-cell=\"(\d)\">(.*?)</tr>", page, re.DOTALL)
    assert [(bool(best), cell) for best, cell, _ in rows] == [(False, "0"), (True, "1")]
    texts = [re.sub(r"<[^>]*>", "|", text) for _, _, text in rows]
    assert "0.7000 ± 0.0141" in texts[0] and "|lower|" in texts[0] and "|best|" in texts[1]
    [section] = data_of(page)["sections"]
    assert section["best"] == 1 and section["range"] == [1, 5] and not section["cross"]
    assert [cell["verdict"] for cell in section["cells"]] == ["lower", "best"]
    assert section["cells"][1]["scores"] == {"srocc": 0.9, "plcc": 0.91}
    assert section["cells"][1]["splits"]["srocc"] == [0.88, 0.89, 0.9, 0.91, 0.92]
    known = read_result(path)
    assert section["ids"] == list(known.ids)
    np.testing.assert_allclose(section["cells"][1]["predicted"], known.predicted, atol=5e-5)
    assert "Its file was not at hand." in page and "data:image" not in page


def test_nothing_is_fetched_and_only_our_script_runs(tmp_path: Path, write) -> None:
    write(tmp_path / "in")
    page = page_of(tmp_path)
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    assert policy.replace("&#39;", "'") == (
        f"default-src 'none'; script-src 'sha256-{digest(script)}'; style-src 'sha256-{digest(style)}'; "
        "img-src data:; media-src 'none'; base-uri 'none'; form-action 'none'"
    )
    assert set(re.findall(r'(?:src|href|action)="(\w+:)?', page)) == {"data:"}
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", page) == []
    assert not re.search(r"\son\w+=|style=\"", page)


def test_names_with_html_in_them_stay_names(tmp_path: Path, write, result) -> None:
    data = result()
    data["dataset"]["name"] = data["name"] = HOSTILE
    data["predictions"][0]["id"] = HOSTILE
    data["predictions"][0]["predicted"] = 99.0  # the worst of all, so its name is shown
    data["command"] = f"fmcvqa sweep name={HOSTILE}"
    data["config"] = {"note": HOSTILE}
    write(tmp_path / "in", data)
    page = page_of(tmp_path)
    assert page.count("<script") == 2 and "<img" not in page
    assert data_of(page)["sections"][0]["ids"][0] == HOSTILE
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page


def test_across_datasets(tmp_path: Path, write) -> None:
    path = write(tmp_path / "in", target=LIVE)
    page = page_of(tmp_path)
    [section] = data_of(page)["sections"]
    assert section["cross"] and section["range"] == [0, 100] and section["cells"][0]["splits"] is None
    assert 'class="strips"' not in page and "MDTVSFA" in page
    result = read_result(path)
    np.testing.assert_allclose(on_tested_scale(result), (result.predicted - 1) * 25)
    assert worst(result, 1)[0].error == pytest.approx(float(np.max(np.abs(on_tested_scale(result) - result.mos)))) or (
        worst(result, 1)[0].error == pytest.approx(-float(np.max(np.abs(on_tested_scale(result) - result.mos))))
    )


def test_the_worst_come_first(tmp_path: Path, write, result) -> None:
    data = result()
    for row, predicted in zip(data["predictions"], (9.0, -7.0, None), strict=False):
        row["mos"], row["predicted"] = 3.0, predicted
    misses = worst(read_result(write(tmp_path, data)))
    assert [(miss.id, miss.error) for miss in misses[:2]] == [("v1", -10.0), ("v0", 6.0)]
    assert len(misses) == 6 and "v2" not in {miss.id for miss in misses}


def test_frames_of_videos_at_hand(tmp_path: Path, write, result, clips: dict[str, Path]) -> None:
    data = result()
    data["predictions"] = [{"id": name, "mos": 3.0, "predicted": 2.0} for name in [*clips, "elsewhere"]]
    write(tmp_path / "in", data)
    page = page_of(tmp_path, find_videos=lambda _: clips)
    assert page.count("data:image/jpeg;base64,") == 4 * 3 + 4
    assert set(data_of(page)["thumbnails"]["KoNViD-1k"]) == set(clips)
    assert page.count("Its file was not at hand.") == 1
    assert "Frames of 4 of 5 videos were at hand." in page


def test_a_glimpse_spreads_over_the_video(clips: dict[str, Path]) -> None:
    path = next(iter(clips.values()))
    every = {int(index): frame.copy() for index, frame in PyAVDecoder().frames(path)}
    assert [int(index) for index, _ in Glimpse(count=3, width=80).frames(path)] == [1, 4, 6]
    assert [int(index) for index, _ in Glimpse(count=1, width=80).frames(path)] == [4]
    [(index, small)] = Glimpse(count=1, width=80, most=3).frames(path)
    assert int(index) == 1 and small.shape == (45, 80, 3)
    exact = np.array(Image.fromarray(every[1]).resize((80, 45), Image.Resampling.BOX), dtype=float)
    assert np.abs(small - exact).mean() < 4


def test_a_damaged_video_has_no_frames_and_stops_nothing(tmp_path: Path, clips: dict[str, Path]) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    name, good = next(iter(clips.items()))
    found = pictures({"bad": bad, name: good}, Glimpse(count=2, width=64))
    assert set(found) == {name} and len(found[name]) == 2
    jpeg = Image.open(io.BytesIO(base64.b64decode(found[name][0].partition(",")[2])))
    assert jpeg.format == "JPEG" and jpeg.size == (64, 36)


def test_a_command_that_is_no_text_is_refused(tmp_path: Path, write, result) -> None:
    path = write(tmp_path, result(command=3))
    with pytest.raises(ResultError) as caught:
        read_result(path)
    assert str(caught.value) == (f"command in {path} is not a text. Found: 3. Try: run this cell again with force=true")


def test_writing_opens_no_socket(tmp_path: Path, write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "in")

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert page_of(tmp_path)
