"""Incidents read back from a store, as alerts were written into it."""

import re

import msgspec
import pyarrow as pa
import pytest
from msgspec import structs
from typer.testing import CliRunner

from drift.incidents import rfc3339
from drift.incidents.acts import named, sentence
from drift.incidents.text import plain, spelled
from drift.store import ensure_observations
from drift.store.rows import of_alerts, of_dead_letters, of_observations, of_orders
from driftline.cli import app
from driftline.commands.incident_acts import decide, followed, publish
from driftline.commands.incidents import IncidentError, full, incidents, story, table
from streams.kafka import ranges
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.routes import announce
from streams.wire.block import Block
from streams.wire.dead_letters import dead_letter, letters
from streams.wire.observation import OWN, Head
from streams.wire.records import Act, Alert, CountsMessage, MovedColumn, MovedLevel, Order, Route
from streams.wire.refusals import Refusal

BASE_MS = 1_700_000_000_000
MOVED = MovedColumn(
    name="RELP",
    role="feature",
    statistic="tvd",
    effect=0.12,
    effect_low=0.1,
    effect_high=0.14,
    tolerance=0.05,
    evidence=90_000.0,
    n=500,
    change_point=BASE_MS - 60_000,
    levels=[MovedLevel("16", 0.05, 0.0)],
)


def alert(incident: str, event: str, minute: int, evidence: float, page: bool = False, columns=()) -> Alert:
    ts = BASE_MS + 60_000 * minute
    return Alert(
        id=f"{incident}/{event}/{minute}",
        incident=incident,
        event=event,
        model=incident.rpartition("-")[0],
        version="v1",
        ts=ts,
        window_start=ts - 60_000,
        window_end=ts,
        kind="feature",
        severity="warning",
        page=page,
        columns=list(columns),
        change_point=BASE_MS - 60_000,
        change_point_low=BASE_MS - 120_000,
        change_point_high=BASE_MS,
        evidence=evidence,
        budget=43_200.0,
        reference="r1",
        epoch=1,
        text=f"{incident} {event} at {minute}",
    )


ALERTS = [
    alert("churn-1", "open", 0, 50_000, columns=[MOVED]),
    alert("churn-1", "update", 5, 90_000, page=True, columns=[MOVED]),
    alert("churn-1", "close", 9, 1.0),
    alert("churn-2", "open", 20, 60_000, columns=[MOVED]),
    alert("fraud-1", "open", 10, 44_000),
]
ORDER = Order(
    id="churn-1/order",
    model="churn",
    version="v1",
    incident="churn-1",
    ts=BASE_MS + 360_000,
    columns=["RELP"],
    since=BASE_MS,
    until=BASE_MS + 1,
    reason="it paged",
)


def fill(store):
    for part in (of_alerts(ALERTS), of_orders([ORDER])):
        store.insert(part.table, part.columns, token=part.table)
    return store


@pytest.fixture(scope="module")
def filled(module_store):
    """Filled once: it is only read."""
    return fill(module_store)


@pytest.fixture
def filled_anew(store):
    """For a test that adds to it."""
    return fill(store)


def test_each_incident_is_listed_as_it_stands(filled):
    found = incidents(filled)
    assert [(one.incident, one.state) for one in found] == [
        ("churn-1", "closed"),
        ("fraud-1", "open"),
        ("churn-2", "open"),
    ]
    first = found[0]
    assert (first.opened_ms, first.updated_ms) == (BASE_MS, BASE_MS + 540_000)
    assert (first.paged, first.evidence, first.columns) == (True, 90_000, [MOVED])
    assert first.text == "churn-1 update at 5"  # a close only says that it is over
    assert "churn-1" in "\n".join(table(found))


def test_a_list_is_narrowed(filled):
    assert [one.incident for one in incidents(filled, closed=False)] == ["fraud-1", "churn-2"]
    assert [one.incident for one in incidents(filled, model="churn", limit=1)] == ["churn-2"]
    assert list(table(incidents(filled, model="nobody"))) == ["no incidents"]


def test_a_story_has_every_step_in_order(filled):
    told = story(filled, "churn-1")
    assert [event.event for event in told.events] == ["open", "update", "close"]
    assert [order.order for order in told.orders] == ["churn-1/order"]
    said = "\n".join(full(told))
    steps = [said.index(word) for word in ("opened", "paged", "retraining ordered", "closed  ")]
    assert steps == sorted(steps)
    assert "0.1 to 0.14" in said
    assert "replay" not in said  # the store knows no request of it


