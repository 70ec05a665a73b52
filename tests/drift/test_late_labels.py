"""Labels that come later than the wait that was set: a window waits as long as they take."""

import msgspec
import numpy as np
import pandas as pd
import pytest

from benchmarks.late_labels import HOUR_MS, judge_stream, messages
from drift import Reference
from drift.judge.model import ModelJudge
from drift.judge.snapshot import decode, encode
from drift.judge.stage import Judge
from drift.judge.state import ModelState
from drift.labels import LabelDelays
from drift.windows.window_record import Span, WindowRecord
from drift.windows.windows import Windows
from streams.wire.records import MINUTE_MS, Alert, Idle, LabelSums, Report, Route, RouteCopy, Watch

ROWS, START = 300, pd.Timestamp("2024-03-01", tz="UTC")


def rows(rng: np.random.Generator, number: int, flip: float) -> pd.DataFrame:
    """Rows of a calibrated score; a share of ``flip`` of the labels is turned over."""
    x = rng.normal(size=number)
    p = 1 / (1 + np.exp(-2 * x))
    return pd.DataFrame({"x": x, "p": p, "y": ((rng.random(number) < p) ^ (rng.random(number) < flip)).astype(int)})


def lived(flips: list[tuple[int, float]], seed: int = 1) -> tuple[Reference, pd.DataFrame]:
    """Hours of rows, so many at each share of labels that are turned over."""
    rng = np.random.default_rng(seed)
    reference = Reference.fit(rows(rng, 6_000, 0.0), task="binary", score="p", label="y")
    stream = pd.concat([rows(rng, hours * ROWS, flip) for hours, flip in flips], ignore_index=True)
    return reference, stream.assign(ts=START + pd.to_timedelta(np.arange(len(stream)) // ROWS, unit="h"))


def pages(alerts: pd.DataFrame) -> list[tuple[int, int]]:
    """Hour that each page about performance is about, and the hour at which it was told."""
    own = alerts[(alerts["kind"] == "performance") & alerts["page"].astype(bool)]
    times = pd.to_datetime(own["window_start"], unit="ms", utc=True), pd.to_datetime(own["now"], utc=True)
    hours = [several - START for several in times]
    return list(zip(*((several // pd.Timedelta("1h")).tolist() for several in hours), strict=True))


@pytest.mark.system  # many windows
@pytest.mark.parametrize("delay_hours", [3, 24, 100])
def test_labels_later_than_the_wait_are_judged_when_they_come(delay_hours):
    reference, stream = lived([(20, 0.0), (20, 0.4), (20, 0.0), (20, 0.4), (int(delay_hours * 1.42) + 10, 0.0)])
    watch = Watch(window_ms=HOUR_MS, false_alarm_every=10_000)  # Waits for an hour, as by default.
    found = pages(judge_stream(reference, stream, "ts", watch, delay_hours * HOUR_MS).alerts)
    assert len(found) == 2
    for (window, now), turn in zip(found, (20, 60), strict=True):
        assert turn <= window < turn + 8
        # Buckets of delays double every two, so what is learnt is up to the root of two too long.
        assert window + delay_hours <= now <= window + 3 + delay_hours * 1.42


def test_a_stream_whose_labels_are_on_time_waits_as_it_was_told():
    reference, stream = lived([(20, 0.0), (60, 0.4)])
    watch = Watch(window_ms=HOUR_MS, false_alarm_every=10_000, label_wait_ms_max=25 * HOUR_MS)
    ((window, now),) = pages(judge_stream(reference, stream, "ts", watch, 24 * HOUR_MS).alerts)
    assert 20 <= window < 28 and now <= window + 28


def sent_at_once(flips, every, at_ms=lambda labels: 0, coverage=1.0):
    """A stretch of the past is sent, and its labels when all of it is: event time does not go on for them.

    ``at_ms`` says when rows and labels come by Kafka's clock, ``coverage`` which share of the rows has a label. Returns
    the judge, and a function that judges messages and gives the pages about performance.
    """
    reference, stream = lived(flips)
    watch = Watch(window_ms=HOUR_MS, false_alarm_every=10_000)
    judge = Judge(lambda _model, _version: reference)
    judge.step(RouteCopy(model="model", route=Route(model="model", epoch=1, ts=0, champion="v1", watch=watch)))
    labelled = stream[np.random.default_rng(3).random(len(stream)) < coverage]
    several = [message for _, message in messages(reference, stream, "ts", 1_000 * HOUR_MS) if message is not None]
    sums = [m for _, m in messages(reference, labelled, "ts", 1_000 * HOUR_MS) if isinstance(m, LabelSums)]

    def paged(told) -> list[Alert]:
        return [alert for alert in told if isinstance(alert, Alert) and alert.kind == "performance" and alert.page]

    if every == "held back":
        for m in several:
            if not isinstance(m, LabelSums):
                judge.step(m, at_ms(False))
        return judge, sums, paged
    before = [said for m in several if not isinstance(m, LabelSums) for said in judge.step(m, at_ms(False))]
    if every == "asleep":
        before += judge.step(silent(True, "2026-01-01"))
    assert not paged(before)
    return judge, paged([said for m in sums for said in judge.step(m, at_ms(True))]), paged


def silent(asleep: bool, clock: str) -> Idle:
    at_ms = int(pd.Timestamp(clock, tz="UTC").timestamp() * 1000)
    return Idle(model="model", topic="table", partition=0, partitions=1, asleep=asleep, repeated=True, at_ms=at_ms)


def told_of_the_second_half(found: list[Alert]) -> bool:
    half_ms = int((START + pd.Timedelta("30h")).timestamp() * 1000)
    assert all(half_ms <= alert.change_point < half_ms + 8 * HOUR_MS for alert in found)
    return [alert.event for alert in found][:1] == ["open"]


HALVES = [(30, 0.0), (30, 0.4)]


@pytest.mark.parametrize("order", ["newest first", "shuffled"])
def test_labels_in_any_order_tell_what_labels_in_order_tell(order):
    """Windows are measured in order: one that has all of its labels waits for those before it."""

    def told(arranged) -> list[tuple[str, int]]:
        judge, sums, _ = sent_at_once(HALVES, "held back")
        found = [said for m in arranged(sums) for said in judge.step(m)] + judge.finish()
        return [(a.event, a.change_point) for a in found if isinstance(a, Alert) and a.kind == "performance"]

    def arranged(sums):
        return (
            sums[::-1]
            if order == "newest first"
            else [sums[n] for n in np.random.default_rng(2).permutation(len(sums))]
        )

    assert told(arranged)[0] == told(list)[0] and [event for event, _ in told(arranged)] == ["open"]


def test_a_delay_by_the_clock_begins_where_one_by_event_time_does():
    """Windows close an hour after their end; labels that come two hours after it are late by two, and not by one."""
    reference, _ = lived([(1, 0.0)])
    watch = Watch(window_ms=HOUR_MS, lateness_ms_max=HOUR_MS, label_wait_ms_max=90 * MINUTE_MS)
    state = ModelState(model="model", watch=watch)
    window = WindowRecord(
        span=Span(0, HOUR_MS), report=None, packed=None, evidence=np.zeros(0), drifted=np.zeros(0, bool), labels=None,
        closed_at_ms=2 * HOUR_MS,
    )  # fmt: skip
    judge = ModelJudge(state, lambda *_: reference, str, at_ms=3 * HOUR_MS)
    assert judge._real_delay(2 * HOUR_MS, window) == 2 * HOUR_MS
    assert judge._real_delay(900 * HOUR_MS, window) == 2 * HOUR_MS


def test_windows_that_have_all_of_their_labels_wait_for_none():
    _, found, _ = sent_at_once(HALVES, "awake")
    assert told_of_the_second_half(found)


def test_where_event_time_stands_still_labels_are_judged_as_they_come():
    _, found, _ = sent_at_once(HALVES, "asleep", coverage=0.7)
    assert told_of_the_second_half(found)


@pytest.mark.parametrize(("asleep", "clock"), [(True, "2024-03-03 12:00:50"), (False, "2026-01-01")])
def test_labels_that_have_not_had_their_time_are_waited_for(asleep, clock):
    """A stream that is asleep for a minute of the night is another matter: its labels have not had their time."""
    judge, found, paged = sent_at_once(HALVES, "awake", coverage=0.7)
    assert not found and not paged(judge.step(silent(asleep, clock)))


@pytest.mark.parametrize("coverage", [0.7, 0.1])
def test_labels_of_a_past_that_is_sent_at_once_are_as_late_as_the_clock_says(coverage):
    """By event time they come days late, and would be waited for as long; they came a minute after their rows."""
    now = 1_800_000_000_000
    flips = [(60, 0.0), (60, 0.45)]
    judge, found, paged = sent_at_once(flips, "awake", lambda labels: now + 60_000 * labels, coverage)
    assert not found  # event time has not gone on, and others may come
    found = paged(judge.step(silent(True, "2024-03-06 00:01:00")))
    half_ms = int((START + pd.Timedelta("60h")).timestamp() * 1000)
    assert found and all(half_ms <= alert.change_point < half_ms + 30 * HOUR_MS for alert in found)


def test_while_event_time_stands_still_a_report_is_as_good_as_its_labels():
    """Labels of a window come in eleven parts: the last two are less than a fifth of its rows, and nothing follows."""
    reference, stream = lived([(3, 0.0)])
    judge = Judge(lambda _model, _version: reference)
    watch = Watch(window_ms=HOUR_MS, false_alarm_every=10_000)
    judge.step(RouteCopy(model="model", route=Route(model="model", epoch=1, ts=0, champion="v1", watch=watch)))
    for _, message in messages(reference, stream, "ts", 0):
        if isinstance(message, LabelSums):
            continue
        judge.step(message)
    silent = {"partition": 0, "partitions": 1, "asleep": True, "repeated": True, "at_ms": 2_000_000_000_000}
    judge.step(Idle(model="model", topic="table", **silent))
    reports = []
    for part in range(11):
        own = stream[:ROWS].iloc[part::11]
        parts = [m for _, m in messages(reference, own, "ts", 0) if isinstance(m, LabelSums)]
        reports += [report for m in parts for report in judge.step(m) if isinstance(report, Report)]
    assert reports[-1].performance[0].coverage == 1.0
    assert len(reports) < 8


def test_nothing_is_told_where_late_labels_are_as_good_as_ever():
    reference, stream = lived([(80, 0.0)])
    watch = Watch(window_ms=HOUR_MS, false_alarm_every=1_000)
    assert pages(judge_stream(reference, stream, "ts", watch, 24 * HOUR_MS).alerts) == []


def test_half_of_the_labels_decide_how_long_to_wait():
    watch, delays = Watch(label_wait_ms_max=HOUR_MS), LabelDelays()
    delays.add(24 * HOUR_MS, 29, watch)
    assert delays.wait_ms(watch) == HOUR_MS  # Too few to say.
    delays.add(24 * HOUR_MS, 21, watch)
    assert 24 * HOUR_MS <= delays.wait_ms(watch) <= 24 * HOUR_MS * 2**0.5
    delays.add(-5_000, 50, watch)
    assert delays.wait_ms(watch) == HOUR_MS
    assert decode(encode(delays), LabelDelays) == delays


def test_the_wait_that_is_learnt_is_bounded_and_the_one_that_was_set_is_not():
    year = 365 * 24 * HOUR_MS
    short, long = Watch(window_ms=MINUTE_MS), Watch(window_ms=MINUTE_MS, label_wait_ms_max=year)
    delays = LabelDelays()
    delays.add(2 * year, 1_000, short)
    assert delays.wait_ms(short) == 5_000 * MINUTE_MS
    assert delays.wait_ms(long) == year


def test_a_snapshot_from_before_delays_were_counted_is_read():
    tree = msgspec.msgpack.decode(encode(Windows(edge=60_000)))
    del tree["delays"]
    assert decode(msgspec.msgpack.encode(tree), Windows).delays == LabelDelays()
