"""A table counted by windows, held against the live stages, which count it by minutes."""

import msgspec
import numpy as np
import pandas as pd
import pytest

from drift import Reference, backtest
from drift.analysis.table_clock import TableClock
from drift.analysis.table_counts import MODEL, TOPIC, VERSION, table_counts
from drift.cells import frames
from drift.counting.minutes import count_minutes
from drift.judge.stage import Judge
from drift.performance import label_sums
from streams.wire.records import MINUTE_MS, LabelSums, PartialCounts, Report, Route, RouteCopy, Watch

pytestmark = pytest.mark.system  # minutes: `make test-all`


def table(rows: int, seed: int, per_day: int = 500) -> pd.DataFrame:
    """Rows at random times, in no order, with a day without any; a level and a number move half way."""
    random = np.random.default_rng(seed)
    days = np.sort(random.random(rows)) * rows / per_day
    days += days > days.max() / 3
    x = random.normal(size=rows) + (days > days.max() / 2)
    score = 1 / (1 + np.exp(-x))
    frame = pd.DataFrame({
        "ts": pd.Timestamp("2024-03-20 07:13", tz="UTC") + pd.to_timedelta(days, unit="D"),
        "x": np.where(random.random(rows) < 0.01, np.nan, x),
        "c": random.choice(list("abc"), rows),
        "p": score,
        "y": (random.random(rows) < score).astype(int),
    })  # fmt: skip
    return frame.sample(frac=1, random_state=seed)


REFERENCE = Reference.fit(table(4_000, 0), task="binary", score="p", label="y", time="ts")


def by_minutes(rows: pd.DataFrame, watch: Watch) -> list:
    """Reports and alerts of the same rows, minute by minute."""
    judge = Judge(lambda model, version: REFERENCE)
    told = judge.step(RouteCopy(model=MODEL, route=Route(model=MODEL, epoch=1, ts=0, champion=VERSION, watch=watch)))
    ordered = rows.sort_values("ts", kind="stable")
    aligned = REFERENCE.align(ordered)
    times = ordered.ts.dt.tz_localize(None).to_numpy().astype("datetime64[ms]").astype(np.int64)
    same = {"model": MODEL, "version": VERSION, "reference": REFERENCE.id, "topic": TOPIC, "partition": 0}
    for minute in np.unique(times // MINUTE_MS):
        first, last = np.searchsorted(times // MINUTE_MS, [minute, minute + 1]).tolist()
        part, place = aligned.slice(first, last - first), {"first": first, "last": last - 1}
        counts = count_minutes(REFERENCE, part, times[first:last], np.zeros(last - first, bool))
        told += judge.step(PartialCounts(**same, **place, partitions=1, watermark_ms=int(times[first]), minutes=counts))
        sums = label_sums(REFERENCE, part.column("score"), None, ordered.y.iloc[first:last])
        cells = sums.astype("<i8").tobytes()
        told += judge.step(LabelSums(**same, **place, segment="", minute_ms=int(minute) * MINUTE_MS, cells=cells))
    return told + judge.finish()


def by_windows(rows: pd.DataFrame, watch: Watch) -> list:
    read = frames.read(rows)
    clock = TableClock.of_times(read, "ts", f"{watch.window_ms}ms", watch.timezone)
    judge = Judge(lambda model, version: REFERENCE)
    told = judge.step(RouteCopy(model=MODEL, route=Route(model=MODEL, epoch=1, ts=0, champion=VERSION, watch=watch)))
    for message in table_counts(REFERENCE, REFERENCE.align(read), read.column("y"), clock):
        told += judge.step(message)
    return told + judge.finish()


def final(told: list) -> list[bytes]:
    """The last revision of every report, and what was told, in order."""
    reports = {said.window_start: msgspec.structs.replace(said, revision=0) for said in told if type(said) is Report}
    others = [said for said in told if type(said) is not Report]
    return [msgspec.json.encode(said) for said in (*reports.values(), *others)]


@pytest.mark.parametrize(
    ("hours", "zone", "rows_min"),
    [(1, "UTC", 0), (6, "Europe/Berlin", 200), (24, "America/New_York", 0), (24, "UTC", 0)],
)
def test_windows_of_rows_counted_together_are_those_of_minutes(hours, zone, rows_min):
    watch = Watch(
        window_ms=hours * 3_600_000, timezone=zone, window_rows_min=rows_min, label_wait_ms_max=0, false_alarm_every=200
    )
    rows = table(6_000, 1)
    found, expected = final(by_windows(rows, watch)), final(by_minutes(rows, watch))
    assert found == expected
    assert len(found) > 8 and any(b'"incident"' in said for said in found)


def test_chunks_change_nothing(monkeypatch):
    rows, watch = table(3_000, 1), Watch(window_ms=3_600_000, window_rows_min=0, label_wait_ms_max=0)
    whole = by_windows(rows, watch)
    monkeypatch.setattr("drift.analysis.table_counts.CHUNK_ROWS_MAX", 100)
    monkeypatch.setattr("drift.analysis.table_counts.CHUNK_ATOMS_MAX", 7)
    assert list(map(msgspec.json.encode, by_windows(rows, watch))) == list(map(msgspec.json.encode, whole))


def test_progress_is_told_up_to_the_last_row():
    told = []
    backtest(REFERENCE, table(3_000, 1), rows_per_window=5, on_progress=lambda done, rows: told.append((done, rows)))
    assert len(told) > 1 and told[-1] == (3_000, 3_000) and told == sorted(told)


@pytest.mark.parametrize(
    "how", [{}, {"window": "1h", "time": "ts"}, {"window": "1D", "time": "ts", "timezone": "Asia/Tokyo"}]
)
def test_no_rows_make_no_windows(how):
    found = backtest(REFERENCE, table(10, 1).iloc[:0], **how)
    assert found.reports.empty and found.alerts.empty and found.performance.empty