def test_a_replay_is_proposed_by_offsets_for_it_counts_in_the_time_of_the_log(filled_anew):
    """Requests of the past that are sent today: their event time is no place in the log."""
    ensure_observations(filled_anew, "churn", [])
    for partition, first in ((0, 70), (3, 1_041)):
        times = [BASE_MS - 61_000, BASE_MS - 59_000, BASE_MS - 60_000, BASE_MS]
        own = [pa.array([f"{partition}/{n}" for n in range(4)]), pa.array(times, pa.int64())]
        own += [
            pa.array(range(first, first + 4), pa.int64()),
            pa.array([0] * 4, pa.int32()),
            pa.array([0.5] * 4, pa.float32()),
        ]
        own += [pa.array(["no"] * 4).dictionary_encode(), pa.array(["champion"] * 4).dictionary_encode()]
        batch = pa.RecordBatch.from_arrays(own, schema=pa.schema(list(OWN)))
        head = Head(model="churn", version="v1", topic="requests", partition=partition, first=first, last=first + 3)
        part = of_observations(head, batch)
        filled_anew.insert(part.table, part.columns, token=str(partition))
    told = story(filled_anew, "churn-1")
    assert told.requests_from == {0: 71, 3: 1_042}
    assert told.other_versions == []
    said = "\n".join(full(told))
    assert "driftline replay --from 0:71,3:1042 --model churn@VERSION" in said  # which one, is not known
    assert "rollback" not in said  # nothing to go back to


def test_another_version_that_answered_is_named_and_can_be_gone_back_to(filled_anew):
    ensure_observations(filled_anew, "churn", [])
    for version, at in (("v1", BASE_MS), ("v3", BASE_MS - 120_000), ("v2", BASE_MS - 180_000)):
        own = [pa.array([version]), pa.array([at], pa.int64()), pa.array([0], pa.int64()), pa.array([0], pa.int32())]
        own += [pa.array([0.5], pa.float32())]
        own += [pa.array([word]).dictionary_encode() for word in ("no", "champion")]
        batch = pa.RecordBatch.from_arrays(own, schema=pa.schema(list(OWN)))
        part = of_observations(
            Head(model="churn", version=version, topic="requests", partition=0, first=0, last=0), batch
        )
        filled_anew.insert(part.table, part.columns, token=version)
    told = story(filled_anew, "churn-1")
    assert told.other_versions == ["v3", "v2"]
    said = "\n".join(full(told))
    assert "driftline replay --from 0:0 --model churn@v3" in said
    assert "driftline model rollback churn" in said


def test_a_closed_incident_shows_the_columns_that_it_was_about(store):
    """A close names what is back, as it stands by then: another effect, of other rows."""
    back = structs.replace(MOVED, effect=0.001, n=9_000)
    events = [alert("back-1", "open", 0, 50_000, columns=[MOVED]), alert("back-1", "close", 9, 1.0, columns=[back])]
    part = of_alerts(events)
    store.insert(part.table, part.columns, token="back")
    told = story(store, "back-1")
    assert (told.incident.state, told.incident.columns) == ("closed", [MOVED])


def test_an_interval_of_no_length_is_not_said(store):
    sharp = structs.replace(alert("sharp-1", "open", 0, 50_000), change_point_low=BASE_MS, change_point_high=BASE_MS)
    part = of_alerts([sharp, alert("wide-1", "open", 0, 50_000)])
    store.insert(part.table, part.columns, token="sharp")
    assert "between" not in "\n".join(full(story(store, "sharp-1")))
    assert "between 2023-11-14T22:11:20Z and 2023-11-14T22:13:20Z" in "\n".join(full(story(store, "wide-1")))


def test_every_command_that_is_offered_is_one_that_there_is(filled):
    """Each line is parsed by the command that it names; what is in capitals is the reader's to replace."""
    said = list(full(story(filled, "fraud-1")))
    offered = [line.partition("driftline ")[2].split() for line in said if "   driftline " in line]
    assert [words[0] for words in offered] == ["report", "incidents", "incidents", "incidents"]
    for words in offered:
        run = CliRunner().invoke(app, [*words, "--settings", "/nowhere/driftline.toml"])
        assert "/nowhere" in run.output + str(run.exception), words  # past its words, at its settings


def test_an_incident_that_is_not_there(filled):
    with pytest.raises(IncidentError, match="incidents list"):
        story(filled, "churn-9'; DROP TABLE alerts")


def test_the_commands_read_the_settings_store(filled, monkeypatch):
    where = filled.settings
    url = f"clickhouse://{where.user}@{where.host}:{where.port}/{where.database}"
    monkeypatch.setenv("DRIFTLINE_CLICKHOUSE__URL", url)
    monkeypatch.setenv("DRIFTLINE_CLICKHOUSE__PASSWORD", where.resolved_password())
    listed = CliRunner().invoke(app, ["incidents", "list", "--open", "--json"])
    assert [one["incident"] for one in msgspec.json.decode(listed.stdout)] == ["fraud-1", "churn-2"]
    shown = CliRunner().invoke(app, ["incidents", "show", "churn-1"])
    assert (shown.exit_code, "report --incident churn-1 --reference-data TRAINING" in shown.stdout) == (0, True)


