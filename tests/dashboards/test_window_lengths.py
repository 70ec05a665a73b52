"""Pages of models whose windows are a minute, an hour, or a day of a calendar: a range shows many of them."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pandas as pd
import playing
import pytest
import scene

from dashboards.page.address import Address
from dashboards.page.page_data import PageData, gather
from dashboards.page.query_cache import QueryCache
from dashboards.page.sentence import say
from drift.store import Store, migrate, report_rows, rows
from drift.store.server import StoreProcess

pytestmark = pytest.mark.system  # a store of its own

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
LONDON = ZoneInfo("Europe/London")
#: Days of London around the end of summer time, the last of March 2026 an hour short: by UTC, two begin on one day.
DAYS = [datetime(2026, 3, 10, tzinfo=LONDON) + timedelta(days=day) for day in range(41)]
STARTS = {
    "daily": [int(day.astimezone(UTC).timestamp() * 1000) for day in DAYS],
    "hourly": [scene.START_MS // HOUR * HOUR + HOUR * hour for hour in range(41)],
    "by-minute": [scene.START_MS + MINUTE * minute for minute in range(41)],
}
#: Windows 20 to 24 are missing: no request came.
GAP = range(20, 25)
#: Counts of each model's newest window, once it is stored.
NEWEST: dict[str, np.ndarray] = {}


def fill(store: Store, model: str, starts: list[int]) -> np.ndarray:
    """Write 35 windows and the counts of their first minutes, and three minutes of a window that is not over; returns
    the counts of the newest window, which are those of the minutes after it, too.
    """
    drawn = scene.Scene(model, 7, moves=False)
    scene._insert(store, scene._reference(drawn))
    reports, counts = [], []
    for (start, end), (_, frame, counted) in zip(itertools.pairwise(starts), drawn.windows(), strict=False):
        if starts.index(start) in GAP:
            continue
        report = drawn.report(start, frame, counted)
        reports.append(msgspec.structs.replace(report, window_start=start, window_end=end))
        counts.append(scene.counts_of(drawn, start, len(frame["score"]), counted))
    for minute in range(3):
        counts.append(scene.counts_of(drawn, starts[-1] + minute * MINUTE, len(frame["score"]), counted))
    scene._insert(store, report_rows.of_reports(reports))
    scene._insert(store, rows.of_counts(counts))
    return counted


@pytest.fixture(scope="module")
def lengths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store of three models."""
    with StoreProcess(Path(tmp_path_factory.mktemp("lengths"))) as process:
        settings = process.settings("driftline")
        migrate(settings)
        store = Store.connect(settings)
        for model, starts in STARTS.items():
            NEWEST[model] = fill(store, model, starts)
        yield store
        store.close()


def shown(store: Store, **address: Any) -> PageData:
    """What a page shows an hour after the newest row of the model."""
    now = STARTS[address["model"]][-1] + HOUR
    return gather(QueryCache(store.query, dict, lambda: now), Address(**{"page": "model", **address}))


@pytest.mark.parametrize(("model", "step"), [("daily", DAY), ("hourly", HOUR), ("by-minute", MINUTE)])
def test_every_window_of_the_range_is_a_point(lengths: Store, model: str, step: int) -> None:
    """Also across the day that is an hour short; the newest window is one of them."""
    data = shown(lengths, model=model)
    starts = [start for at, start in enumerate(STARTS[model][:-1]) if at not in GAP]
    expected = [start for start in starts if data.over.start_ms <= start <= data.over.end_ms]
    assert data.over.interval_s * 1000 == step
    assert len(expected) >= 18 and expected[-1] == starts[-1]
    assert sorted({row["time"] for row in data.rows("drift_map")}) == expected


@pytest.mark.parametrize("last", ["1h", "24h", "30d"])
def test_a_range_shorter_than_a_window_reaches_back_to_the_newest(lengths: Store, last: str) -> None:
    data = shown(lengths, model="daily", last=last)
    newest = STARTS["daily"][-2]
    assert max(row["time"] for row in data.rows("drift_map")) == newest
    assert "watched" in say(data).text
    if last != "30d":
        assert data.over.start_ms == newest


def test_no_cell_of_the_map_reaches_into_a_gap(lengths: Store) -> None:
    """A cell reaches half way to its neighbours: those of a gap must be there, and empty."""
    from dashboards.page.driftmap import draw
    from dashboards.page.view import _chart_context

    data = shown(lengths, model="hourly", last="7d")
    context = _chart_context(data, UTC)
    frame = data.frame("drift_map")
    begin = context.local(frame["time"])
    heat = draw(frame.assign(begin=begin, time=begin + context.step / 2), context).data[0]
    empty = [time for time, column in zip(heat.x, heat.z.T, strict=True) if all(pd.isna(value) for value in column)]
    middle = [pd.Timestamp(STARTS["hourly"][at] + HOUR // 2, unit="ms") for at in (GAP[0], GAP[-1])]
    assert [pd.Timestamp(time) for time in empty] == middle


def test_the_column_page_compares_the_newest_window_and_not_the_whole_range(lengths: Store) -> None:
    """Where no open incident names the column: what is shown as now is as long ago as the newest window at most."""
    data = shown(lengths, page="column", column="RELP", model="daily", last="30d")
    drawn = scene.Scene("daily", 7, moves=False)
    relp = drawn.cells(scene.NAMES.index("RELP"), NEWEST["daily"])
    current = {row["cell"]: row["current"] for row in data.rows("column_cells")}
    assert current == pytest.approx(dict(zip(drawn.columns[1].labels, relp / relp.sum(), strict=True)))


if __name__ == "__main__":  # Pictures of the three, for eyes.
    import sys
    import tempfile

    import browser

    from dashboards.page import make_server

    with tempfile.TemporaryDirectory() as folder, StoreProcess(Path(folder)) as process:
        settings = process.settings("driftline")
        migrate(settings)
        store = Store.connect(settings)
        for name, starts in STARTS.items():
            fill(store, name, starts)
        now_ms = int(datetime(2026, 11, 22, tzinfo=UTC).timestamp() * 1000)
        with (
            playing.running(make_server(store.query, dict, clock=lambda: now_ms)) as url,
            browser.chromium() as window,
        ):
            for name in STARTS:
                window.open(f"{url}/m/{name}", width=1280, dark=False)
                window.shoot(Path(sys.argv[1]) / f"{name}.png", "")
