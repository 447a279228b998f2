"""The pages in the system's Chromium: drawn, pointed at, filtered, by keyboard, on a phone, in the dark."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import chromium, coloured, sized
from made_results import content
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from fmcvqa.data.synthetic import SyntheticKoNViD1k
from fmcvqa.errors import Damage, VideoError
from fmcvqa.prediction import Interval, Prediction, Scale, Unlikeness, Window
from fmcvqa.report.clips import clips_page
from fmcvqa.report.writing import write_report

pytestmark = pytest.mark.release

LAYERS = ("avgpool", "Mixed_5b", "Mixed_5c")
LIVE = {"name": "LIVE-VQC", "stand_in": False, "videos": 40, "mos_range": [0, 100]}
SCALE = Scale("KoNViD-1k", 1, 5)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("clips") / "set"
    made = SyntheticKoNViD1k(root, videos=40, seconds=0.32, size=(90, 160))
    return [record.path for record in made.records()]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, videos: list[Path]) -> Path:
    """14 cells on one set and one across sets, with frames; one id is HTML."""
    folder = tmp_path_factory.mktemp("report")
    generator = np.random.default_rng(0)
    sets = [c for n in (1, 2, 3) for c in itertools.combinations(LAYERS, n)]
    cells = [
        content(layers, kernel, 0.6 + 0.02 * i)
        for i, (layers, kernel) in enumerate(itertools.product(sets, ("linear", "rbf")))
    ]
    cells.append(content(("Mixed_5b",), "linear", 0.5, target=LIVE))
    for number, data in enumerate(cells):
        data["key"] = f"{number:064d}"
        data["predictions"][0]["id"] = "<b>v0</b>"
        data["command"] = "fmcvqa sweep table1_konvid1k"
        for row in data["splits"]:
            row["srocc"] += float(generator.normal(0, 0.02))
        path = folder / "in" / str(number)
        path.mkdir(parents=True)
        (path / "result.json").write_text(json.dumps(data))
    found = dict(zip(["<b>v0</b>", *(f"v{i}" for i in range(1, 40))], videos, strict=True))
    return write_report(folder / "in", folder / "out", find_videos=lambda _: found).page


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, videos: list[Path]) -> Path:
    """A clip with all there is to say, one that is damaged and unlike the training set, one that failed."""
    page = tmp_path_factory.mktemp("clips") / "scores.html"
    timeline = tuple(Window(k, k + 1, 25, 3 + 0.5 * np.sin(k)) for k in range(6))
    error = VideoError("E_EMPTY", "the file 'gone.mp4' is empty", advice="another")
    predictions = [
        Prediction(videos[0], 3.25, SCALE, Interval(2.5, 4.25, 0.9), 73.4, Unlikeness(0.5, ()), 150, timeline),
        Prediction(
            videos[1],
            1.5,
            SCALE,
            Interval(1.0, 2.4, 0.9),
            3.0,
            Unlikeness(2.5, ("far from all",)),
            8,
            timeline[:2],
            damage=Damage("E_CORRUPT", "16 good frames, then: a damaged packet"),
        ),
        Prediction(page.parent / "gone.mp4", None, SCALE, error=error),
    ]
    page.write_bytes(
        clips_page(predictions, page.parent, SCALE, card={"dataset": "KoNViD-1k"}, command="fmcvqa predict")
    )
    return page


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


def opened(browser: Chrome, page: Path, *, width: int = 1200, scheme: str = "light") -> None:
    sized(browser, width, 900)
    coloured(browser, scheme)
    browser.get_log("performance"), browser.get_log("browser")
    browser.get(page.as_uri())
    WebDriverWait(browser, 20).until(lambda b: all_of(b, "svg circle") or all_of(b, ".clip"))


def all_of(browser: Chrome | WebElement, selector: str) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, selector)


def one_of(browser: Chrome | WebElement, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def requests(browser: Chrome) -> list[str]:
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def focused(browser: Chrome) -> WebElement:
    return browser.switch_to.active_element


def press(browser: Chrome, *keys: str) -> None:
    for key in keys:
        ActionChains(browser).send_keys(key).perform()


@pytest.mark.parametrize("name", ["report", "clips"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_loads_alone_and_without_a_word(
    browser: Chrome, request: pytest.FixtureRequest, name: str, scheme: str
) -> None:
    page: Path = request.getfixturevalue(name)
    opened(browser, page, scheme=scheme)
    assert browser.get_log("browser") == []
    asked = [url for url in requests(browser) if not url.startswith("data:")]
    assert asked == [page.as_uri()]
    light = browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (scheme == "light")
    ink, paper = (contrast(browser, "body", key) for key in ("color", "backgroundColor"))
    assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) > 7


def test_an_axis_has_two_numbers_at_least(browser: Chrome, clips: Path) -> None:
    opened(browser, clips)
    for low, high in ((-5.2, 3.9), (1.0, 1.2), (0.0, 4.0), (-0.001, 0.0007)):
        shown = browser.execute_script("return ticks(...arguments, 3)", low, high)
        assert len(shown) >= 2 and low <= shown[0] < shown[-1] <= high
    assert browser.execute_script("return ticks(1, 1, 3)") == [1]
    low, high = browser.execute_script("return limits([3, 3.0000000000000004])")  # a still clip's seconds
    assert (low, high) == pytest.approx((2.95, 3.05))


def contrast(browser: Chrome, selector: str, key: str) -> float:
    """Relative luminance (WCAG 2) of a computed colour."""
    text = browser.execute_script(f"return getComputedStyle(document.querySelector('{selector}')).{key}")
    channels = [int(part) / 255 for part in text[text.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("name", ["report", "clips"])
def test_a_phone_needs_no_sideways_scroll(browser: Chrome, request: pytest.FixtureRequest, name: str) -> None:
    opened(browser, request.getfixturevalue(name), width=360)
    assert browser.execute_script("return document.documentElement.scrollWidth") == 360
    small = [e.text for e in all_of(browser, "select, input, summary") if e.is_displayed() and e.size["height"] < 32]
    assert small == []
    for chart in all_of(browser, "svg"):
        if chart.is_displayed():
            assert chart.rect["x"] >= 0 and chart.rect["x"] + chart.rect["width"] <= 360


def test_plots_are_there(browser: Chrome, report: Path) -> None:
    opened(browser, report)
    first, cross = all_of(browser, "section")
    assert len(all_of(first, "svg.scatter circle.point")) == 40
    assert len(all_of(first, "svg.heat rect.tile")) == 14 and len(all_of(first, "svg.heat rect.tile-best")) == 1
    assert len(all_of(first, "svg.strips g.row")) == 14 and len(all_of(first, "svg.strips circle.dot")) == 14 * 5
    assert len(all_of(cross, "svg.scatter circle.point")) == 40 and not all_of(cross, "svg.strips")
    assert len(all_of(first, "tr.best")) == 1 and "★" in one_of(first, "svg.heat").text
    assert len(all_of(first, ".worst img")) == 18
    loaded = "return [...document.images].every(image => image.complete && image.naturalWidth > 0)"
    assert browser.execute_script(loaded)
    assert one_of(browser, "#shown").text == "15 of 15 cells shown"


def test_hover_says_which_clip(browser: Chrome, report: Path) -> None:
    opened(browser, report)
    tip = one_of(browser, "#tip")
    assert not tip.is_displayed()
    point = all_of(browser, "svg.scatter circle.point")[0]
    ActionChains(browser).scroll_to_element(point).move_to_element(point).perform()
    assert tip.is_displayed()
    name, predicted, mos = point.get_attribute("aria-label").split(", ")
    assert tip.text.split("\n") == [name, predicted, mos] and predicted.startswith("predicted ")
    assert one_of(tip, "img").get_attribute("naturalWidth") == "160"
    press(browser, Keys.ESCAPE)
    assert not tip.is_displayed()


def test_a_name_that_is_html_is_a_name(browser: Chrome, report: Path) -> None:
    opened(browser, report)
    labels = [point.get_attribute("aria-label") for point in all_of(browser, "section:first-of-type circle.point")]
    assert sum(label.startswith("<b>v0</b>, predicted") for label in labels) == 1
    assert not all_of(browser, "b")


def test_filters(browser: Chrome, report: Path) -> None:
    opened(browser, report)
    Select(one_of(browser, "#filter-kernel")).select_by_visible_text("rbf")
    assert one_of(browser, "#shown").text == "7 of 15 cells shown"
    first, cross = all_of(browser, "section")
    rows = [row for row in all_of(first, "tr[data-cell]") if row.is_displayed()]
    assert len(rows) == 7 and all(" rbf " in row.text for row in rows)
    assert len(all_of(first, "svg.strips g.row")) == 7 and len(all_of(first, "svg.heat g.faded")) == 7
    before = [point.get_attribute("cx") for point in all_of(first, "circle.point")]
    Select(one_of(browser, "#filter-layers")).select_by_visible_text("avgpool")
    assert one_of(browser, "#shown").text == "1 of 15 cells shown"
    assert Select(one_of(first, "select.cell")).first_selected_option.text == "avgpool, rbf"
    assert [point.get_attribute("cx") for point in all_of(first, "circle.point")] != before
    Select(one_of(browser, "#filter-kernel")).select_by_index(0)
    Select(one_of(browser, "#filter-layers")).select_by_index(0)
    Select(one_of(browser, "#filter-section")).select_by_index(2)
    assert cross.is_displayed() and not first.is_displayed()
    assert one_of(browser, "#shown").text == "1 of 15 cells shown"


def test_all_of_it_by_keyboard(browser: Chrome, report: Path) -> None:
    opened(browser, report)
    stops: list[Any] = []
    for _ in range(60):
        press(browser, Keys.TAB)
        here = focused(browser)
        stops.append((here.tag_name, here.get_attribute("class")))
        if here.tag_name == "circle":
            break
    assert [tag for tag, _ in stops[:3]] == ["select"] * 3
    assert stops[-1] == ("circle", "point")
    first = focused(browser)
    assert first.get_attribute("aria-label") and one_of(browser, "#tip").is_displayed()
    width = "return getComputedStyle(document.activeElement).strokeWidth"
    assert browser.execute_script(width) == "3px"
    press(browser, Keys.ARROW_RIGHT)
    assert focused(browser) != first and focused(browser).get_attribute("class") == "point"
    press(browser, Keys.END, Keys.HOME)
    assert focused(browser) == first
    press(browser, Keys.TAB)
    tile = focused(browser)
    assert tile.get_attribute("class") == "tile" and tile.get_attribute("role") == "button"
    press(browser, Keys.ARROW_DOWN, Keys.ENTER)
    chosen = Select(one_of(browser, "select.cell")).first_selected_option.text
    assert focused(browser).get_attribute("aria-label").startswith(f"{chosen}, SROCC")
    press(browser, Keys.TAB)
    assert focused(browser).get_attribute("class") == "row"


def test_everything_focusable_has_a_name(browser: Chrome, report: Path, clips: Path) -> None:
    for page in (report, clips):
        opened(browser, page)
        for element in all_of(browser, "select, input, [tabindex='0'], video, svg, img:not(#tip img)"):
            if element.is_displayed():
                assert element.accessible_name.strip(), element.get_attribute("outerHTML")[:120]


def test_clips_say_their_score_and_play(browser: Chrome, clips: Path) -> None:
    opened(browser, clips)
    first, second, third = all_of(browser, "li.clip")
    assert one_of(first, ".score").text == "3.25" and "2.50 to 4.25" in first.text and "Better than 73 %" in first.text
    assert "Unlike the training set: far from all." in second.text
    assert "Damaged E_CORRUPT: the score is of the 8 frames before the damage. 16 good frames, then" in second.text
    assert one_of(third, ".code").text == "E_EMPTY"
    assert len(all_of(first, "svg.timeline circle.point")) == 6 and len(all_of(first, ".frames img")) == 3
    video = one_of(first, "video")
    browser.execute_script("arguments[0].preload = 'auto'; arguments[0].load()", video)
    WebDriverWait(browser, 20).until(lambda b: b.execute_script("return arguments[0].readyState >= 1", video))
    assert browser.execute_script("return arguments[0].duration", video) == pytest.approx(0.32, abs=0.05)
    assert browser.get_log("browser") == []
    Select(one_of(browser, "#filter-kind")).select_by_visible_text("failed")
    assert one_of(browser, "#shown").text == "1 of 3 clips shown" and third.is_displayed() and not first.is_displayed()
    for kind in ("damaged, scored in part", "unlike the training set"):
        Select(one_of(browser, "#filter-kind")).select_by_visible_text(kind)
        assert [item.is_displayed() for item in (first, second, third)] == [False, True, False]
    Select(one_of(browser, "#filter-kind")).select_by_index(0)
    Select(one_of(browser, "#order")).select_by_visible_text("lowest score first")
    assert [item.get_attribute("id") for item in all_of(browser, "li.clip")] == ["clip-1", "clip-0", "clip-2"]
    one_of(browser, "#filter-name").send_keys("gone")
    assert one_of(browser, "#shown").text == "1 of 3 clips shown"
