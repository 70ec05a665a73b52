"""Rows of the past: what is refused before one is sent, in which order they go, and that none of them is late."""

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace

from drift.counting.event_clock import EventClock
from driftline.commands import backfill, produce
from driftline.commands.row_files import RowFile, RowFileError
from streams.clock import now_ms
from streams.wire.records import Route, Watch

START = pd.Timestamp("2024-02-01", tz="UTC")
ROUTE = Route(model="flights", epoch=1, ts=0, champion="v1", watch=Watch(window_ms=3_600_000))


@pytest.fixture(params=["parquet", "csv", "jsonl"])
def file(tmp_path, request):
    """Rows in no order, two of one moment."""

    def written(frame: pd.DataFrame) -> RowFile:
        path = tmp_path / f"past.{request.param}"
        if request.param == "parquet":
            frame.to_parquet(path)
        elif request.param == "csv":
            frame.to_csv(path, index=False)
        else:
            frame.assign(ts=[None if stamp is pd.NaT else str(stamp) for stamp in frame.ts]).to_json(
                path, orient="records", lines=True
            )
        return RowFile(path)

    return written


def rows(minutes: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"ts": [START + pd.Timedelta(minutes=m) for m in minutes], "n": range(len(minutes))})


def test_rows_are_put_in_order_of_time_and_ties_stay(file):
    read = file(rows([30, 10, 20, 10, 0]))
    past = backfill.survey(read, "ts", None)
    assert not past.ordered
    assert [row["n"] for batch in backfill.in_order(past, read.batches()) for row in batch] == [4, 1, 3, 2, 0]
    assert "by which they are sorted first" in backfill.statement(past, "flights", 8, keyed=False)


def test_of_the_first_rows_only_these_count(file):
    read = file(rows([30, 10, 20, 0]))
    past = backfill.survey(read, "ts", 3)
    assert [row["n"] for batch in backfill.in_order(past, read.batches()) for row in batch] == [1, 2, 0]


def test_a_row_without_a_time_is_refused_by_its_number(file):
    frame = rows([0, 1, 2])
    frame.loc[1, "ts"] = pd.NaT
    with pytest.raises(RowFileError, match="row 1 has None for 'ts', which is no time"):
        backfill.survey(file(frame), "ts", None)


def test_times_ahead_and_files_without_rows_are_refused(file):
    ahead = rows([0]).assign(ts=pd.Timestamp(now_ms() + 7_200_000, unit="ms", tz="UTC").floor("s"))
    with pytest.raises(RowFileError, match="lies ahead"):
        backfill.survey(file(ahead), "ts", None)
    with pytest.raises(RowFileError, match="no column"):
        backfill.survey(file(rows([0])), "when", None)


def past(minutes: list[int]) -> backfill.Past:
    start = int(START.timestamp() * 1000)
    return backfill.Past("past.csv", "ts", start + 60_000 * np.array(minutes, np.int64))


def test_what_a_model_has_left_behind_is_refused_and_counted():
    """Windows of an hour, a minute of lateness: at 02:01 those of two hours are closed, just before that one is."""
    found = past([0, 59, 60, 119, 120, 500])
    at = int(START.timestamp() * 1000) + 2 * 3_600_000 + 60_000
    assert backfill.late_rows(found, ROUTE, at) == 4
    assert backfill.late_rows(found, ROUTE, at - 1) == 2
    assert backfill.late_rows(found, ROUTE, None) == 0
    assert "so 4 of 6 rows of past.csv would come after" in backfill.refusal(found, ROUTE, at)
    assert not backfill.refusal(past([120, 500]), ROUTE, at)  # a file that goes on where the last one ended


def test_windows_of_a_zone_are_those_of_the_route():
    """At midnight UTC the day of New York is not over."""
    of_days = replace(ROUTE, watch=Watch(window_ms=86_400_000, timezone="America/New_York"))
    at = int(START.timestamp() * 1000) + 86_400_000 + 60_000
    assert backfill.late_rows(past([0, 600]), of_days, at) == 1


@pytest.mark.parametrize(
    ("minutes", "watch", "ends"),
    [
        (range(300), Watch(window_ms=60_000), [300]),  # Windows of fewer than 200 rows merge.
        (range(300), Watch(window_ms=60_000, window_rows_min=0), [64, 128, 192, 256, 300]),
        (range(0, 300 * 1_440, 1_440), Watch(), [15 * n for n in range(1, 21)]),
        ([0] * 250_000, Watch(), [100_000, 200_000, 250_000]),
    ],
)
def test_a_stretch_is_no_longer_than_half_of_what_closed_windows_are_kept_for(minutes, watch, ends):
    assert backfill.stretches(past(list(minutes)), watch) == ends


@pytest.mark.parametrize("partitions", [1, 3, 8])
def test_no_row_is_late_in_its_partition_and_all_are_in_step(partitions):
    times = past(list(range(0, 3_000, 2))).times
    place = np.arange(len(times)) // produce._RUN_ROWS % partitions
    clocks = [EventClock(None, ROUTE.watch) for _ in range(partitions)]
    for partition, clock in enumerate(clocks):
        own = times[place == partition]
        assert not clock.observe(own, np.arange(len(own)))[0].any()
    ends = [clock.reached for clock in clocks]
    assert max(ends) - min(ends) <= produce._RUN_ROWS * partitions * 120_000
