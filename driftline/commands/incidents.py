"""Incidents as the store knows them: which there are, and the life of one."""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from dashboards import words
from drift.incidents.verdict import word
from drift.store import Store, StoreError
from driftline.commands.terminal import aligned, instant
from streams.logs import one_line
from streams.names import is_name
from streams.wire.records import SEVERITIES, MovedColumn

_EVENTS = """
SELECT
    incident, event, model, version, segment, kind, severity, page, toUnixTimestamp64Milli(ts),
    toUnixTimestamp64Milli(change_point), toUnixTimestamp64Milli(change_point_low),
    toUnixTimestamp64Milli(change_point_high), evidence, budget, columns, text, reach, act
FROM alerts
"""
_ORDERS = """
SELECT id, toUnixTimestamp64Milli(ts), reason FROM retraining WHERE incident = {incident:String} ORDER BY ts, id
"""
# Where the requests of a stretch of event time begin in the log: a replay counts in Kafka's time or in offsets.
_REQUESTS = """
SELECT source_partition, min(source_offset) FROM predictions
WHERE model = {model:String} AND version = {version:String} AND source_topic = 'requests'
    AND ts >= fromUnixTimestamp64Milli({since:Int64})
GROUP BY source_partition ORDER BY source_partition
"""
# Versions that answered, the newest to answer first: another one can be asked again, or gone back to.
_VERSIONS = (
    "SELECT version FROM predictions WHERE model = {model:String} GROUP BY version ORDER BY max(ts) DESC, version"
)
_JUDGED = """
SELECT model, toUnixTimestamp64Milli(max(window_end)) FROM report_rows
WHERE {model:String} IN ('', model) AND role = 'window' GROUP BY model ORDER BY model
"""
# The newest incidents, by their last word: an incident is a handful of events.
_NEWEST = """
WHERE incident IN
(
    SELECT incident FROM alerts WHERE {model:String} IN ('', model) GROUP BY incident
    HAVING {closed:UInt8} OR argMax(event, (ts, window_end)) != 'close'
    ORDER BY max(ts) DESC, incident LIMIT {limit:UInt32}
)
ORDER BY ts, window_end, event
"""
_HEADINGS = ("incident", "model", "state", "severity", "kind", "since", "columns", "text")


class IncidentError(ValueError):
    """There is no such incident."""


class Event(msgspec.Struct, frozen=True):
    """One row of the table of alerts, times in ms; ``columns`` as it was written, JSON."""

    incident: str
    event: Literal["open", "update", "close"]
    model: str
    version: str
    segment: str
    kind: str
    severity: str
    page: bool
    ts: int
    change_point: int
    change_point_low: int
    change_point_high: int
    evidence: float
    budget: float
    columns: str
    text: str
    reach: str = "list"
    act: str = ""


class Order(msgspec.Struct, frozen=True):
    """A retraining order that the incident led to."""

    order: str
    ts: int
    reason: str


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """An incident as it stands.

    Attributes
    ----------
    paged
        Whether a person was told.
    since_ms, since_low_ms, since_high_ms
        When what it names began, with its interval, in event time.
    evidence, budget
        The most there was, and what it takes to open.
    columns
        As the last event that names any says.
    """

    incident: str
    model: str
    version: str
    segment: str
    state: Literal["open", "closed"]
    kind: str
    severity: str
    paged: bool
    opened_ms: int
    updated_ms: int
    since_ms: int
    since_low_ms: int
    since_high_ms: int
    evidence: float
    budget: float
    columns: list[MovedColumn]
    text: str


class Story(msgspec.Struct, frozen=True):
    """An incident with its events, oldest first, the orders that followed, the first offset of its requests in each
    partition, and the model's other versions that have answered, the newest first; none where the store knows none.
    """

    incident: Incident
    events: list[Event]
    orders: list[Order]
    requests_from: dict[int, int] = {}
    other_versions: list[str] = []


def incidents(store: Store, model: str = "", closed: bool = True, limit: int = 20) -> list[Incident]:
    """The newest incidents, the newest last.

    Parameters
    ----------
    model
        Only this model's; empty for all.
    closed
        Closed ones too.
    """
    given = {"model": model, "closed": int(closed), "limit": limit}
    by_name: dict[str, list[Event]] = {}
    for event in _events(store, _NEWEST, given):
        by_name.setdefault(event.incident, []).append(event)
    return sorted((_standing(events) for events in by_name.values()), key=lambda incident: incident.updated_ms)


def judged(store: Store, model: str = "") -> dict[str, int]:
    """End of the newest window that was judged, in ms of event time, by model.

    Parameters
    ----------
    store
        The store.
    model
        Only this model's; empty for all.
    """
    return {name: int(end) for name, end in store.rows(_JUDGED, {"model": model})}


def story(store: Store, incident: str) -> Story:
    """Everything about one incident.

    Raises
    ------
    IncidentError
        The store knows none of that name.
    """
    if not is_name("incident", incident):
        raise IncidentError(f"{incident[:120]!r} names no incident; `driftline incidents list` names those there are")
    events = _events(store, "WHERE incident = {incident:String} ORDER BY ts, window_end, event", {"incident": incident})
    if not events:
        raise IncidentError(f"no incident {incident!r}; `driftline incidents list` names those there are")
    orders = [Order(*row) for row in store.rows(_ORDERS, {"incident": incident})]
    standing = _standing(events)
    return Story(standing, events, orders, _requests_from(store, standing), _other_versions(store, standing))


