"""Windows at the ends of a stretch that hold a part of their time."""

import numpy as np
import pandas as pd
import pytest

from drift import Reference, backtest
from drift.cells.sums import Sums
from drift.counting.minutes import count_minutes, parts
from drift.judge.stage import Judge
from drift.windows.window_record import Span
from drift.windows.windows import Windows
from streams.wire.records import DAY_MS, MINUTE_MS, Alert, PartialCounts, Report, Route, RouteCopy, Watch

HOUR = 60 * MINUTE_MS


def daily(start: str, end: str, seed: int) -> pd.DataFrame:
    """A row a minute whose level is that of its hour."""
    times = pd.date_range(start, end, freq="1min", tz="UTC", inclusive="left")
    hour = times.hour.to_numpy()
    return pd.DataFrame({"ts": times, "hour": hour + np.random.default_rng(seed).normal(size=len(times))})


REFERENCE = Reference.fit(daily("2024-01-01", "2024-01-29", 1), time="ts")


def test_a_stretch_that_is_cut_at_both_ends_marks_them_and_opens_nothing():
    found = backtest(REFERENCE, daily("2024-02-01 17:00", "2024-02-09 05:00", 2), window="1D", time="ts")
    assert found.reports.partial.tolist() == [True] + [False] * 7 + [True]
    assert found.alerts.empty
    # Evenings alone, or mornings alone, are no part of a whole day's evidence.
    assert found.reports.evidence[found.reports.partial].tolist() == [0, 0]


def test_whole_days_are_not_partial():
    found = backtest(REFERENCE, daily("2024-02-01", "2024-02-04", 2), window="1D", time="ts")
    assert not found.reports.partial.any()


def test_a_change_is_told_by_the_first_whole_windows_after_a_partial_one():
    stream = daily("2024-02-01 17:00", "2024-02-12", 2)
    stream["hour"] += 24
    alerts = backtest(REFERENCE, stream, window="1D", time="ts").alerts
    assert alerts.window.min() > pd.Timestamp("2024-02-01", tz="UTC")


def windows(*minutes: int, rows: int = 100) -> Windows:
    sums = Sums(rows, np.zeros(1, np.int64), np.zeros((1, 2), np.int64), np.zeros((1, 2), np.float32))
    return Windows(minutes={minute * MINUTE_MS: sums for minute in minutes})


@pytest.mark.parametrize(
    ("minutes", "last", "partial"),
    [
        (range(60), True, False),
        (range(5, 60), False, True),
        (range(50), True, True),
        (range(50), False, False),  # a lull: the stream goes on
        ([0], True, True),
    ],
)
def test_what_is_partial(minutes, last, partial):
    assert windows(*minutes).partial(Span(0, HOUR), last) is partial


def test_few_rows_lie_far_apart_by_chance():
    assert not windows(7, 50, rows=10).partial(Span(0, HOUR), True)


def test_a_window_of_a_minute_is_never_partial():
    assert not windows(0, rows=1).partial(Span(0, MINUTE_MS), True)


def test_a_stream_whose_windows_end_early_by_habit_is_judged():
    held = windows(*range(20))
    assert held.partial(Span(0, HOUR), True)
    held.pop(Span(0, HOUR))
    held.minutes = {minute + HOUR: sums for minute, sums in windows(*range(20)).minutes.items()}
    assert not held.partial(Span(HOUR, 2 * HOUR), True)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles", "Asia/Kathmandu"])
def test_a_day_that_a_change_of_zone_has_cut_is_partial_and_opens_nothing(zone):
    mixed = daily("2024-01-01", "2024-01-29", 1).sample(frac=1, random_state=0).drop(columns="ts")
    reference = Reference.fit(mixed)  # Without an order, so that nothing says how hours differ.
    judge, stream, told = Judge(lambda model, version: reference), daily("2024-02-01", "2024-02-07", 2), []

    def route(epoch, watch):
        return judge.step(RouteCopy(model="m", route=Route(model="m", epoch=epoch, ts=0, champion="v1", watch=watch)))

    told += route(1, Watch(window_ms=DAY_MS))
    same = {"model": "m", "version": "v1", "reference": reference.id, "topic": "t", "partition": 0, "partitions": 1}
    for number, (_, rows) in enumerate(stream.groupby(stream.ts.dt.floor("h"))):
        if number == 75:
            told += route(2, Watch(window_ms=DAY_MS, timezone=zone))
        times = rows.ts.astype("datetime64[ms, UTC]").astype(np.int64).to_numpy()
        for minutes in parts(count_minutes(reference, reference.align(rows), times, np.zeros(len(rows), bool))):
            at = {"first": number, "last": number, "watermark_ms": int(times[-1])}
            told += judge.step(PartialCounts(**same, **at, minutes=minutes))
    reports = [said for said in told if isinstance(said, Report) and not said.revision]
    cut = [report for report in reports if report.window_end - report.window_start < DAY_MS]
    assert len(cut) == 1 and cut[0].partial is True
    assert all(report.partial is not True for report in reports if report not in cut)
    assert not [said for said in told if isinstance(said, Alert)]
