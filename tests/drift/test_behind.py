"""Rows that lie far behind: a dozen requests without a time among a stream of the past, and what is told of it."""

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from drift import Reference
from drift.counting.event_clock import EventClock
from drift.counting.stage import Count
from drift.judge.stage import Judge
from streams.wire import observation
from streams.wire.block import Block
from streams.wire.records import DAY_MS, Act, Alert, CountsMessage, Leap, Report, Route, RouteCopy, Watch

MINUTE = 60_000
FEBRUARY = int(pd.Timestamp("2024-02-10", tz="UTC").timestamp() * 1000)
TODAY = int(pd.Timestamp("2026-11-30 06:00", tz="UTC").timestamp() * 1000)
WATCH = Watch(window_rows_min=20)
REFERENCE = Reference.fit(pd.DataFrame({"x": np.random.default_rng(0).normal(size=3_000)}))


def counted(times: list[int], block_rows: int = 50, memory: str = "") -> tuple[list[CountsMessage], str]:
    """What the count stage makes of rows with these times, in blocks of so many."""
    x = np.random.default_rng(1).normal(size=len(times)).astype(np.float32)
    n = len(times)
    columns = [pa.array([f"{i}" for i in range(n)]), pa.array(times, pa.int64()), pa.array(range(n), pa.int64())]
    columns += [pa.array([0] * n, pa.int32()), pa.nulls(n, pa.float32())]
    columns += [pa.array([None] * n, pa.string()).dictionary_encode(), pa.array(["c"] * n).dictionary_encode()]
    batch = pa.RecordBatch.from_arrays([*columns, pa.array(x)], schema=observation.arrow_schema(REFERENCE.schema))
    values = []
    for first in range(0, n, block_rows):
        head = observation.Head(
            model="m", version="v1", topic="requests", partition=0, first=first, last=first + block_rows - 1
        )
        values.append(observation.encode(head, batch.slice(first, block_rows)))
    effects = Count(lambda *_: REFERENCE, lambda _: WATCH, 1, memory).process(Block.of("observations", 0, values))
    return [msgspec.msgpack.decode(one.value, type=CountsMessage) for one in effects.publish], effects.memory


def judged(messages: list[CountsMessage]) -> tuple[Judge, list]:
    judge = Judge(lambda *_: REFERENCE)
    told = judge.step(RouteCopy(model="m", route=Route(model="m", epoch=1, ts=0, champion="v1", watch=WATCH)))
    for message in messages:
        told += judge.step(message)
    return judge, told


def alerts(told: list) -> list[Alert]:
    return [said for said in told if isinstance(said, Alert)]


MIXED = [FEBRUARY + i * 2_000 for i in range(600)] + [TODAY + i for i in range(12)]
MIXED += [FEBRUARY + i * 2_000 for i in range(600, 1_400)]


def test_a_dozen_rows_of_today_among_february_s_are_told_at_once_and_once():
    _, told = judged(counted(MIXED)[0])
    (found,) = [alert for alert in alerts(told) if "leapt" in alert.text]
    assert (found.event, found.kind, found.page, found.severity) == ("open", "quality", True, "warning")
    assert found.text.startswith(
        "event times leapt from 2024-02-10T00:19:58Z to 2026-11-30T06:00:00Z, and since then 100 rows or more that are "
        "far older have come: "
    )
    assert "requests without `ts`" in found.text
    assert found.change_point == MIXED[599]


@pytest.mark.system  # many windows
@pytest.mark.parametrize("block_rows", [1, 7, 199, 5_000])
def test_how_the_rows_were_cut_into_blocks_changes_nothing(block_rows):
    assert alerts(judged(counted(MIXED, block_rows)[0])[1]) == alerts(judged(counted(MIXED)[0])[1])


def test_rows_of_february_are_in_no_report_of_today():
    more = [TODAY + MINUTE + i * 2_000 for i in range(300)]
    judge, told = judged(counted(MIXED + more)[0])
    told += judge.finish()
    today = [said for said in told if isinstance(said, Report) and said.window_start >= TODAY - MINUTE]
    assert today and sum(report.late_rows for report in today) == 0
    assert judge.models["m"].segments["v1", ""].windows.rows_too_late == 800


