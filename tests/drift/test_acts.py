"""Acts: what people decide about an open incident is a record, and the judge, a snapshot and a replay know it."""

from types import SimpleNamespace
from typing import get_args

import msgspec
import numpy as np
import pandas as pd
import pytest

from drift import Reference
from drift.counting.minutes import count_minutes, parts
from drift.incidents.lifecycle import Incidents
from drift.judge.accepting import ActError
from drift.judge.segment import SegmentMonitor
from drift.judge.stage import Judge
from drift.judge.state import SegmentState
from drift.performance import label_sums
from drift.windows.windows import Windows
from streams.wire.block import Block
from streams.wire.records import (
    Act,
    Alert,
    CountsMessage,
    LabelSums,
    Order,
    PartialCounts,
    Report,
    Route,
    RouteCopy,
    Watch,
)

MINUTE, ROWS = 60_000, 500
WATCH = Watch(label_wait_ms_max=0, lateness_ms_max=0, page_from="watch", false_alarm_every=10_000)


def table(rows, seed, shift=0.0, noise=1.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return pd.DataFrame(
        {"x": x + shift, "z": rng.normal(size=rows), "p": 2 * x, "y": 2 * x + noise * rng.normal(size=rows)}
    )


REFERENCE = Reference.fit(table(12_000, 0), task="regression", score="p", label="y", features=["x", "z"])


class Stream:
    """A judge that is sent a window a minute, and stopped and restored from its snapshot before each."""

    def __init__(self):
        self.judge, self.minute, self.told = Judge(lambda model, version: REFERENCE), 0, []
        self.say(RouteCopy(model="m", route=Route(model="m", epoch=1, ts=0, champion="v1", watch=WATCH)))

    def say(self, message):
        restored = Judge(lambda model, version: REFERENCE)
        restored.restore(self.judge.snapshot())
        self.judge = restored
        value = msgspec.msgpack.encode(message)
        found = self.judge.step(msgspec.msgpack.decode(value, type=CountsMessage))
        self.told += found
        return [said for said in found if isinstance(said, Alert)]

    def send(self, windows, **how):
        """Send windows of 500 rows with their labels; returns the alerts."""
        found = []
        for _ in range(windows):
            frame, at = table(ROWS, 1 + self.minute, **how), self.minute * MINUTE
            same = {"model": "m", "version": "v1", "reference": REFERENCE.id, "partition": 0}
            sums = label_sums(REFERENCE, frame.p, None, frame.y).astype("<i8").tobytes()
            place = {"first": self.minute, "last": self.minute}
            found += self.say(LabelSums(**same, **place, segment="", minute_ms=at, cells=sums, topic="feedback"))
            counted = count_minutes(REFERENCE, REFERENCE.align(frame), np.full(ROWS, at), np.zeros(ROWS, bool))
            for minutes in parts(counted):
                found += self.say(
                    PartialCounts(**same, **place, topic="t", partitions=1, watermark_ms=at, minutes=minutes)
                )
            self.minute += 1
        return found

    def act(self, incident, act, **more):
        told = {"by": "ann", "at_ms": 1_000, "reason": "known"} | more
        return self.say(Act(model="m", incident=incident, act=act, **told))


@pytest.fixture
def moved():
    stream = Stream()
    assert stream.send(10) == []
    alerts = stream.send(3, shift=0.5)
    assert [alert.page for alert in alerts][-1] and alerts[-1].incident == "m-1"
    return stream


def test_an_act_is_told_as_an_event_of_the_incident(moved):
    (alert,) = moved.act("m-1", "acknowledge", reason="new sensor")
    before = [said for said in moved.told if isinstance(said, Alert)][-2]
    assert (alert.event, alert.act, alert.page, alert.reach) == ("update", "acknowledge", False, "chat")
    assert alert.text.startswith(
        "acknowledged by ann at 1970-01-01T00:00:01Z (new sensor): nobody is sent more of it until "
    )
    assert int(alert.id.split("/")[1]) == int(before.id.split("/")[1]) + 1
    assert alert.columns == before.columns and alert.change_point == before.change_point and alert.ts == before.ts + 1


def test_what_is_acknowledged_is_told_again_when_it_worsens_by_another_tolerance(moved):
    moved.act("m-1", "acknowledge")
    assert all(alert.reach == "list" for alert in moved.send(20, shift=0.5))
    worse = moved.send(10, shift=1.2)
    assert [alert.reach for alert in worse] == ["chat"] and worse[0].worse and "still moving" in worse[0].text


def test_what_is_muted_is_counted_and_sent_to_nobody_until_then(moved):
    until = (moved.minute + 12) * MINUTE
    (muted,) = moved.act("m-1", "mute", until_ms=until)
    assert muted.text.startswith("muted until 1970-01-01T00:25:00Z by ann at ")
    quiet = moved.send(10, shift=1.2)
    assert quiet and {alert.reach for alert in quiet} == {"list"} and not any(alert.page for alert in quiet)
    moved.send(3, shift=1.2)
    assert {alert.reach for alert in moved.send(12, shift=2.5)} == {"chat"}


def test_what_worsened_while_it_was_muted_is_told_once_when_the_mute_ends(moved):
    until = (moved.minute + 12) * MINUTE
    moved.act("m-1", "mute", until_ms=until)
    kept_back = [alert for alert in moved.send(12, shift=1.2) if alert.worse]
    (told,) = moved.send(1, shift=1.2)
    assert (told.event, told.reach, told.worse, told.incident) == ("update", "chat", True, "m-1")
    assert told.text == f"{kept_back[-1].text}; this came while it was muted, until 1970-01-01T00:25:00Z"
    assert told.ts == until and told.id == f"m-1/{int(kept_back[-1].id.split('/')[1]) + 1}"
    assert [alert for alert in moved.send(10, shift=1.2) if alert.reach != "list"] == []


def test_a_mute_that_ends_tells_nothing_where_nothing_worsened(moved):
    moved.act("m-1", "mute", until_ms=(moved.minute + 12) * MINUTE)
    assert [alert for alert in moved.send(30, shift=0.5) if alert.reach != "list"] == []


def test_a_page_that_a_mute_kept_back_is_sent_when_it_ends():
    stream = Stream()
    stream.send(10)
    stream.send(6, noise=1.5)
    stream.act("m-1", "mute", until_ms=(stream.minute + 20) * MINUTE)
    muted = stream.send(20, noise=3.0)
    assert any(alert.worse for alert in muted) and not any(alert.page for alert in muted)
    (told,) = [alert for alert in stream.send(1, noise=3.0) if alert.page]
    assert "; this came while it was muted, until " in told.text and told.reach == "page"


@pytest.mark.parametrize(("act", "more"), [("mute", {"until_ms": 10**12}), ("acknowledge", {})])
def test_a_new_champion_closes_what_is_muted_or_acknowledged_in_lists_alone(moved, act, more):
    moved.act("m-1", act, **more)
    route = Route(model="m", epoch=2, ts=moved.minute * MINUTE, champion="v2", watch=WATCH)
    (closed,) = moved.say(RouteCopy(model="m", route=route))
    assert (closed.incident, closed.event, closed.reach) == ("m-1", "close", "list")
    assert moved.judge.models["m"].heeds.of == {}


def test_a_muted_page_orders_no_retraining():
    stream = Stream()
    stream.send(10)
    stream.send(6, noise=1.5)
    stream.act("m-1", "mute", until_ms=10**12)
    orders = len([said for said in stream.told if isinstance(said, Order)])
    worse = stream.send(12, noise=3.0)
    assert worse and worse[0].worse and not any(alert.page for alert in worse)
    assert len([said for said in stream.told if isinstance(said, Order)]) == orders == 1


def test_the_new_normal_ends_the_incident_and_is_what_later_rows_are_compared_with(moved):
    moved.send(10, shift=0.5)
    (over,) = moved.act("m-1", "rebaseline", reason="spring")
    assert (over.event, over.act, over.page) == ("close", "rebaseline", False)
    assert over.text.startswith(
        "made the new normal by ann at 1970-01-01T00:00:01Z (spring): from here on x is compared with the 6,000 rows "
        "since 1970-01-01T00:10:00Z (reference "
    )
    # Forty windows more of the same are no news, and reported with an effect of about nothing by an id of its own.
    assert moved.send(40, shift=0.5) == []
    report = [said for said in moved.told if isinstance(said, Report)][-1]
    by_name = {column.name: column for column in report.columns}
    assert by_name["x"].effect < 0.05 and not by_name["x"].drifted and report.reference != REFERENCE.id
    assert by_name["z"].effect < 0.05
    # What it was before is a change now, and a further shift is one.
    back = moved.send(6, shift=0.0)
    assert back[0].event == "open" and back[0].incident == "m-2" and [c.name for c in back[0].columns] == ["x"]
    assert back[0].reference == report.reference


def test_the_new_normal_of_performance_is_its_loss_since():
    stream = Stream()
    stream.send(10)
    assert stream.send(12, noise=1.5)[0].kind == "performance"
    (over,) = stream.act("m-1", "rebaseline")
    assert over.event == "close" and "from here on mae is compared with the " in over.text
    assert stream.send(40, noise=1.5) == []
    worse = stream.send(6, noise=2.2)
    assert worse[0].event == "open" and worse[0].page
    was = float(worse[0].text.split("rose from ")[1].split()[0])
    # Of 1.5 times a normal error the mean size is 1.5 times the root of 2 by pi.
    assert was == pytest.approx(1.5 * np.sqrt(2 / np.pi), rel=0.03)


def test_what_cannot_be_is_refused_by_name(moved):
    with pytest.raises(ActError, match=r"m-7 is no open incident of m: it is closed, or never was"):
        moved.act("m-7", "acknowledge")
    with pytest.raises(ActError, match=r"only 1,000 rows say how things are since m-1 changed last; wait for 3,000"):
        moved.act("m-1", "rebaseline")
    with pytest.raises(ActError, match="m-1 cannot be muted for ever; say until when"):
        moved.act("m-1", "mute")
    value = msgspec.msgpack.encode(Act(model="m", incident="m-7", act="acknowledge", by="ann", at_ms=0))
    (letter,) = moved.judge.process(Block.of("counts", 0, [value])).publish
    told = dict(letter.headers)
    assert (letter.topic, told["driftline-reason"]) == ("dead-letters", b"impossible_act")
    assert told["driftline-detail"].startswith(b"acknowledge of m-7 by ann at 1970-01-01T00:00:00Z: m-7 is no open")


#: What a snapshot of an older version does not have, wherever it stands.
NEWER = {
    *("heeds", "normal", "began", "base", "later", "told", "levels", "parts", "worst", "relief"),
    *("reach", "act", "worse", "predictions"),
}


def without(tree, names):
    """The tree without these keys; a column's ``base`` and an incident's count ``told`` were always there."""
    if isinstance(tree, dict):
        kept = {"base"} if "mixed" in tree else {"told"} if isinstance(tree.get("told"), int) else set()
        return {key: without(value, names) for key, value in tree.items() if key not in names - kept}
    return [without(value, names) for value in tree] if isinstance(tree, list) else tree


def test_a_snapshot_of_an_older_version_goes_on(moved):
    moved.send(4, shift=0.5, noise=1.5)
    old = without(msgspec.msgpack.decode(moved.judge.snapshot()), NEWER)
    assert "heeds" not in str(old) and "relief" not in str(old)
    moved.judge.restore(msgspec.msgpack.encode(old))
    alerts = moved.send(16, shift=0.5, noise=2.5) + moved.send(30)
    assert any(alert.worse and "rose further" in alert.text for alert in alerts)
    closed = {alert.incident: alert.text for alert in alerts if alert.event == "close"}
    assert "x is back" in closed["m-1"] and "is back at" in closed["m-2"]


def test_a_report_says_the_tolerance_of_performance_it_was_made_with(moved):
    reports = [said for said in moved.told if isinstance(said, Report) and said.performance]
    assert {figure.tolerance for report in reports for figure in report.performance} == {0.05}
    wider = msgspec.structs.replace(WATCH, tolerances={"performance": 0.5})
    moved.say(RouteCopy(model="m", route=Route(model="m", epoch=2, ts=0, champion="v1", watch=wider)))
    before = len(moved.told)
    moved.send(3)
    last = [said for said in moved.told[before:] if isinstance(said, Report) and said.performance][-1]
    assert {figure.tolerance for figure in last.performance} == {0.5}


def test_people_can_decide_about_an_incident_of_every_rule():
    """Whatever part of a segment keeps an alert is found by the name of its incident."""
    state = SegmentState(reference="", windows=Windows(), detector=None, incidents=Incidents())
    fields = msgspec.structs.fields(SegmentState)
    rules = [field.name for field in fields if any(hasattr(kind, "last") for kind in members(field.type))]
    assert {"realised_loss", "estimated_loss", "volume", "behind"} <= set(rules)
    for rule in rules:
        setattr(state, rule, SimpleNamespace(last=SimpleNamespace(incident=rule)))
    assert SegmentMonitor(state, None, None, None).holders().keys() == set(rules)


def members(kind):
    return get_args(kind) or (kind,)
