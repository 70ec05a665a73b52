"""Bad input, all the way: profiled into a reference, then streamed against it. Nothing crashes, and what it is is said.

What a reference itself makes of such columns is in `test_reference`; what the log refuses, a time in the future say, in
`tests/streams`.
"""

import numpy as np
import pandas as pd
import pytest

import drift
from drift import Reference
from drift.cells.frames import FrameError
from streams.wire.records import Watch

RNG = np.random.default_rng(11)


def normal(rows: int) -> np.ndarray:
    return RNG.normal(size=rows)


def alerts(was: pd.DataFrame, now: pd.DataFrame, **how) -> pd.DataFrame:
    return drift.backtest(
        Reference.fit(was), now, rows_per_window=200, false_alarm_every=10_000, watch=Watch(page_from="watch"), **how
    ).alerts


SILENT = {
    "a constant stays constant": ({"x": [3.0] * 2_000}, {"x": [3.0] * 4_000}),
    "all null stays all null": ({"x": [np.nan] * 2_000}, {"x": [np.nan] * 4_000}),
    "a reference of one level": ({"x": ["only"] * 2_000}, {"x": ["only"] * 4_000}),
    "a row of stream": ({"x": normal(2_000)}, {"x": [0.1]}),
    "infinities as usual": ({"x": [np.inf, -np.inf, 1.0, 2.0] * 500}, {"x": [np.inf, -np.inf, 1.0, 2.0] * 1_000}),
}


@pytest.mark.parametrize(("was", "now"), SILENT.values(), ids=SILENT)
def test_what_is_odd_but_as_ever_is_silent(was, now):
    assert alerts(pd.DataFrame(was), pd.DataFrame(now)).empty


TOLD = {
    "a number becomes a constant": ({"x": normal(5_000)}, {"x": [0.0] * 1_000}, "x moved"),
    "a constant becomes another": ({"x": [3.0] * 5_000}, {"x": [4.0] * 1_000}, "x moved"),
    "a column empties": (
        {"x": normal(5_000)},
        {"x": [np.nan] * 1_000},
        "null values rose from 0 % in the reference data to 100 %",
    ),
    "an empty column fills": (
        {"x": [np.nan] * 5_000},
        {"x": normal(1_000)},
        "null values fell from 100 % in the reference data to 0 %",
    ),
    "a level that looks like another": (
        {"x": ["Rome", "Oslo"] * 2_500},
        {"x": ["Rome ", "Oslo"] * 500},
        "unseen values rose from 0 % in the reference data to 50 %",
    ),
}


@pytest.mark.parametrize(("was", "now", "said"), TOLD.values(), ids=TOLD)
def test_what_turns_odd_is_told_for_what_it_is_in_the_first_window(was, now, said):
    found = alerts(pd.DataFrame(was), pd.DataFrame(now))
    assert found["window"].iloc[0] == 0 and said in " ".join(found["text"])


def test_infinity_among_numbers_is_named():
    now = np.where(RNG.random(2_000) < 0.2, np.inf, normal(2_000))
    found = alerts(pd.DataFrame({"x": normal(5_000)}), pd.DataFrame({"x": now}))
    assert "+inf values rose from 0 %" in " ".join(found["text"]) and found["page"].any()


def test_one_row_of_reference_pages_nobody():
    # Its one value has a cell of its own and does not come again: evidence, of no size that one row could tell.
    assert not alerts(pd.DataFrame({"x": [0.5]}), pd.DataFrame({"x": normal(4_000)}))["page"].any()


@pytest.mark.system  # a million levels
def test_a_million_levels_are_counted_and_named_for_what_they_are_and_all_new_ones_are_no_news():
    was, now = (pd.DataFrame({"user": np.arange(*of).astype(str)}) for of in ((0, 1_000_000), (1_000_000, 1_020_000)))
    reference = Reference.fit(was)
    assert "if it is an identifier, exclude it" in " ".join(reference.notes)
    assert reference.of("user")[reference.columns[0].other] == 1_000_000
    assert len(reference.to_bytes()) < 200_000
    assert drift.backtest(reference, now, rows_per_window=1_000).alerts.empty


def test_a_column_that_is_not_there_is_named_and_one_too_many_changes_nothing():
    reference = Reference.fit(pd.DataFrame({"age": normal(2_000), "city": ["a", "b"] * 1_000}))
    with pytest.raises(FrameError, match="lacks the column 'city'"):
        drift.backtest(reference, pd.DataFrame({"age": normal(400)}))
    stream = pd.DataFrame({"age": normal(400), "city": ["a", "b"] * 200})
    one, more = (drift.backtest(reference, frame).reports for frame in (stream, stream.assign(height=1.7)))
    pd.testing.assert_frame_equal(one, more)


def test_a_table_may_hold_times_in_the_future_and_its_windows_are_named_by_them():
    reference = Reference.fit(pd.DataFrame({"x": normal(2_000)}))
    times = pd.date_range("2199-12-31 23:50", periods=2_000, freq="1s", tz="UTC")
    found = drift.backtest(reference, pd.DataFrame({"x": normal(2_000), "ts": times}), window="10min", time="ts")
    assert found.alerts.empty and str(found.reports["window"].iloc[-1]) == "2200-01-01 00:20:00+00:00"