def test_it_closes_when_event_time_has_gone_on_and_is_told_again_if_more_come():
    later = [TODAY + DAY_MS + i * 2_000 for i in range(100)]
    again = [FEBRUARY + i for i in range(200)]
    found = alerts(judged(counted(MIXED + later + again)[0])[1])
    assert [(alert.incident, alert.event) for alert in found if alert.kind == "quality"] == [
        ("m-1", "open"),
        ("m-1", "close"),
        ("m-2", "open"),
    ]


def test_people_can_acknowledge_it_and_mute_it_as_any_other_incident():
    judge, _ = judged(counted(MIXED)[0])
    acknowledged = Act(model="m", incident="m-1", act="acknowledge", by="ana", at_ms=TODAY)
    muted = Act(model="m", incident="m-1", act="mute", by="ana", at_ms=TODAY, until_ms=TODAY + DAY_MS)
    assert [alert.incident for act in (acknowledged, muted) for alert in alerts(judge.step(act))] == ["m-1", "m-1"]


def test_rows_of_the_past_without_a_leap_say_where_the_stream_is():
    present = [TODAY + i * 2_000 for i in range(300)]
    found = alerts(judged(counted(present + [FEBRUARY + i for i in range(150)])[0])[1])
    assert [alert.text.split(":")[0] for alert in found] == [
        "100 rows or more are far older than the newest, which are of 2026-11-30T06"
    ]


def test_stragglers_and_a_weekend_are_no_matter():
    """A stream that rests for three days, and clients that had kept 50 rows back over it."""
    times = [FEBRUARY + i * 2_000 for i in range(600)] + [FEBRUARY + 3 * DAY_MS + i * 2_000 for i in range(600)]
    times[700:750] = times[550:600]
    assert not [
        alert for alert in alerts(judged(counted(times)[0])[1]) if "far older" in alert.text or "leapt" in alert.text
    ]


def test_it_goes_on_from_a_snapshot_in_its_midst():
    messages, _ = counted(MIXED + [TODAY + DAY_MS + i * 2_000 for i in range(100)])
    whole = alerts(judged(messages)[1])
    for cut in range(0, len(messages), 5):
        judge, told = judged(messages[:cut])
        restored = Judge(lambda *_: REFERENCE)
        restored.restore(judge.snapshot())
        for message in messages[cut:]:
            told += restored.step(message)
        assert alerts(told) == whole


def test_only_the_largest_leaps_are_named():
    clock = EventClock(0, WATCH)
    times = np.cumsum(np.arange(2, 40)) * DAY_MS
    clock.observe(times, np.arange(len(times)))
    assert len(clock.leaps) == 8 and clock.leaps[0] == Leap(int(times[-2]), int(times[-1]))


def test_what_was_counted_before_says_nothing_of_leaps():
    message = counted([FEBRUARY])[0][0]
    written = msgspec.msgpack.encode(message)
    assert {"leaps", "behind"}.isdisjoint(msgspec.msgpack.decode(written))
    assert msgspec.msgpack.decode(written, type=CountsMessage) == message


@pytest.mark.system  # many windows
def test_a_share_of_late_rows_is_told_after_an_hour_however_long_labels_take():
    """Of the rows of every tenth minute half come five minutes late; labels are waited for a week."""
    minutes = np.repeat(np.arange(240), 40) * MINUTE + FEBRUARY
    late = (np.arange(len(minutes)) % 2 == 0) & (minutes // MINUTE % 10 == 0)
    arrival = np.argsort(minutes + np.where(late, 5 * MINUTE, 0), kind="stable")
    messages, found = counted(minutes[arrival].tolist())[0], []
    for wait_ms in (60 * MINUTE, 7 * DAY_MS):
        watch = msgspec.structs.replace(WATCH, label_wait_ms_max=wait_ms)
        judge = Judge(lambda *_: REFERENCE)
        told = judge.step(RouteCopy(model="m", route=Route(model="m", epoch=1, ts=0, champion="v1", watch=watch)))
        for message in messages:
            told += judge.step(message)
        found.append((alerts(told), alerts(told + judge.finish())))
    assert found[0] == found[1]
    first = found[1][0][0]
    assert "came after their window had closed; " in first.text and first.window_start < FEBRUARY + 10 * MINUTE
