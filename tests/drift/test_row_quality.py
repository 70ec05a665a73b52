"""Rows that repeat an id, rows that come late, columns that break: told in words; clean streams stay silent."""

import itertools
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

import drift
from drift import Reference
from drift.counting.duplicate_ids import IDS_MAX, merged, share, sketches
from drift.incidents.book import Book
from drift.incidents.closed_window import ClosedWindow, MonitorContext
from drift.incidents.row_quality import LATE, REPEATED, Observed, RowQuality, above
from drift.incidents.volume import STEADY_WINDOWS
from streams.wire.records import MINUTE_MS, Alert, Watch

# --- sketches ---------------------------------------------------------------------------------------


def sketch(ids):
    return sketches(ids, np.zeros(len(ids), np.int32), 1)[0]


@given(ids=st.lists(st.integers(0, 900), min_size=1, max_size=1500), cuts=st.lists(st.integers(0, 1500), max_size=4))
@settings(max_examples=30)
def test_any_split_in_any_order_gives_the_same_sketch(ids, cuts):
    texts = [f"id {number}" for number in ids]
    bounds = [0, *sorted(min(cut, len(ids)) for cut in cuts), len(ids)]
    parts = [sketch(pa.array(texts[a:b], pa.string())) for a, b in itertools.pairwise(bounds)]
    whole = b""
    for part in reversed(parts):
        whole = merged(whole, part)
    assert whole == sketch(pa.array(texts))
    if len(set(ids)) <= IDS_MAX:
        assert share(whole) == (len(ids) - len(set(ids)), len(ids))


@given(
    rows=st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 400)), st.integers(0, 5)), max_size=900),
    size=st.integers(6, 8),
)
@settings(max_examples=30)
def test_groups_are_sketched_as_if_each_stood_alone(rows, size):
    texts = pa.array([None if number is None else f"id {number}" for number, _ in rows], pa.string())
    groups = np.array([group for _, group in rows], np.int32)
    together = sketches(texts, groups, size)
    for group in range(size):
        alone = texts.filter(pa.array(groups == group, pa.bool_()))
        # The definition: pandas' hash of each id, the smallest first, with how many rows have it.
        hashes = pd.util.hash_array(np.array(alone.to_pylist(), object))
        smallest, counts = np.unique(hashes, return_counts=True)
        entries = [(int(h), int(n)) for h, n in zip(smallest[:IDS_MAX], counts[:IDS_MAX], strict=True)]
        assert np.frombuffer(together[group], [("hash", "<u8"), ("rows", "<u4")]).tolist() == entries


def test_of_many_ids_the_share_is_that_of_a_sample():
    texts = np.array([f"id {k}" for k in range(50_000)])
    again = np.random.default_rng(1).choice(texts, 5_000, replace=False)
    repeated, rows = share(sketch(pa.array(np.concatenate([texts, again]))))
    assert IDS_MAX <= rows <= 2 * IDS_MAX and repeated / rows == pytest.approx(5 / 55, abs=0.05)


# --- shares -----------------------------------------------------------------------------------------


def test_a_window_alarms_by_chance_no_more_often_than_the_budget_says():
    for rows, bound in ((200, 0.01), (5_000, 0.01), (200, 0.2)):
        first = next(many for many in range(rows) if above(many, rows, bound, 1_000))
        assert binom.sf(first - 1, rows, bound) <= 1 / 1_000


def told(quality: RowQuality, what: str, several: list[tuple[int, int]]) -> list[Alert]:
    watch = Watch(false_alarm_every=10_000.0, tolerances={"rate": 0.01})
    context = MonitorContext(model="m", version="v1", epoch=1, watch=watch, reference="r")
    book, alerts = Book(itertools.count(1).__next__), []
    for minute, (count, rows) in enumerate(several):
        window = ClosedWindow(context=context, start=minute * MINUTE_MS, end=(minute + 1) * MINUTE_MS)
        finding = quality.observe(window, Observed(what=what, count=count, rows=rows))
        if finding is not None:
            alerts.append(book.tell(quality.of(what), window, finding))
    return alerts


