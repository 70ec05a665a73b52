"""Windows by the calendar of a time zone: held against pandas, and against what any cut of time must be."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift import Reference, backtest
from drift.cells.frames import FrameError
from drift.counting.calendar import calendar
from streams.wire.records import DAY_MS, HOUR_MS, MINUTE_MS, Watch

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana"]
ZONES += ["Pacific/Apia", "America/Sao_Paulo", "Asia/Kathmandu", "Africa/Casablanca"]
#: Its clock goes by the moon, foretold differently by the tables of pandas and of the system.
UNKNOWN_TO_PANDAS = {"Africa/Casablanca"}
LENGTHS = [1, 15, 60, 120, 180, 360, 720, 1440, 2 * 1440, 7 * 1440, 14 * 1440]
times = st.integers(946_684_800_000, 2_082_758_400_000)  # 2000 to 2035: pandas knows no clock change after 2037


@settings(deadline=None)
@given(times, st.sampled_from(ZONES), st.sampled_from(LENGTHS))
def test_windows_hold_their_times_and_leave_no_gap(ms, zone, minutes):
    windows = calendar(minutes * MINUTE_MS, zone)
    start, end = windows.span(ms)
    assert start <= ms < end and start % MINUTE_MS == end % MINUTE_MS == 0
    assert windows.span(start) == windows.span(end - 1) == (start, end)
    assert windows.span(end)[0] == end and windows.span(start - 1)[1] == start


@settings(deadline=None)
@given(times, st.sampled_from([zone for zone in ZONES if zone not in UNKNOWN_TO_PANDAS]))
def test_days_go_from_midnight_to_midnight_and_weeks_from_monday(ms, zone):
    local = pd.Timestamp(ms, unit="ms", tz="UTC").tz_convert(zone).tz_localize(None)
    monday = local.normalize() - pd.Timedelta(days=local.dayofweek)
    for days, first in ((1, local.normalize()), (7, monday)):
        bounds = [first, first + pd.Timedelta(days=days)]
        stamps = pd.DatetimeIndex(bounds).tz_localize(
            zone, ambiguous=np.array([True, True]), nonexistent="shift_forward"
        )
        expected = tuple(int(stamp.timestamp() * 1000) for stamp in stamps)
        assert calendar(days * DAY_MS, zone).span(ms) == expected


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2024-03-31", 23),
        ("Europe/Berlin", "2024-10-27", 25),
        ("America/New_York", "2024-03-10", 23),
        ("Australia/Lord_Howe", "2024-04-07", 24.5),
        ("Asia/Kolkata", "2024-03-31", 24),
    ],
)
def test_the_day_of_a_clock_change_is_as_long_as_it_is(zone, day, hours):
    noon = int(pd.Timestamp(f"{day} 12:00", tz=zone).timestamp() * 1000)
    start, end = calendar(DAY_MS, zone).span(noon)
    assert (end - start) / HOUR_MS == hours
    inside = np.arange(start, end, 5 * MINUTE_MS)
    hourly = np.unique(calendar(HOUR_MS, zone).spans(inside)[0])
    assert len(hourly) == np.ceil(hours)  # the hour that the clock shows twice is two windows


def test_parts_of_a_day_keep_to_the_clock():
    windows = calendar(6 * HOUR_MS, "Europe/Berlin")
    morning = pd.Timestamp("2024-10-27 01:00", tz="Europe/Berlin")
    start, end = windows.span(int(morning.timestamp() * 1000))
    assert (end - start) / HOUR_MS == 7  # from 0 to 6 o'clock, with an hour more
    assert pd.Timestamp(end, unit="ms", tz="UTC").tz_convert("Europe/Berlin").hour == 6


def test_in_utc_windows_are_counted_on_from_1970_as_they_always_were():
    moments = np.random.default_rng(1).integers(0, 2**41, 1_000)
    for minutes in (1, 7, 60, 90, 1440, 3 * 1440):
        length = minutes * MINUTE_MS
        starts, ends = calendar(length, "UTC").spans(moments)
        np.testing.assert_array_equal(starts, moments // length * length)
        np.testing.assert_array_equal(ends - starts, length)


def test_times_of_no_year_are_windows_too():
    for ms in (-(10**15), -1, 0, 10**16):
        start, end = calendar(DAY_MS, "Europe/Berlin").span(ms)
        assert start <= ms < end


@pytest.mark.parametrize("name", ["", "Berlin", "Europe", "../etc/passwd", "UTC+1", "Mars/Olympus"])
def test_what_is_no_zone_is_refused_by_its_name(name):
    with pytest.raises(ValueError, match=r"timezone is .*; name one of the IANA list"):
        Watch(timezone=name)


def test_lengths_that_no_day_is_made_of_are_refused_outside_of_utc():
    assert Watch(window_ms=7 * HOUR_MS).window_ms
    with pytest.raises(ValueError, match="divides a day"):
        Watch(window_ms=7 * HOUR_MS, timezone="Europe/Berlin")


def stream(start: str, end: str) -> pd.DataFrame:
    stamps = pd.date_range(start, end, freq="1min", tz="UTC", inclusive="left")
    return pd.DataFrame({"ts": stamps, "x": np.random.default_rng(1).normal(size=len(stamps))})


REFERENCE = Reference.fit(stream("2024-01-01", "2024-01-05"), time="ts")


def test_a_backtest_by_days_of_a_zone():
    rows = stream("2024-03-28 23:00", "2024-04-01 22:00")  # midnight to midnight in Berlin
    reports = backtest(REFERENCE, rows, window="1D", time="ts", timezone="Europe/Berlin").reports
    assert reports.n.tolist() == [1440, 1440, 23 * 60, 1440]
    assert [str(start) for start in reports.window] == [
        "2024-03-29 00:00:00+01:00",
        "2024-03-30 00:00:00+01:00",
        "2024-03-31 00:00:00+01:00",
        "2024-04-01 00:00:00+02:00",
    ]
    assert not reports.partial.any()
    assert backtest(REFERENCE, rows, window="1D", time="ts").reports.partial.tolist()[0]


@pytest.mark.parametrize(("window", "zone"), [("1D", "Berlin"), ("7h", "Europe/Berlin"), ("1day1", "UTC")])
def test_a_backtest_refuses_windows_that_there_are_not(window, zone):
    with pytest.raises(FrameError):
        backtest(REFERENCE, stream("2024-03-28", "2024-03-29"), window=window, time="ts", timezone=zone)
