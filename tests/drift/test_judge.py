"""The judge: a pure fold of `counts`, whatever the cuts, the restarts, and the order among partitions."""

import itertools

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift import Reference
from drift.counting.stage import Count
from drift.incidents.volume import STEADY_WINDOWS
from drift.judge.stage import Judge, SnapshotFormatError
from drift.performance import label_sums
from drift.reference.catalogue import Unusable, Unwatched
from streams.wire import observation
from streams.wire.block import Block
from streams.wire.records import Act, Alert, CountsMessage, Idle, LabelSums, Order, Report, Route, RouteCopy, Watch

MINUTE = 60_000
WATCH = Watch(false_alarm_every=200.0, window_rows_min=60, label_wait_ms_max=60 * MINUTE)
QUICK = msgspec.structs.replace(WATCH, label_wait_ms_max=3 * MINUTE)


def table(rows: int, seed: int, moved: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(1.0 if moved else 0.0, 1, rows).astype(np.float32)
    city = rng.choice(["Rome", "Oslo", "Bern"], rows, p=[0.1, 0.1, 0.8] if moved else [0.5, 0.3, 0.2])
    p = (1 / (1 + np.exp(-x))).astype(np.float32)
    y = (rng.random(rows) < p).astype(int).astype(str)
    return pd.DataFrame({"x": x, "city": city, "p": p, "hat": (p >= 0.5).astype(int).astype(str), "y": y})


REFERENCE = Reference.fit(
    table(3000, seed=0), task="binary", score="p", prediction="hat", label="y", features=["x", "city"]
)


def catalogue(model: str, version: str) -> Reference:
    if version == "unwatched":
        raise Unwatched(f"{model} {version}")
    return REFERENCE


def observed(frame: pd.DataFrame, times: np.ndarray, source: int = 0) -> pa.RecordBatch:
    n = len(frame)
    own = [
        pa.array([f"{source}/{i}" for i in range(n)]),
        pa.array(times, pa.int64()),
        pa.array(range(n), pa.int64()),
        pa.array([0] * n, pa.int32()),
        pa.array(frame["p"], pa.float32()),
        pa.array(frame["hat"]).dictionary_encode(),
        pa.array(["champion"] * n).dictionary_encode(),
    ]
    features = [pa.array(frame["x"], pa.float32()), pa.array(frame["city"]).dictionary_encode()]
    return pa.RecordBatch.from_arrays([*own, *features], schema=observation.arrow_schema(REFERENCE.schema))


def counted(
    partition: int, seed: int, *, model: str = "m", version: str = "v1", minutes: int = 14, partitions: int = 3
) -> list[bytes]:
    """What one source partition puts on `counts`: 40 rows a minute in blocks of 50, some out of order, some late; from
    minute 7 on they have moved.
    """
    rng = np.random.default_rng(seed)
    rows = 40 * minutes
    times = np.arange(rows) * (MINUTE // 40) + rng.integers(0, MINUTE // 2, rows)
    stragglers = rng.random(rows) < 0.03
    times[stragglers] = np.maximum(0, times[stragglers] - 3 * MINUTE)
    frame = table(rows, seed)
    moved = table(rows, seed + 1, moved=True)
    frame[times >= 7 * MINUTE] = moved[times >= 7 * MINUTE]
    batch = observed(frame, times, seed)
    stage = Count(catalogue, lambda _: WATCH, partitions)
    values = []
    for first in range(0, rows, 50):
        head = observation.Head(
            model=model, version=version, topic="requests", partition=partition, first=first, last=first + 49
        )
        values.append(observation.encode(head, batch.slice(first, 50)))
    effects = stage.process(Block.of("observations", partition, values))
    return [publish.value for publish in effects.publish]


def labelled(minute: int, rows: int, seed: int, sign: int = 1, version: str = "v1") -> bytes:
    frame = table(rows, seed)
    return encoded(
        LabelSums(
            model="m",
            version=version,
            reference=REFERENCE.id,
            segment="",
            minute_ms=minute * MINUTE,
            cells=label_sums(REFERENCE, frame["p"], frame["hat"], frame["y"], sign).astype("<i8").tobytes(),
            topic="feedback",
            partition=0,
            first=0,
            last=0,
        )
    )


def routed(epoch: int, champion: str = "v1", watch: Watch = WATCH) -> bytes:
    return encoded(RouteCopy(model="m", route=Route(model="m", epoch=epoch, ts=epoch, champion=champion, watch=watch)))


def idle(partition: int, partitions: int = 3, asleep: bool = False) -> bytes:
    return encoded(Idle(model="m", topic="requests", partition=partition, partitions=partitions, asleep=asleep))


def encoded(message: CountsMessage) -> bytes:
    return msgspec.msgpack.encode(message)


def shuffled(parts: list[list[bytes]], seed: int) -> list[bytes]:
    """Mix several sequences at random, each in its own order."""
    rng = np.random.default_rng(seed)
    turns = rng.permutation(np.repeat(np.arange(len(parts)), [len(part) for part in parts]))
    left = [iter(part) for part in parts]
    return [next(left[turn]) for turn in turns]


def fold(judge: Judge, values: list[bytes]) -> list[bytes]:
    return [publish.value for publish in judge.process(Block.of("counts", 0, values)).publish]


def judged(values: list[bytes]) -> tuple[list[Report], list[Alert], list[Order]]:
    judge = Judge(catalogue)
    told = [said for value in values for said in judge.step(msgspec.msgpack.decode(value, type=CountsMessage))]
    told += judge.finish()
    return tuple([said for said in told if isinstance(said, kind)] for kind in (Report, Alert, Order))


def final(reports: list[Report]) -> dict[tuple, Report]:
    """The highest revision of each window, without its number."""
    latest = {}
    for report in reports:
        key = (report.model, report.version, report.window_start)
        assert key not in latest or report.revision > latest[key].revision
        latest[key] = report
    return {key: msgspec.structs.replace(report, revision=0) for key, report in latest.items()}


PARTS = [counted(partition, seed=10 * partition + 1) for partition in range(3)]
LABELS = [labelled(minute, 30, seed=minute) for minute in range(14)] + [labelled(3, 30, seed=3, sign=-1)]


# --- the laws ---------------------------------------------------------------------------------------


@pytest.mark.system  # the same windows again and again
@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_the_order_among_partitions_changes_nothing_that_holds(seed):
    expected_reports, expected_alerts, expected_orders = judged([routed(1), *itertools.chain(*PARTS), *LABELS])
    assert any(alert.page for alert in expected_alerts)
    reports, alerts, orders = judged([routed(1), *shuffled([*PARTS, LABELS], seed)])
    assert final(reports) == final(expected_reports)
    assert (alerts, orders) == (expected_alerts, expected_orders)


@pytest.mark.system  # the same windows again and again
@settings(max_examples=6)
@given(st.integers(0, 10_000))
def test_restored_at_every_cut_it_goes_on_as_if_it_had_never_stopped(seed):
    other = [counted(0, seed=77, version="v2"), counted(0, seed=78, model="n", partitions=1)]
    asides = [routed(2, watch=QUICK), idle(1), routed(3, champion="v2"), idle(2), b"nonsense"]
    values = [routed(1), *shuffled([*PARTS, LABELS, *other, asides], seed)]
    straight, stopped = Judge(catalogue), Judge(catalogue)
    for value in values:
        # By induction: what is restored is equal, and tells the same of the next message.
        snapshot = stopped.snapshot()
        stopped = Judge(catalogue)
        stopped.restore(snapshot)
        assert stopped.snapshot() == snapshot
        assert fold(stopped, [value]) == fold(straight, [value])
    assert stopped.snapshot() == straight.snapshot()
    assert stopped.finish() == straight.finish()


def test_the_cut_into_blocks_changes_nothing():
    values = [routed(1), *shuffled([*PARTS, LABELS], 5)]
    whole, one_by_one = Judge(catalogue), Judge(catalogue)
    assert fold(whole, values) == [said for value in values for said in fold(one_by_one, [value])]
    assert whole.snapshot() == one_by_one.snapshot()


@pytest.mark.system  # the same windows again and again
@settings(max_examples=6)
@given(st.integers(1, 4), st.integers(0, 10_000), st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_any_deal_to_partitions_and_processes_gives_the_same_reports_and_alerts(partitions, seed, sizes):
    assert dealt(partitions, seed, sizes) == dealt(1, 0, [560])


def dealt(partitions: int, seed: int, sizes: list[int]) -> tuple[dict[tuple, Report], list[Alert]]:
    """Deal the same rows to partitions, each counted by a process of its own in blocks of these sizes, and judge the
    counts in an order of chance.
    """
    frame, times = pd.concat([table(280, 1), table(280, 2, moved=True)]), np.arange(560) * (MINUTE // 40)
    batch = observed(frame, times)
    owner = np.random.default_rng(seed).integers(0, partitions, 560)
    parts = []
    for partition in range(partitions):
        mine, values, at = batch.take(pa.array(np.flatnonzero(owner == partition))), [], 0
        for size in itertools.cycle(sizes):
            if at >= mine.num_rows:
                break
            some = mine.slice(at, size)
            ends = {"first": at, "last": at + some.num_rows - 1}
            head = observation.Head(model="m", version="v1", topic="requests", partition=partition, **ends)
            values.append(observation.encode(head, some))
            at += size
        effects = Count(catalogue, lambda _: WATCH, partitions).process(Block.of("observations", partition, values))
        parts.append([publish.value for publish in effects.publish])
    reports, alerts, _ = judged([routed(1), *shuffled(parts, seed)])
    return final(reports), alerts


def test_models_of_one_partition_do_not_know_each_other():
    other = counted(0, seed=78, model="n", partitions=1)
    both = judged([routed(1), *shuffled([*PARTS, other], 3)])
    alone = judged([routed(1), *shuffled(PARTS, 4)])
    assert {k: v for k, v in final(both[0]).items() if k[0] == "m"} == final(alone[0])
    assert [alert for alert in both[1] if alert.model == "m"] == alone[1]
    assert {alert.incident.split("-")[0] for alert in both[1]} == {"m", "n"}


# --- what it says -----------------------------------------------------------------------------------


def test_a_shift_opens_pages_and_orders_once():
    reports, alerts, orders = judged([routed(1), *shuffled(PARTS, 1)])
    assert alerts[0].event == "open" and alerts[0].page
    assert [alert.page for alert in alerts].count(True) == 1
    first = alerts[0]
    assert first.window_start in (6 * MINUTE, 7 * MINUTE) and first.change_point in (6 * MINUTE, 7 * MINUTE)
    assert first.incident == "m-1" and first.epoch == 1 and first.reference == REFERENCE.id
    assert first.evidence >= first.budget / 4 and first.budget == 200
    city = next(column for column in first.columns if column.name == "city")
    assert sum(city.counts) == city.n and city.effect > city.tolerance
    assert [order.incident for order in orders] == ["m-1"]
    assert orders[0].since == first.change_point and "city" in orders[0].columns
    drifted = {(report.window_start, column.name) for report in reports for column in report.columns if column.drifted}
    assert not [start for start, _ in drifted if start < 6 * MINUTE]
    assert (10 * MINUTE, "city") in drifted and (10 * MINUTE, "x") in drifted


def test_reports_hold_what_was_counted_once_each():
    reports, _, _ = judged([routed(1), *shuffled(PARTS, 1)])
    latest = final(reports)
    assert sum(report.rows for report in latest.values()) == 3 * 14 * 40
    assert any(report.late_rows for report in latest.values())
    for report in latest.values():
        assert [column.name for column in report.columns] == ["x", "city", "score", "prediction"]
        assert all(column.n == report.rows for column in report.columns)


def test_late_rows_and_labels_restate_reports_and_are_no_evidence():
    values = [routed(1), *itertools.chain(*PARTS)]
    reports, alerts, _ = judged(values)
    restated, same_alerts, _ = judged([*values, *LABELS])
    assert same_alerts == alerts
    before, after = final(reports), final(restated)
    assert [report.evidence for report in after.values()] == [report.evidence for report in before.values()]
    key = ("m", "v1", 5 * MINUTE)
    assert {m.metric for m in before[key].performance} == {"accuracy", "auc", "brier", "ece", "f1"}
    assert all(m.realised is None and m.estimated is not None for m in before[key].performance)
    assert all(m.realised is not None for m in after[key].performance)
    rows = after[key].rows
    assert after[key].performance[0].coverage == pytest.approx(30 / rows)


def wrongly_labelled(minute: int, rows: int = 60) -> bytes:
    frame = table(rows, seed=minute)
    worse = frame.assign(y=np.where(frame["hat"] == "1", "0", "1"))
    cells = label_sums(REFERENCE, worse["p"], worse["hat"], worse["y"]).astype("<i8").tobytes()
    return encoded(
        msgspec.structs.replace(
            msgspec.msgpack.decode(LABELS[0], type=CountsMessage), minute_ms=minute * MINUTE, cells=cells
        )
    )


def test_performance_is_judged_once_when_its_labels_have_had_their_time():
    judge, calm = Judge(catalogue), [counted(0, seed=1, partitions=1)]
    fold(judge, [routed(1, watch=QUICK), *(wrongly_labelled(minute) for minute in range(4))])
    told = [said for value in calm[0] for said in judge.step(msgspec.msgpack.decode(value, type=CountsMessage))]
    harm = [said for said in told if isinstance(said, Alert) and said.kind == "performance"]
    (opened,) = harm
    assert (opened.event, opened.severity, opened.page) == ("open", "critical", True)
    assert opened.window_start == 0 and opened.change_point == 0
    # Told between its end and its labels' time, and the end of the window after that: closed windows came before.
    closed = [said.window_end for said in told[: told.index(opened)] if isinstance(said, Report)]
    assert max(closed) <= opened.window_end + QUICK.label_wait_ms_max
    assert opened.text.startswith("accuracy fell from ") and " 0 % " in opened.text
    assert next(said.incident for said in told if isinstance(said, Order)) == opened.incident
    (figure,) = opened.columns
    assert (figure.name, figure.role, figure.n) == (
        "accuracy",
        "performance",
        np.reshape(figure.counts, (-1, 4))[:, 0].sum(),
    )


def test_labels_that_come_after_their_window_was_judged_by_others_restate_and_are_no_evidence():
    calm = counted(0, seed=1, partitions=1)
    late = [wrongly_labelled(8), wrongly_labelled(9)]
    reports, alerts, _ = judged([routed(1, watch=QUICK), *LABELS, *calm, *late])
    assert not [alert for alert in alerts if alert.kind == "performance"]
    window = next(r for r in final(reports).values() if r.window_start <= 8 * MINUTE < r.window_end)
    labelled_rows = {m.metric: m for m in window.performance}["accuracy"]
    assert 0 < labelled_rows.realised < 0.5 and labelled_rows.coverage > 0.5


@pytest.mark.system  # the same windows again and again
@settings(max_examples=8)
@given(st.integers(0, 10_000))
def test_the_order_among_partitions_changes_no_verdict_on_performance(seed):
    first = [routed(1, watch=QUICK), *(wrongly_labelled(minute) for minute in range(6))]
    expected = judged([*first, *itertools.chain(*PARTS)])
    assert {alert.kind for alert in expected[1]} > {"performance"}
    assert judged([*first, *shuffled(PARTS, seed)])[1:] == expected[1:]


def test_a_correction_takes_a_label_back():
    key = ("m", "v1", 3 * MINUTE)
    reports, _, _ = judged([routed(1), *itertools.chain(*PARTS), LABELS[3], labelled(3, 30, seed=3, sign=-1)])
    assert all(metric.realised is None for metric in final(reports)[key].performance)


def test_without_a_route_the_defaults_hold():
    reports, _, _ = judged([*itertools.chain(*PARTS)])
    assert {report.budget for report in reports} == {43_200.0}
    # Three partitions make 120 rows a minute: below 200, so two minutes make a window, but for the remainder.
    assert {report.window_end - report.window_start for report in reports[:-1]} == {2 * MINUTE}


def test_a_later_epoch_changes_the_settings_and_an_older_one_does_not():
    loud = msgspec.structs.replace(WATCH, false_alarm_every=7.0)
    values = [routed(3), routed(2, watch=loud), *itertools.chain(*PARTS)]
    reports, _, _ = judged(values)
    assert {report.budget for report in reports} == {200.0}


def test_rerouted_it_judges_as_if_the_new_settings_had_held_from_the_start():
    """The law: reroute before any counts equals a log that was routed so; the epoch afterwards goes on as before."""
    loud = msgspec.structs.replace(WATCH, false_alarm_every=7.0)
    counts = list(itertools.chain(*PARTS))
    judge, fresh = Judge(catalogue), Judge(catalogue)
    assert fold(judge, [routed(3)]) == fold(fresh, [routed(3, watch=loud)]) == []
    assert judge.reroute(Route(model="m", epoch=3, ts=3, champion="v1", watch=loud)) == []
    assert fold(judge, counts) == fold(fresh, counts) != []
    assert judge.models["m"].epoch == 3
    assert fold(judge, [routed(3)]) == [] and judge.models["m"].watch == loud, "an epoch that holds is no news"


def test_shadows_are_reported_and_open_no_incident():
    reports, alerts, orders = judged([routed(1, champion="v0"), *shuffled(PARTS, 1)])
    assert sum(report.rows for report in final(reports).values()) == 3 * 14 * 40
    assert not alerts and not orders
    assert max(report.evidence for report in reports) > 200


def test_a_shadow_that_comes_after_the_champion_loses_no_row():
    """A backfill: a block spans minutes, and of each block the champion's counts come first."""
    rows = 2400
    times = np.arange(rows) * (20 * MINUTE // rows)
    stage, values = Count(catalogue, lambda _: WATCH, 1), []
    batch = observed(table(rows, seed=3), times)
    for first in range(0, rows, 600):  # Five minutes each.
        for version in ("v1", "v2"):
            place = {"topic": "requests", "partition": 0, "first": first, "last": first + 599}
            head = observation.Head(model="m", version=version, **place)
            values.append(observation.encode(head, batch.slice(first, 600)))
    counts = [said.value for said in stage.process(Block.of("observations", 0, values)).publish]
    route = Route(model="m", epoch=1, ts=1, champion="v1", shadows=("v2",), watch=WATCH)
    reports, _, _ = judged([encoded(RouteCopy(model="m", route=route)), *counts])
    latest = final(reports)
    assert not any(report.late_rows for report in latest.values())
    champion, shadow = ([r for key, r in latest.items() if key[1] == version] for version in ("v1", "v2"))
    assert len(champion) == 20
    assert shadow == [msgspec.structs.replace(report, version="v2") for report in champion]


def test_a_version_that_serves_no_more_goes_by_the_others():
    one, two = (counted(0, seed=7, version=version, partitions=1) for version in ("v1", "v2"))
    judge = Judge(catalogue)
    fold(judge, [routed(1), *one[:3]])  # 150 rows, 40 a minute: two windows of two minutes.
    told = fold(judge, [routed(2, champion="v2"), *two])
    reports = [msgspec.json.decode(said) for said in told]
    last = max(report["window_end"] for report in reports if report.get("version") == "v1")
    assert last == 4 * MINUTE  # All that it had spoken of.


def test_of_a_version_that_serves_no_more_nothing_is_kept():
    one, two = (counted(0, seed=7, version=version, partitions=1) for version in ("v1", "v2"))
    judge = Judge(catalogue)
    fold(judge, [routed(1, watch=QUICK), *one[:3]])  # Four minutes; it may be restated until the eleventh.
    assert set(judge.models["m"].segments) == {("v1", "")}
    fold(judge, [routed(2, champion="v2", watch=QUICK), *two])
    assert set(judge.models["m"].segments) == {("v2", "")}


def test_a_new_champion_closes_the_old_one_s_incidents():
    _, alerts, _ = judged([routed(1), *itertools.chain(*PARTS), routed(2, champion="v2")])
    assert alerts[-1].event == "close" and "v2" in alerts[-1].text and not alerts[-1].page
    assert alerts[-1].incident == alerts[0].incident and alerts[-1].id != alerts[0].id
    assert len({alert.id for alert in alerts}) == len(alerts)


def test_a_silent_partition_is_waited_for_until_it_is_idle():
    judge = Judge(catalogue)
    assert not fold(judge, [routed(1), *PARTS[0], *PARTS[1]])
    told = judge.step(msgspec.msgpack.decode(idle(2), type=CountsMessage))
    assert len([said for said in told if isinstance(said, Report)]) >= 10
    # It speaks again, from behind: what it brings for closed windows restates them.
    assert fold(judge, PARTS[2])
    last = final([said for said in judge.finish() if isinstance(said, Report)])
    assert last


def test_a_stream_that_wakes_partition_by_partition_has_no_late_rows():
    """All were idle before it began; the first partition is read to its end before the others are."""
    flags = [msgspec.structs.replace(msgspec.msgpack.decode(idle(n), type=Idle), repeated=True) for n in range(3)]
    told = judged([routed(1), *map(encoded, flags), *itertools.chain(*PARTS)])
    straight = judged([routed(1), *itertools.chain(*PARTS)])
    assert final(told[0]) == final(straight[0]) and told[1:] == straight[1:]
    once = judged([routed(1), *(idle(n) for n in range(3)), *itertools.chain(*PARTS)])
    late = [sum(report.late_rows for report in final(reports).values()) for reports in (told[0], once[0])]
    assert late[1] > 10 * late[0]  # the cause: two thirds of the rows came "after their window had closed"


def test_when_all_partitions_are_asleep_every_window_is_reported():
    """Somebody sends a file and stops: its last minutes get a report as well, few as their rows may be."""
    judge = Judge(catalogue)
    fold(judge, [routed(1), *itertools.chain(*PARTS)])
    flags = [msgspec.msgpack.decode(idle(n, asleep=True), type=CountsMessage) for n in range(3)]
    assert not judge.step(flags[0]) and not judge.step(flags[1])
    last = [said for said in judge.step(flags[2]) if isinstance(said, Report)]
    assert last and not judge.finish()
    # Once they wake, a window waits for its rows again.
    more = msgspec.msgpack.decode(PARTS[0][-1], type=CountsMessage)
    minute = msgspec.structs.replace(more.minutes[0], minute_ms=20 * MINUTE, rows=5, late=False)
    woken = msgspec.structs.replace(more, watermark_ms=30 * MINUTE, minutes=[minute])
    assert not judge.step(woken) and not judge.step(flags[1]) and not judge.step(flags[2])
    (remainder,) = [said for said in judge.step(flags[0]) if isinstance(said, Report)]
    assert (remainder.rows, remainder.window_start) == (5, 20 * MINUTE)


def test_a_quiet_hour_ends_no_day_and_its_rows_are_one_window():
    judge = Judge(catalogue)
    watch = Watch(window_ms=24 * 60 * MINUTE, lateness_ms_max=0)
    route = Route(model="m", epoch=1, ts=0, champion="v1", watch=watch)
    fold(judge, [encoded(RouteCopy(model="m", route=route))])
    some = msgspec.msgpack.decode(PARTS[0][0], type=CountsMessage)
    rows, reports = 0, []
    for hour in range(36):  # A few rows an hour, and a silence after each.
        minute = msgspec.structs.replace(some.minutes[0], minute_ms=hour * 60 * MINUTE, late=False)
        at = {"partition": 0, "partitions": 1}
        told = judge.step(msgspec.structs.replace(some, watermark_ms=hour * 60 * MINUTE, minutes=[minute], **at))
        flag = Idle(model="m", topic=some.topic, asleep=True, repeated=True, at_ms=(hour * 60 + 1) * MINUTE, **at)
        told += judge.step(flag)
        rows += minute.rows if hour < 24 else 0
        reports += [said for said in told if isinstance(said, Report)]
    (day,) = reports
    assert (day.window_start, day.window_end, day.rows, day.late_rows) == (0, 24 * 60 * MINUTE, rows, 0)
    # A day of silence later the clock has ended the second one, too.
    over = msgspec.structs.replace(flag, at_ms=48 * 60 * MINUTE)
    (second,) = [said for said in judge.step(over) if isinstance(said, Report)]
    assert second.rows == rows // 2


def test_a_steady_stream_that_falls_silent_pages_and_a_last_part_of_a_window_is_no_loss_of_volume():
    judge = Judge(catalogue)
    fold(judge, [routed(1), *counted(0, seed=1, partitions=1)])
    segment = judge.models["m"].segments["v1", ""]
    assert segment.volume.windows >= 5
    segment.volume.windows = STEADY_WINDOWS
    told = judge.step(msgspec.msgpack.decode(idle(0, 1, asleep=True), type=CountsMessage))
    quality = [said for said in told if isinstance(said, Alert) and said.kind == "quality"]
    assert [said.page for said in quality] == [True] and quality[0].text.startswith("no rows since 1970-01-01T00:1")
    assert not [said for said in told if isinstance(said, Order)]
    restored = Judge(catalogue)
    restored.restore(judge.snapshot())
    assert not restored.step(msgspec.msgpack.decode(idle(0, 1, asleep=True), type=CountsMessage))


def test_messages_leave_keyed_with_cloud_events_headers():
    judge = Judge(catalogue)
    effects = judge.process(Block.of("counts", 0, [routed(1), *itertools.chain(*PARTS)]))
    assert {publish.topic for publish in effects.publish} == {"reports", "alerts", "retraining"}
    for publish in effects.publish:
        headers = dict(publish.headers)
        assert publish.key == b"m" and headers["ce_specversion"] == b"1.0"
        kind = {"reports": "report", "alerts": "alert", "retraining": "order"}[publish.topic]
        assert headers["ce_type"] == f"driftline.{kind}.v1".encode()
    ids = [(publish.topic, dict(publish.headers)["ce_id"]) for publish in effects.publish]
    assert len(set(ids)) == len(ids)


def test_segments_have_reports_of_their_own_and_no_evidence():
    split = Reference.fit(
        table(3000, seed=0),
        task="binary",
        score="p",
        prediction="hat",
        label="y",
        features=["x", "city"],
        segments=["city"],
    )
    stage = Count(lambda model, version: split, lambda _: WATCH, 1)
    judge, rows = Judge(lambda model, version: split), 2000
    batch = observed(table(rows, seed=5, moved=True), np.arange(rows) * 300)
    head = observation.Head(model="m", version="v1", topic="requests", partition=0, first=0, last=rows - 1)
    counts = stage.process(Block.of("observations", 0, [observation.encode(head, batch)])).publish
    told = [said for value in counts for said in judge.step(msgspec.msgpack.decode(value.value, type=CountsMessage))]
    reports = [said for said in told + judge.finish() if isinstance(said, Report)]
    rows_of = {}
    for report in reports:
        rows_of[report.segment] = rows_of.get(report.segment, 0) + report.rows
        assert (report.evidence > 0) == (report.segment == "")
    assert sum(n for segment, n in rows_of.items() if segment) == rows_of[""] == rows
    assert {"city=Rome", "city=Oslo", "city=Bern"} < set(rows_of)
    assert {alert.segment for alert in told if isinstance(alert, Alert)} == {""}


# --- what it refuses --------------------------------------------------------------------------------


def test_what_cannot_be_judged_is_a_dead_letter_and_the_rest_goes_on():
    counts = msgspec.msgpack.decode(PARTS[0][0], type=CountsMessage)
    no_minute = msgspec.msgpack.decode(routed(1))  # As someone else might write it: ours refuses to be made.
    no_minute["route"]["watch"]["window_ms"] = 90_000
    bad = [
        b"",
        encoded(msgspec.structs.replace(counts, format=99)),
        encoded(msgspec.structs.replace(counts, reference="another")),
        msgspec.msgpack.encode(no_minute),
    ]
    judge = Judge(catalogue)
    effects = judge.process(Block.of("counts", 4, [*bad, *PARTS[0]], first=100))
    assert [publish.topic for publish in effects.publish] == ["dead-letters"] * 4
    said = [dict(publish.headers) for publish in effects.publish]
    assert [headers["driftline-offset"] for headers in said] == [b"100", b"101", b"102", b"103"]
    assert b"upgrade" in said[1]["driftline-detail"] and b"new version" in said[2]["driftline-detail"]
    assert b"90000" in said[3]["driftline-detail"]
    clean = Judge(catalogue)
    clean.process(Block.of("counts", 4, PARTS[0]))
    assert judge.snapshot() == clean.snapshot()


def test_a_version_that_nobody_watches_is_passed_over():
    counts = msgspec.msgpack.decode(PARTS[0][0], type=CountsMessage)
    judge = Judge(catalogue)
    assert not judge.step(msgspec.structs.replace(counts, version="unwatched"))
    assert not judge.models


def test_a_snapshot_that_names_a_removed_version_goes_on_with_the_others():
    values = [routed(1), *shuffled([*PARTS, counted(0, seed=77, version="v2")], 3)]
    judge = Judge(catalogue)
    fold(judge, values)
    assert {version for version, _ in judge.models["m"].segments} == {"v1", "v2"}

    def without(model: str, version: str) -> Reference:
        if version == "v2":
            raise Unwatched("m v2 was removed from models")
        return REFERENCE

    restored = Judge(without)
    restored.restore(judge.snapshot())
    assert {version for version, _ in restored.models["m"].segments} == {"v1"}
    fold(restored, [*counted(1, seed=78, version="v2"), idle(1), idle(2)])
    assert {version for version, _ in restored.models["m"].segments} == {"v1"}


def test_a_snapshot_of_another_format_is_refused():
    judge = Judge(catalogue)
    judge.process(Block.of("counts", 0, PARTS[0]))
    snapshot = judge.snapshot()
    other = msgspec.msgpack.decode(snapshot)
    other["format"] = 99
    with pytest.raises(SnapshotFormatError, match="format 99"):
        Judge(catalogue).restore(msgspec.msgpack.encode(other))


OTHER = Reference.fit(table(500, seed=9), features=["x", "city"])


def partly(model: str, of: Reference | str):
    """A catalogue in which the versions of a model have another reference, or cannot be used."""

    def find(name: str, version: str) -> Reference:
        if name == model and isinstance(of, str):
            raise Unusable(of)
        return of if name == model else REFERENCE

    return find


@pytest.mark.parametrize(
    ("found", "why"),
    [("m v1 is not in models", "is not in models"), (OTHER, "put the old one back")],
    ids=["gone", "changed"],
)
def test_a_model_whose_reference_cannot_be_used_is_suspended_alone(found, why):
    """The others are judged as if nothing were wrong; what it had learnt is kept, and it goes on when it can."""
    others = [counted(partition, seed=70 + partition, model="n") for partition in range(3)]
    first, rest = [[*PARTS[0], *others[0]], [PARTS[1], PARTS[2], others[1], others[2]]]
    straight = Judge(catalogue)
    fold(straight, first)
    stopped = Judge(partly("m", found))
    stopped.restore(straight.snapshot())
    assert list(stopped.suspended) == [("m", "v1")] and why in stopped.suspended["m", "v1"]
    silences = [idle(0), idle(1, asleep=True), idle(2, asleep=True), routed(2)]
    values = [*itertools.chain(*rest), *LABELS, *silences]
    told = [value for value in fold(stopped, values) if b'"n"' in value[:200]]
    expected = [value for value in fold(straight, values) if b'"n"' in value[:200]]
    assert told == expected and told
    assert not [said for said in stopped.finish() if said.model == "m"]

    again = Judge(catalogue)
    again.restore(stopped.snapshot())
    assert not again.suspended
    assert {said.model for said in again.finish()} == {"m"}  # the windows that were open then


def odd(model: str, version: str) -> Reference:
    if model == "m":
        raise RuntimeError("nobody thought of this")
    return REFERENCE


def test_a_fault_of_the_first_message_of_a_model_stops_no_other_model():
    others = counted(0, seed=70, partitions=1, model="n")
    judge, alone = Judge(odd), Judge(catalogue)
    published = judge.process(Block.of("counts", 0, [*PARTS[0][:2], *others])).publish
    letters = [publish for publish in published if publish.topic == "dead-letters"]
    rest = [publish for publish in published if publish.topic != "dead-letters"]
    assert [letter.at for letter in letters] == [0, 1]
    assert rest == list(alone.process(Block.of("counts", 0, others)).publish) and rest
    assert list(judge.models) == ["n"]


def test_a_fault_in_reading_a_reference_suspends_its_version_alone():
    straight = Judge(catalogue)
    fold(straight, [*PARTS[0], *counted(0, seed=70, model="n")])
    judge = Judge(odd)
    judge.restore(straight.snapshot())
    assert list(judge.suspended) == [("m", "v1")] and "nobody thought of this" in judge.suspended["m", "v1"]
    again = Judge(catalogue)
    again.restore(judge.snapshot())  # what it had learnt is kept
    assert not again.suspended and again.snapshot() == straight.snapshot()


def test_a_suspended_version_goes_on_with_the_first_counts_after_its_reference_is_back():
    judge = Judge(catalogue)
    fold(judge, PARTS[0])
    there = {"reference": "gone"}
    restored = Judge(lambda model, version: partly("m", there["reference"])(model, version))
    restored.restore(judge.snapshot())
    assert not fold(restored, PARTS[1]) and restored.suspended
    act = Act(model="m", incident="m-1", act="rebaseline", by="me", at_ms=1)
    assert [publish.topic for publish in restored.process(Block.of("counts", 0, [encoded(act)])).publish] == [
        "dead-letters"
    ]
    there["reference"] = REFERENCE
    assert fold(restored, [*PARTS[1], *PARTS[2]]) == fold(judge, [*PARTS[1], *PARTS[2]])
    assert not restored.suspended