def test_acts_are_told_and_leave_the_headline_and_the_gravest_severity(store):
    moved = alert("acts-1", "open", 0, 50_000, columns=[MOVED])
    page = structs.replace(alert("acts-1", "update", 1, 50_000, page=True, columns=[MOVED]), severity="critical")
    known = structs.replace(
        page, id="acts-1/3", ts=page.ts + 1, page=False, act="acknowledge", text="acknowledged by ann"
    )
    over = structs.replace(known, id="acts-1/4", event="close", ts=page.ts + 2, act="rebaseline", severity="watch")
    for_all = of_alerts([moved, page, known, over])
    store.insert(for_all.table, for_all.columns)
    told = story(store, "acts-1")
    assert (told.incident.text, told.incident.severity, told.incident.state) == (page.text, "critical", "closed")
    assert [event.act for event in told.events] == ["", "", "acknowledge", "rebaseline"]
    lines = "\n".join(full(told))
    assert re.search(r"acknowledged +acknowledged by ann", lines) and "the new normal" in lines and "changed" in lines


def test_an_act_is_checked_against_what_the_store_knows(filled):
    act = decide(filled, "churn-2", "acknowledge", by="ann", reason=" new sensor ")
    assert (act.model, act.incident, act.act, act.by, act.reason, act.until_ms) == (
        "churn", "churn-2", "acknowledge", "ann", "new sensor", None,
    )  # fmt: skip
    newest = BASE_MS + 20 * 60_000
    assert decide(filled, "churn-2", "mute", by="ann", until="3d").until_ms == newest + 3 * 86_400_000
    for incident, kind, until, why in (
        ("churn-1", "acknowledge", "", "churn-1 is closed since 2023-11-14T"),
        ("churn-9", "mute", "3d", "no incident 'churn-9'"),
        ("fraud-1", "rebaseline", "", "neither columns nor performance"),
        ("churn-2", "mute", "soon", "'soon' is no length of time"),
        ("churn-2", "mute", "2001-01-01", "2001-01-01 is over"),
    ):
        with pytest.raises(IncidentError, match=re.escape(why)):
            decide(filled, incident, kind, by="ann", until=until)


def test_an_act_is_written_where_the_judge_reads_the_routes_of_its_model(kafka, topic_prefix):
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout())
    act = Act(model="churn", incident="churn-2", act="acknowledge", by="ann", at_ms=7, reason="known")
    announce(cluster, lambda book: Route(model="churn", epoch=0, ts=0, champion="v1"))
    publish(cluster, act)
    blocks = [block for block in ranges.read_all(cluster, "counts") if block.values]
    (partition,) = {block.partition for block in blocks}
    read = [msgspec.msgpack.decode(value, type=CountsMessage) for block in blocks for value in block.values]
    assert [type(message).__name__ for message in read] == ["RouteCopy", "Act"] and read[1] == act, partition


def test_the_judge_s_word_on_an_act_is_waited_for(filled_anew):
    act = decide(filled_anew, "churn-2", "acknowledge", by="ann", reason="known")
    assert followed(filled_anew, act, seconds_max=0.0) is None
    earlier = structs.replace(act, at_ms=act.at_ms - 60_000, reason="as yesterday")
    words = [
        structs.replace(
            alert("churn-2", "update", 21 + at, 1.0), act="acknowledge", text=plain(spelled(sentence(known), rfc3339))
        )
        for at, known in enumerate([act, earlier])
    ]
    for word in reversed(words):  # What ann decided a minute ago is not the word on what she decides now.
        assert followed(filled_anew, act, seconds_max=0.0) is None
        told = of_alerts([word])
        filled_anew.insert(told.table, told.columns, token=word.text)
    found = followed(filled_anew, act, seconds_max=10.0)
    assert found is not None and found.text == words[0].text and "(known)" in found.text


def test_an_act_that_the_judge_refuses_says_why(filled_anew):
    act, later = (decide(filled_anew, "churn-2", "rebaseline", by=by) for by in ("ann", "anna"))
    said = f"{named(act)}: only 1,000 rows say how things are since churn-2 changed last; wait for 3,000 of them"
    refused = Block.of("counts", 0, [msgspec.msgpack.encode(act)])
    letter = dead_letter(refused, Refusal(0, "impossible_act", "$", said), "judge")
    headers = [(name, value if isinstance(value, bytes) else value.encode()) for name, value in letter.headers]
    lying = Block("dead-letters", 0, [0], [BASE_MS], [letter.key], [letter.value], [headers])
    told = of_dead_letters(list(letters(lying)))
    filled_anew.insert(told.table, told.columns)
    with pytest.raises(IncidentError, match=r"^rebaseline of churn-2 by ann at .*: only 1,000 rows say"):
        followed(filled_anew, act, seconds_max=10.0)
    assert followed(filled_anew, later, seconds_max=0.0) is None
