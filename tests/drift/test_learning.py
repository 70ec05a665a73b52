"""A reference whose rows were mixed: the stream's first windows show how much windows differ."""

import itertools

import msgspec
import numpy as np
import pandas as pd
import pytest

from drift import Reference, backtest
from drift.analysis.table_clock import TableClock
from drift.analysis.table_counts import table_counts
from drift.cells import frames
from drift.cells.cells import Cells
from drift.evidence.design_effects import block_counts, block_rows, of_blocks
from drift.judge.stage import Judge
from drift.reference.row_order import LEARNING_WINDOWS
from streams.wire.records import PartialCounts, Route, RouteCopy, Watch


def cycle(start: str, days: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    """Rows twice a minute with a cycle of the day and a weekend."""
    random = np.random.default_rng(seed)
    times = pd.date_range(start, periods=days * 2880, freq="30s", tz="UTC")
    wave = np.sin(2 * np.pi * ((times.hour + times.minute / 60).to_numpy() - 9) / 24)
    weekend = (times.dayofweek >= 5).astype(float)
    amount = 50 + 15 * wave + 10 * weekend + random.normal(0, 10, len(times)) + shift
    share = 1 / (1 + np.exp(-(wave - weekend / 2)))
    return pd.DataFrame(
        {"ts": times, "amount": amount, "channel": np.where(random.random(len(times)) < share, "a", "b")}
    )


HOUR = "1h"
WEEK = cycle("2024-01-01", 7, 1)
MIXED = WEEK.sample(frac=1, random_state=1).reset_index(drop=True)
REFERENCE = Reference.fit(MIXED, exclude=("ts",))


def quiet(alerts: pd.DataFrame) -> bool:
    return alerts.empty


def test_a_week_that_repeats_the_cycle_opens_nothing_whatever_the_order_of_the_reference():
    for reference in (REFERENCE, Reference.fit(WEEK)):
        assert quiet(backtest(reference, cycle("2024-01-08", 7, 2), time="ts", window=HOUR).alerts)
    # The same mixed rows, held to stand in order, are what went wrong.
    assert not quiet(
        backtest(Reference.fit(MIXED, order="file"), cycle("2024-01-08", 7, 2), time="ts", window=HOUR).alerts
    )


def test_a_shift_that_all_learnt_windows_share_is_no_spread_and_is_told():
    alerts = backtest(REFERENCE, cycle("2024-01-08", 7, 2, shift=30.0), time="ts", window=HOUR).alerts
    learnt = pd.Timestamp("2024-01-08", tz="UTC") + pd.Timedelta(hours=LEARNING_WINDOWS - 1)
    assert alerts.window.min() >= learnt
    assert any("amount" in names for names in alerts["columns"])


@pytest.mark.parametrize("reference", [Reference.fit(WEEK), REFERENCE], ids=["time", "mixed"])
def test_a_shift_of_one_sd_under_a_cycle_is_told_within_six_days(reference):
    """What blocks of hours have in common hides it so long; only a model of the season could tell it earlier."""
    alerts = backtest(reference, cycle("2024-01-08", 7, 2, shift=15.0), time="ts", window=HOUR).alerts
    assert alerts.window.min() < pd.Timestamp("2024-01-14", tz="UTC")


def test_independent_rows_are_judged_as_ever_once_the_windows_have_shown_it():
    random = np.random.default_rng(1)
    reference = Reference.fit(pd.DataFrame({"x": random.normal(size=5_000)}), order="unknown")
    stream = pd.DataFrame({"x": random.normal(np.repeat([0.0, 0.5], 15_000))})
    alerts = backtest(reference, stream, rows_per_window=300).alerts
    assert 50 <= alerts.window.min() <= 54


def test_a_column_that_becomes_all_null_is_not_waited_for():
    stream = cycle("2024-01-08", 2, 2)
    stream["amount"] = np.nan
    alerts = backtest(REFERENCE, stream, time="ts", window=HOUR).alerts
    assert alerts.window.min() <= pd.Timestamp("2024-01-08 01:00", tz="UTC")
    assert alerts.severity.iloc[-1] == "critical" and alerts.page.any()


def messages(stream: pd.DataFrame) -> list[PartialCounts]:
    table = frames.read(stream)
    clock = TableClock.of_times(table, "ts", HOUR, "UTC")
    return list(table_counts(REFERENCE, REFERENCE.align(table), None, clock))


def test_reports_say_how_many_windows_are_waited_for_and_a_snapshot_in_their_midst_changes_nothing():
    route = RouteCopy(model="backtest", route=Route(
        model="backtest", epoch=1, ts=0, champion="v1", watch=Watch(window_ms=3_600_000, window_rows_min=0)
    ))  # fmt: skip
    counts = messages(cycle("2024-01-08", 4, 2, shift=60.0))

    def judged(cuts: tuple[int, ...]) -> list:
        judge, told = Judge(lambda model, version: REFERENCE), []
        for first, last in itertools.pairwise((0, *cuts, len(counts) + 1)):
            fresh = Judge(lambda model, version: REFERENCE)
            fresh.restore(judge.snapshot())
            judge = fresh
            for message in [route, *counts][first:last]:
                told += judge.step(message)
        return told + judge.finish()

    whole = judged(())
    reports = [said for said in whole if hasattr(said, "revision")]
    assert [report.learning for report in reports[: LEARNING_WINDOWS - 1]] == list(range(LEARNING_WINDOWS - 1, 0, -1))
    assert all(report.learning is msgspec.UNSET for report in reports[LEARNING_WINDOWS - 1 :])
    assert len(reports) < len(whole)
    cuts = tuple(len(counts) * part // 7 for part in range(1, 7))
    assert list(map(msgspec.json.encode, judged(cuts))) == list(map(msgspec.json.encode, whole))


@pytest.mark.parametrize("seed", range(3))
def test_blocks_of_unequal_rows_have_the_effect_of_equal_ones(seed):
    """Rows of households: sums over blocks of 20 to 60 rows inflate as sums over blocks of 40 do."""
    random = np.random.default_rng(seed)
    cells = Cells(name="x", edges=tuple(np.linspace(-2, 2, 9)))
    index = cells.index(np.repeat(random.normal(size=10_000), 4))
    counts = np.bincount(index, minlength=cells.size)
    ends = np.cumsum(random.integers(5, 16, 900) * 4)
    rows = np.diff(ends, prepend=0)
    blocks = np.array([np.bincount(part, minlength=cells.size) for part in np.split(index[: ends[-1]], ends[:-1])])
    even = of_blocks(cells, counts, block_counts(index, cells.size), block_rows(len(index)))
    uneven = of_blocks(cells, counts, blocks, rows)
    assert 4 <= uneven[0] < 6 and 4 <= even[0] < 6
