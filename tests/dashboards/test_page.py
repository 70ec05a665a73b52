"""The page in a real browser: it draws, complains of nothing, asks no other host, and fits every screen."""

from collections.abc import Iterator
from pathlib import Path

import browser
import playing
import pytest
import scene
from selenium.webdriver import ActionChains, Keys

from dashboards.page import make_server
from drift.store import Store

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(browser.MISSING), reason=f"needs {browser.MISSING}")]

PAGES = {
    "fleet": "/",
    "model": "/m/employment",
    "column": "/m/employment/c/RELP",
    "incident": "/i/employment-1",
    "pipeline": "/pipeline",
    "nothing": "/m/nobody",
}
CHARTS = {"fleet": 0, "model": 6, "column": 5, "incident": 0, "pipeline": 1, "nothing": 0}


@pytest.fixture(scope="module")
def window() -> Iterator[browser.Browser]:
    with browser.chromium() as opened:
        yield opened


@pytest.mark.parametrize("width", [1280, 380])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_page(window: browser.Browser, page: str, tmp_path: Path, name: str, dark: bool, width: int) -> None:
    window.asked(), window.complaints()
    window.open(page + PAGES[name], width=width, dark=dark)
    assert len(window.find(".js-plotly-plot svg.main-svg")) >= CHARTS[name]
    assert len(window.find(".chart")) == CHARTS[name]
    shot = tmp_path / f"{name}-{width}-{'dark' if dark else 'light'}.png"
    window.shoot(shot)
    assert shot.stat().st_size > 10_000
    assert window.complaints() == []
    assert window.asked() == {page.removeprefix("http://")}
    assert window.driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_sentence_is_in_the_readers_zone_and_its_hover_in_utc(window: browser.Browser, page: str) -> None:
    window.open(page + "/m/employment", zone="Asia/Tokyo")
    assert "Since 12:12 RELP has moved" in window.text(".sentence")
    assert "Since 03:12 RELP has moved" in window.find(".sentence")[0].get_attribute("title")
    assert window.driver.title == "● employment · Driftline"


def test_the_pipeline_shows_what_each_version_of_a_model_does(window: browser.Browser, page: str) -> None:
    window.open(page + "/pipeline")
    rows = [[cell.text for cell in row.find_elements("css selector", "td")] for row in window.find("tbody tr")]
    seen = next(row for row in rows if row[:1] == ["worker-0"])
    assert seen[1:] == ["employment v2", "champion", "4,010", "401", "5.25", "21.7 %", "2.1 %", "3"]


def test_day_and_night_keep_the_hues(window: browser.Browser, page: str) -> None:
    seen = []
    for dark in (False, True):
        window.open(page + "/m/employment", dark=dark)
        script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
        ask = window.driver.execute_script
        seen.append(
            {
                "paper": ask(script, "body", "backgroundColor"),
                "tick": ask(script, "#chart-evidence .xtick text", "fill"),
                "line": ask(script, "#chart-performance .scatterlayer path.js-line", "stroke"),
            }
        )
    day, night = seen
    assert day["paper"] != night["paper"]
    assert day["tick"] != night["tick"]
    assert day["line"] == night["line"]


def test_a_cell_of_the_map_opens_its_column(window: browser.Browser, page: str) -> None:
    window.open(page + "/m/employment?last=6h")
    drag = window.find("#chart-drift_map .nsewdrag")[0]
    box = drag.rect
    # The top row is the column that moved most.
    ActionChains(window.driver).move_to_element_with_offset(
        drag, box["width"] / 2 - 60, -box["height"] / 2 + 12
    ).click().perform()
    window.until(lambda: "/c/" in window.driver.current_url, "the column's page")
    assert window.driver.current_url == page + "/m/employment/c/RELP?last=6h"
    window.until(lambda: "RELP has moved since" in window.text(".sentence"), "its sentence")


def test_links_are_followed_without_loading_anew(window: browser.Browser, page: str) -> None:
    window.open(page + "/")
    window.driver.execute_script("window.stays = true")
    window.find(".models .name")[0].click()
    window.until(lambda: window.find("#chart-drift_map .js-plotly-plot, #chart-drift_map.js-plotly-plot"), "the map")
    assert window.driver.execute_script("return window.stays")
    window.driver.back()
    window.until(lambda: window.find(".models"), "the fleet again")


def test_it_is_worked_by_keyboard_and_named_for_readers(window: browser.Browser, page: str) -> None:
    window.open(page + "/m/employment")
    ActionChains(window.driver).send_keys(Keys.TAB).perform()
    assert window.driver.switch_to.active_element.text == "Skip to the content"
    assert all(section.get_attribute("aria-label") for section in window.find("section"))
    assert all(chart.get_attribute("aria-label") for chart in window.find("[role=figure]"))
    assert window.find("[role=status]")
    unnamed = "return [...document.querySelectorAll('a, img, summary')].filter(e => !(e.textContent || e.alt)).length"
    assert window.driver.execute_script(unnamed) == 0
    window.find("#panel-evidence .why summary")[0].send_keys(Keys.ENTER)
    window.until(lambda: "Above the line an incident opens" in window.text("#panel-evidence .why p"), "the question")


def test_it_ticks_and_says_since_when_it_is_stale(window: browser.Browser, store: Store) -> None:
    now, up = [scene.END_MS], [True]

    def query(sql: str, parameters: dict[str, object]) -> object:
        if not up[0]:
            raise ConnectionError("connection refused")
        return store.query(sql, parameters)

    with playing.running(make_server(query, scene.status, clock=lambda: now[0])) as url:
        window.open(url + "/m/employment")
        assert window.text(".live") == "live 03:28:00"
        window.driver.execute_script("document.querySelector('.sentence').dataset.same = 'yes'")
        now[0] += 60_000  # an answer serves for as long as the store took for it, twenty times
        window.until(lambda: window.text(".live") == "live 03:29:00", "the tick")
        # Nothing new came: what is on the page stays, and is not drawn anew.
        assert window.find(".sentence")[0].get_attribute("data-same") == "yes"
        up[0] = False
        now[0] += 60_000
        window.until(lambda: "stale" in window.text(".live"), "the stale mark")
        assert "Not refreshed since 2026-11-21 03:29:00 UTC" in window.text(".stale")
        assert len(window.find(".js-plotly-plot")) == CHARTS["model"]
        up[0] = True
        window.until(lambda: "live" in window.text(".live"), "life again")
        window.driver.get("about:blank")
