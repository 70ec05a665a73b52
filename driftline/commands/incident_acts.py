"""What a person decides about an open incident, written where the judge and every replay read it."""

import re
import time
from datetime import UTC, datetime
from typing import Literal

import msgspec

from drift.incidents import rfc3339
from drift.incidents.acts import named
from drift.store import Store
from driftline.commands import incidents
from driftline.commands.incidents import Event, IncidentError
from driftline.commands.terminal import instant
from driftline.durations import duration_ms
from streams.clock import now_ms
from streams.kafka.cluster import Cluster
from streams.runtime.transactions import TransactionalProducer
from streams.wire.effects import Publish
from streams.wire.records import Act

Kind = Literal["acknowledge", "mute", "rebaseline"]
#: How long the judge and the store are waited for, and how often one looks.
_FOLLOWED_S_MAX, _LOOK_S = 15.0, 0.3
#: Why the judge refused an act, if it did.
_REFUSALS = """
SELECT detail FROM dead_letters
WHERE source_topic = 'counts' AND reason = 'impossible_act' AND startsWith(detail, {act:String})
"""
_NEWEST = """
SELECT toUnixTimestamp64Milli(max(window_end)) FROM report_rows WHERE model = {model:String} AND segment = ''
"""


def decide(store: Store, incident: str, kind: Kind, *, by: str, reason: str = "", until: str = "") -> Act:
    """The act, checked against what the store knows of the incident.

    Parameters
    ----------
    by, reason
        Who decides, and why.
    until
        Of a mute: a length of event time from the newest window on (``3d``), or a time (``2024-05-01``, RFC 3339).

    Raises
    ------
    IncidentError
        There is no such incident, it is closed, or the act cannot be.
    """
    row = incidents.story(store, incident).incident
    if row.state == "closed":
        raise IncidentError(f"{incident} is closed since {instant(row.updated_ms)}; an act needs an open one")
    if kind == "rebaseline" and not row.columns:
        raise IncidentError(f"{incident} is about neither columns nor performance; `driftline incidents mute` it")
    until_ms = None
    if kind == "mute":
        newest = int(store.rows(_NEWEST, {"model": row.model})[0][0])
        until_ms = _until(until, max(newest, row.updated_ms))
    return Act(
        model=row.model, incident=incident, act=kind, by=by, at_ms=now_ms(), reason=reason.strip(), until_ms=until_ms
    )


def publish(cluster: Cluster, act: Act) -> None:
    """Write an act on `counts`, in a transaction of its own."""
    producer = TransactionalProducer(cluster, "acts")
    try:
        producer.end_dangling(["counts"])
        producer.commit([], [Publish("counts", msgspec.msgpack.encode(act), key=act.model.encode())], None)
    finally:
        producer.close()


def followed(store: Store, act: Act, seconds_max: float = _FOLLOWED_S_MAX) -> Event | None:
    """Wait for the judge's word on an act to be stored; None where none comes in time.

    Parameters
    ----------
    act
        As it was published.
    seconds_max
        How long to wait.

    Raises
    ------
    IncidentError
        The judge has refused it.
    """
    before, decided = time.monotonic() + seconds_max, f" by {act.by} at {rfc3339(act.at_ms)}"
    while True:
        events = incidents.story(store, act.incident).events
        replies = [event for event in events if event.act == act.act and decided in event.text]
        if replies:
            return replies[-1]
        refusals = store.rows(_REFUSALS, {"act": named(act)})
        if refusals:
            raise IncidentError(str(refusals[0][0]))
        if time.monotonic() > before:
            return None
        time.sleep(_LOOK_S)


def _until(text: str, newest_ms: int) -> int:
    """Event time that a person names: a length of time from the newest window on, or a time.

    >>> _until("3d", 1_000), _until("2024-05-01", 0), _until("2024-05-01T12:00:00+02:00", 0)
    (259201000, 1714521600000, 1714557600000)
    """
    if re.match(r"\d{4}-", text):
        try:
            when = datetime.fromisoformat(text)
        except ValueError as error:
            raise IncidentError(f"--until {text}: {error}; write 2024-05-01 or 2024-05-01T12:00:00Z") from None
        until = round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)
    else:
        try:
            until = newest_ms + int(duration_ms(text))
        except ValueError as error:
            raise IncidentError(f"--until {error}; or a time, as in 2024-05-01T12:00:00Z") from None
    if until <= newest_ms:
        raise IncidentError(f"--until {text} is over: the newest window ends at {instant(newest_ms)}")
    return until