def test_a_share_that_grows_by_half_and_a_point_is_told_again_and_its_end_says_how_much_it_was():
    found = told(
        RowQuality(), LATE, [(0, 500)] * 5 + [(60, 500)] * 4 + [(70, 500)] * 4 + [(200, 500)] * 4 + [(0, 500)] * 4
    )
    assert [alert.event for alert in found] == ["open", "update", "close"]
    assert found[1].text.startswith("40 % of the rows since 1970-01-01T00:13:00Z came after") and found[1].worse
    assert (
        found[2].text == "back to normal: 0 % of the rows came after their window had closed, 40 % when last reported"
    )


def test_it_is_told_once_and_closes_after_three_calm_windows():
    found = told(RowQuality(), LATE, [(0, 500)] * 5 + [(60, 500)] * 4 + [(0, 500)] * 4)
    assert [alert.event for alert in found] == ["open", "close"] and not any(alert.page for alert in found)
    since = "since 1970-01-01T00:05:00Z"
    assert found[0].text == f"12 % of the rows {since} came after their window had closed; 0 % is usual"
    assert re.fullmatch(
        r"back to normal: \S+ % of the rows came after their window had closed, \S+ % when last reported", found[1].text
    )
    assert found[1].id == "m-1/2" and found[1].window_start == 11 * MINUTE_MS


def test_what_lasts_for_a_day_becomes_the_usual_share():
    shares = RowQuality()
    found = told(shares, REPEATED, [(100, 500)] * (STEADY_WINDOWS + 50))
    assert [alert.event for alert in found] == ["open", "close"]
    assert (
        found[1].text
        == "20 % of the rows repeat the id of another row of their window: this has lasted, and counts as usual now"
    )
    assert [alert.event for alert in told(shares, REPEATED, [(100, 500), (200, 500)])] == ["open"]


def test_a_clean_stream_stays_silent():
    late = np.random.default_rng(2).binomial(300, 0.01, 5_000)
    assert told(RowQuality(), LATE, [(int(many), 300) for many in late]) == []
    assert told(RowQuality(), REPEATED, [(0, 0), (1, 1), (1, 5)] * 50) == []


# --- broken columns ---------------------------------------------------------------------------------


def rows(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"age": rng.normal(40, 9, n), "city": rng.choice(["16", "17", "18"], n)})


@pytest.mark.parametrize(
    ("after", "text"),
    [
        ({"age": None}, "age is gone: null values rose from 0 % in the reference data to 100 % since row 4,000"),
        ({"city": None}, "city is gone: null values rose from 0 % in the reference data to 100 % since row 4,000"),
        (
            {"city": "16.5"},
            "city has only unknown levels, perhaps of another type or spelling: unseen values rose from 0 % in the "
            "reference data to 100 % since row 4,000",
        ),
        (
            {"age": np.inf},
            "age holds no finite number: +inf values rose from 0 % in the reference data to 100 % since row 4,000",
        ),
    ],
)
def test_a_broken_column_is_critical_at_once(after, text):
    reference = Reference.fit(rows(10_000, 0))
    moved = pa.Table.from_pandas(rows(2_000, 2).assign(**after))
    stream = pa.concat_tables([pa.Table.from_pandas(rows(4_000, 1)), moved], promote_options="permissive")
    found = drift.backtest(reference, stream, rows_per_window=200).alerts
    first = found[found["page"]].iloc[0]
    assert (first["kind"], first["severity"], first["first_row"]) == ("quality", "critical", 4_000)
    assert first["text"] == text
    assert found["page"].sum() == 1


def test_a_column_that_was_half_empty_before_is_not_broken():
    halved = rows(10_000, 0).assign(age=lambda f: f["age"].where(np.arange(len(f)) % 3 == 0))
    found = drift.backtest(Reference.fit(halved), rows(4_000, 1).assign(age=None), rows_per_window=200).alerts
    assert "chat" in set(found["reach"]) and "critical" not in set(found["severity"])
