"""A young regression model: two windows of a minute, labels in the first alone, an incident that names many columns."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import msgspec
import playing
import pytest
import scene

from dashboards.page import make_app, make_server
from drift.incidents import rfc3339, text
from drift.store import Store, migrate, report_rows, rows
from drift.store.server import StoreProcess
from streams.wire.records import Alert, ColumnReport, MetricReport, MovedColumn, MovedLevel, Report

pytestmark = pytest.mark.system  # a store of its own, and a browser

START, MINUTE = scene.START_MS, scene.MINUTE_MS
NAMES = ("bmi", "age", "bp", "s1", "s2", "s3", "score")
REFUSED = {"progression": {"version": "v1", "epoch": 1, "refused": "v2 has no model.pt2"}}


def live() -> dict[str, Any]:
    """One worker that is idle, long after its last request, and refused a route."""
    step = {"step": "score", "rows": 900, "rows_per_s": 0.0, "lag_ms": 90_000, "lag_rows": 0, "p99_ms": None}
    return {"roles": {"worker-0": {"state": "up", "steps": [step], "serving": REFUSED}}}


def fill(store: Store) -> None:
    """Write two windows and an alert."""
    for number in range(2):
        columns = [column(name) for name in NAMES]
        measured = [MetricReport(metric="mae", realised=50.7, low=47.0, high=54.4, reference=44.1, coverage=0.74)]
        report = Report(
            model="progression",
            version="v1",
            window_start=START + number * MINUTE,
            window_end=START + (number + 1) * MINUTE,
            rows=450,
            reference="3fa29c1d",
            budget=43_200.0,
            evidence=9e5,
            columns=columns,
            performance=measured
            if number == 0
            else [msgspec.structs.replace(measured[0], realised=None, coverage=0.0)],
        )
        insert(store, report_rows.of_reports([report]))
    how = "bmi moved: values from 26.72 up rose from 40.6 % to 74.4 %"
    opened = text.text(how, text.since(START), "; also ", text.names(NAMES[1:]))
    insert(store, rows.of_alerts([alert("open", 1, opened), alert("update", 2, opened, "; age is back")]))


def column(name: str) -> ColumnReport:
    return ColumnReport(
        name=name,
        role="prediction" if name == "score" else "feature",
        kind="numeric",
        n=450,
        statistic="ks",
        effect=0.34,
        effect_low=0.3,
        effect_high=0.38,
        tolerance=0.05,
        evidence=9e5,
        drifted=True,
        ks=0.34,
    )


def alert(event: str, after: int, *items: Any) -> Alert:
    parts = text.spelled(text.text(*items), rfc3339)
    moved = [
        MovedColumn(
            name=name,
            role="prediction" if name == "score" else "feature",
            statistic="ks",
            effect=0.34,
            effect_low=0.3,
            effect_high=0.38,
            tolerance=0.05,
            evidence=9e5 - place,
            n=450,
            change_point=START,
            levels=[MovedLevel("from 26.72 up", 0.406, 0.744)],
        )
        for place, name in enumerate(NAMES)
    ]
    return Alert(
        id=f"progression-1-{event}",
        incident="progression-1",
        event=event,
        model="progression",
        version="v1",
        ts=START + after * MINUTE,
        window_start=START,
        window_end=START + after * MINUTE,
        kind="feature",
        severity="warning",
        page=True,
        columns=moved,
        change_point=START,
        change_point_low=START,
        change_point_high=START + MINUTE,
        evidence=9e5,
        budget=43_200.0,
        reference="3fa29c1d",
        epoch=1,
        text=text.plain(parts),
        parts=list(parts),
    )


def insert(store: Store, into: rows.Rows) -> None:
    store.insert(into.table, into.columns)


def counts(store: Store) -> None:
    """The rows' counts, of which traffic and the fleet are told."""
    drawn = scene.Scene("progression", 1, False)
    for number in range(2):
        frame = drawn.frame(450, False)
        counted = scene.counts_of(drawn, START + number * MINUTE, 450, drawn.count(frame))
        insert(store, rows.of_counts([counted]))


@pytest.fixture(scope="module")
def young(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with StoreProcess(tmp_path_factory.mktemp("young")) as process:
        settings = process.settings("driftline")
        migrate(settings)
        client = Store.connect(settings)
        fill(client)
        counts(client)
        yield client
        client.close()


def test_the_fleet_measures_by_the_newest_window_with_labels_and_says_the_time_once(young: Store) -> None:
    said = make_app(young.query, live, clock=lambda: START).test_client().get("/api").json
    row = said["panels"]["fleet"]["rows"][0]
    assert (row["metric"], row["realised"], row["coverage"]) == ("mae", 50.7, 0.74)
    assert said["sentence"] == (
        "progression: since 02:40, bmi moved: values from 26.72 up rose from 40.6 % to 74.4 %; "
        "also age, bp, s1 and 3 more; age is back."
    )


def test_the_model_is_told_by_what_it_has(young: Store) -> None:
    client = make_app(young.query, live, clock=lambda: START).test_client()
    assert client.get("/api/m/progression").json["sentence"] == (
        "Since 02:40 bmi, age, bp and 4 more have moved: in bmi, the share of values from 26.72 up rose from 40.6 % to "
        "74.4 %. "
        "MAE changed: 50.7 [47, 54.4], 44.1 in the reference data; labels cover 74 % of the rows. "
        "worker-0 refused the newest route of progression and goes on with v1."
    )
    pipeline = client.get("/api/pipeline").json
    assert (pipeline["severity"], pipeline["sentence"]) == (
        "warning",
        "worker-0 refused the newest route of progression and goes on with v1.",
    )


@pytest.fixture(scope="module")
def window() -> Iterator[browser.Browser]:
    if browser.MISSING:
        pytest.skip(f"needs {browser.MISSING}")
    with browser.chromium() as opened:
        yield opened


@pytest.mark.parametrize("width", [1280, 380])
def test_two_windows_fill_the_picture(window: browser.Browser, young: Store, tmp_path: Path, width: int) -> None:
    with playing.running(make_server(young.query, live, clock=lambda: START + 3 * MINUTE)) as url:
        window.open(url + "/m/progression", width=width)
        window.shoot(tmp_path / "young.png")
        run = window.driver.execute_script
        texts = run(
            "return [...document.querySelectorAll('.chart')].map(c => [...c.querySelectorAll('.xtick text')]"
            ".map(t => t.textContent))"
        )
        assert len(texts) == 4
        for ticks in texts:
            assert len(ticks) >= 2
            assert len(set(ticks)) == len(ticks), ticks
        # One labelled window: a dot and the bar of its interval, both seen.
        dots = "#chart-performance .scatterlayer .points path"
        assert run("return document.querySelector(arguments[0])?.getBoundingClientRect().width ?? 0", dots) >= 4
        # The two windows stand in the middles of the picture's halves.
        places = run(
            "const c = document.querySelector('#chart-evidence');"
            "const a = c.querySelector('.nsewdrag').getBoundingClientRect();"
            "return [...c.querySelector('.scatterlayer .trace .points').children].map(p => {"
            "  const b = p.getBoundingClientRect(); return (b.x + b.width / 2 - a.x) / a.width})"
        )
        assert places == pytest.approx([0.25, 0.75], abs=0.02)
        assert "v2 has no model.pt2" in window.text(".notice")
        assert window.text(".figures") and "nothing waits" in window.text(".figures")
        assert window.complaints() == []