def _requests_from(store: Store, incident: Incident) -> dict[int, int]:
    given = {"model": incident.model, "version": incident.version, "since": incident.since_ms}
    return {int(partition): int(offset) for partition, offset in _of_predictions(store, _REQUESTS, given)}


def _other_versions(store: Store, incident: Incident) -> list[str]:
    answered = _of_predictions(store, _VERSIONS, {"model": incident.model})
    return [version for (version,) in answered if version != incident.version]


def _of_predictions(store: Store, query: str, given: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Rows of a query over predictions; none where no model has a table of them yet."""
    try:
        return list(store.rows(query, given))
    except StoreError:
        return []


def _events(store: Store, which: str, given: dict[str, Any]) -> list[Event]:
    return [Event(*row) for row in store.rows(_EVENTS + which, given)]


def _standing(events: list[Event]) -> Incident:
    last = events[-1]
    # A close says that it is over, and an act who decided what: the headline is what had happened.
    speaking = [event for event in events if event.event != "close" and not event.act] or events
    # A close names what is back, as it stands by then: the columns are those that the headline is about.
    naming = [event for event in speaking if event.columns not in ("", "[]")] or events
    return Incident(
        incident=last.incident,
        model=last.model,
        version=last.version,
        segment=last.segment,
        state="closed" if last.event == "close" else "open",
        kind=last.kind,
        severity=max((event.severity for event in events), key=SEVERITIES.index),
        paged=any(event.page for event in events),
        opened_ms=events[0].ts,
        updated_ms=last.ts,
        since_ms=speaking[-1].change_point,
        since_low_ms=speaking[-1].change_point_low,
        since_high_ms=speaking[-1].change_point_high,
        evidence=max(event.evidence for event in events),
        budget=last.budget,
        columns=msgspec.json.decode(naming[-1].columns or "[]", type=list[MovedColumn]),
        text=speaking[-1].text,
    )


def table(listed: list[Incident]) -> Iterator[str]:
    """Say incidents in lines."""
    if not listed:
        yield "no incidents"
        return
    rows = [
        (
            incident.incident,
            incident.model,
            incident.state,
            incident.severity,
            incident.kind,
            instant(incident.since_ms),
            ", ".join(column.name for column in incident.columns),
            incident.text,
        )
        for incident in listed
    ]
    yield from aligned([_HEADINGS, *rows], wide=90)
    yield ""
    still = [incident for incident in listed if incident.state == "open"] or listed
    yield f"next: `driftline incidents show {still[-1].incident}`"


def full(story: Story) -> Iterator[str]:
    """Say one incident in full, and what can be done."""
    incident = story.incident
    where = f"{incident.model} {incident.version}" + (f", segment {incident.segment}" if incident.segment else "")
    yield f"{incident.incident}: {incident.severity}, {incident.kind}, {incident.state}; {where}"
    yield f"  {one_line(incident.text)}"
    between = f", between {instant(incident.since_low_ms)} and {instant(incident.since_high_ms)}"
    yield f"  since {instant(incident.since_ms)}{between if incident.since_low_ms < incident.since_high_ms else ''}"
    if incident.evidence:  # what is judged by a share of rows has none
        opens = f"an incident opens at {incident.budget:,.3g}"
        yield f"  evidence that something changed: {incident.evidence:,.3g}; {opens}"
    steps = [(e.ts, words.step(e.event, e.act, e.reach, e.page), e.text) for e in story.events]
    steps += [(order.ts, "retraining ordered", f"{order.order}: {order.reason}") for order in story.orders]
    yield ""
    yield from aligned([(f"  {instant(ms)}", what, text) for ms, what, text in sorted(steps)], wide=1_000)
    if incident.columns:
        yield ""
        headings = ("  column", "statistic", "verdict", "effect", "interval", "tolerated", "evidence", "n")
        yield from aligned([headings, *map(_column, incident.columns)], numbers=(3, 5, 6, 7))
    yield ""
    yield from _next_commands(story)


def _next_commands(story: Story) -> Iterator[str]:
    """Commands that work on this incident as it stands; words in capitals are the reader's to replace."""
    incident = story.incident
    yield f"see it in full, offline    driftline report --incident {incident.incident} --reference-data TRAINING_TABLE"
    if story.requests_from:
        places = ",".join(f"{partition}:{offset}" for partition, offset in story.requests_from.items())
        version = story.other_versions[0] if story.other_versions else "VERSION"
        yield f"through another version    driftline replay --from {places} --model {incident.model}@{version}"
    if story.other_versions:
        yield f"the version before         driftline model rollback {incident.model}"
    if incident.state == "open":
        yield f"someone is on it           driftline incidents acknowledge {incident.incident}"
        yield f"nothing until then         driftline incidents mute {incident.incident} --until 3d"
        yield f"it is the new normal       driftline incidents rebaseline {incident.incident}"


def _column(column: MovedColumn) -> tuple[str, ...]:
    return (
        f"  {column.name}",
        column.statistic,
        word(column.effect_low, column.effect_high, column.tolerance),
        f"{column.effect:.3g}",
        f"{column.effect_low:.3g} to {column.effect_high:.3g}",
        f"{column.tolerance:.3g}",
        f"{column.evidence:,.3g}",
        f"{column.n:,}",
    )
