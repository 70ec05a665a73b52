"""The book of incidents: findings of all rules become alerts here, with one numbering.

A rule looks at a closed window and returns a `Finding`: it opens, continues or ends one incident. The book names new
incidents, numbers the alerts of each (``MODEL-7/3`` is the third of the seventh), writes their texts, and hands the
latest alert of each open incident to its holder. Nothing else makes an alert.
"""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from drift.incidents.closed_window import ClosedWindow
from drift.incidents.text import Text, plain, spelled
from streams.wire.records import (
    Alert,
    IncidentEvent,
    IncidentKind,
    MovedColumn,
    PredictionEffect,
    Reach,
    Severity,
)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule has found in a window: one event in the life of one incident, which has no name or number yet.

    Parameters
    ----------
    event, kind, severity, reach, page, worse
        As of the alert.
    text
        The sentence.
    incident
        The incident's name, where the rule has named it already.
    change
        The change point and its interval, ms; by default that of the latest alert, or the window's start.
    columns, later, predictions, evidence
        As of the alert.
    budget, reference
        As of the alert; by default those that hold now.
    """

    event: IncidentEvent
    text: Text
    kind: IncidentKind = "quality"
    severity: Severity = "watch"
    reach: Reach = "list"
    page: bool = False
    worse: bool = False
    incident: str = ""
    change: tuple[int, int, int] | None = None
    columns: list[MovedColumn] = []
    later: list[int] = []
    predictions: list[PredictionEffect] = []
    evidence: float = 0.0
    budget: float | None = None
    reference: str = ""


class Holder(Protocol):
    """What keeps the latest alert of an incident; None while none is open."""

    last: Alert | None


class Book:
    """Names the incidents of a model and makes their alerts.

    Parameters
    ----------
    number
        Gives the number of the model's next incident.
    """

    def __init__(self, number: Callable[[], int]) -> None:
        self.number = number

    def tell(self, holder: Holder, window: ClosedWindow, finding: Finding) -> Alert:
        """Make the alert of a finding, the next of the incident that ``holder`` keeps or the first of a new one.

        Parameters
        ----------
        holder
            Keeps the alert, or nothing once the incident is closed.
        window
            The window of the finding.
        finding
            What is to be told.
        """
        last, context = holder.last, window.context
        if last is None:
            incident, number = finding.incident or f"{context.model}-{self.number()}", 1
        else:
            incident, number = last.incident, number_of(last) + 1
        known = (window.start,) * 3 if last is None else _change(last)
        change_point, low, high = finding.change or known
        parts = spelled(finding.text, window.spell)
        alert = Alert(
            id=f"{incident}/{number}",
            incident=incident,
            event=finding.event,
            model=context.model,
            version=context.version,
            segment=context.segment,
            ts=window.end,
            window_start=window.start,
            window_end=window.end,
            kind=finding.kind,
            severity=finding.severity,
            page=finding.page,
            reach=finding.reach,
            worse=finding.worse,
            columns=finding.columns,
            change_point=change_point,
            change_point_low=low,
            change_point_high=high,
            later=finding.later,
            predictions=finding.predictions,
            evidence=finding.evidence,
            budget=context.watch.false_alarm_every if finding.budget is None else finding.budget,
            reference=finding.reference or context.reference,
            epoch=context.epoch,
            text=plain(parts),
            parts=list(parts),
        )
        keep(holder, alert)
        return alert


def keep(holder: Holder, alert: Alert) -> None:
    """Let a holder keep the latest alert of its incident; nothing once it is closed.

    The parts of its text are for readers alone and are not kept: snapshots are small, and those of older versions give
    the same state.
    """
    holder.last = None if alert.event == "close" else msgspec.structs.replace(alert, parts=msgspec.UNSET)


def ended(holder: Holder, ts: int, why: Text, reach: Reach = "chat") -> list[Alert]:
    """Close the incident that a holder keeps, if it keeps one, for a reason that is no window's.

    Parameters
    ----------
    holder
        Keeps nothing afterwards.
    ts
        Event time at which it ends, ms.
    why
        The sentence that says it.
    reach
        How far it is told.
    """
    if holder.last is None:
        return []
    alert = following(holder.last, why, event="close", page=False, reach=reach, worse=False, act="", ts=ts)
    holder.last = None
    return [alert]


def following(last: Alert, parts: Text, **changes: Any) -> Alert:
    """The next alert of an incident, like its last one but for a text, its times spelled, and some fields."""
    number = f"{last.incident}/{number_of(last) + 1}"
    return msgspec.structs.replace(last, id=number, text=plain(parts), parts=list(parts), **changes)


def extended(alert: Alert, parts: Text, spell: Callable[[int], str], **changes: Any) -> Alert:
    """The same alert, its text continued.

    Parameters
    ----------
    alert
        An alert that has not left yet.
    parts
        What its text is continued by.
    spell
        Writes an event time.
    changes
        Other fields.
    """
    more = spelled(parts, spell)
    if alert.parts is not msgspec.UNSET:
        changes["parts"] = [*alert.parts, *more]
    return msgspec.structs.replace(alert, text=alert.text + plain(more), **changes)


def number_of(alert: Alert) -> int:
    """Which alert of its incident it is, from 1."""
    return int(alert.id.rpartition("/")[2])


def _change(alert: Alert) -> tuple[int, int, int]:
    return alert.change_point, alert.change_point_low, alert.change_point_high
