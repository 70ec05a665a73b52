"""Shares of a window that are better small: of its rows those that came late or repeat an id, of its requests those
that were refused, of its labels those that cannot be used.

A share alarms when it is above the usual one and a point more for certain: by Chernoff's bound such a window comes by
chance at most once in as many as the budget says. It is told once, and again where it is half as much again; what
lasts becomes the usual share. Rows that are late or doubled are a watch; requests without an answer are a warning, and
critical once they are most of them; labels that cannot be used are a watch, and a warning once they are most.
"""

import math
from collections.abc import Callable

import msgspec

from drift.incidents.book import Finding
from drift.incidents.closed_window import ClosedWindow
from drift.incidents.severity import worse
from drift.incidents.spelling import percent
from drift.incidents.text import Text, since, text
from drift.incidents.volume import CALM_WINDOWS, STEADY_WINDOWS
from drift.reference.tolerances import tolerance
from streams.wire.records import Alert, Severity, Watch

#: An open incident is told again once the share is so many times what was told, and a tolerance more, for certain.
FURTHER = 1.5
#: What is looked at, and how it is said of a share of the rows.
LATE, REPEATED, REFUSED, LABEL_FAULTS = "late", "repeated", "refused", "label_faults"
_CLAUSES = {
    LATE: ("rows", "came after their window had closed"),
    REPEATED: ("rows", "repeat the id of another row of their window"),
    REFUSED: ("requests", "are refused"),
    LABEL_FAULTS: ("labels", "cannot be used"),
}


class QualityShare(msgspec.Struct, kw_only=True, eq=False):
    """What is remembered of a share.

    Parameters
    ----------
    usual
        The usual share.
    outside, inside
        Windows running outside and inside of what is usual.
    last
        The latest alert of the open incident.
    reported
        The share as it was told last.
    """

    usual: float = 0.0
    outside: int = 0
    inside: int = 0
    last: Alert | None = msgspec.field(default=None, name="open")
    reported: float = msgspec.field(default=0.0, name="told")


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """One share of a window.

    Parameters
    ----------
    what
        What it is a share of: ``late``, ``repeated``, ``refused``, ``label_faults``.
    count, rows
        Rows that it is true of, and all that were looked at.
    severity
        Of an incident by what this window holds; one that becomes graver is told again.
    sentence
        Says it better than a plain share does.
    """

    what: str
    count: int
    rows: int
    severity: Severity = "watch"
    sentence: Callable[[], Text] | None = None


class RowQuality(msgspec.Struct, kw_only=True, eq=False):
    """The shares of one model version's windows, by what they are of."""

    known: dict[str, QualityShare] = {}

    def of(self, what: str) -> QualityShare:
        """What is remembered of a share."""
        return self.known.setdefault(what, QualityShare())

    def observe(self, window: ClosedWindow, now: Observed) -> Finding | None:
        """Take a share of a window."""
        if not now.rows:
            return None
        share, allowed = self.of(now.what), tolerance(window.watch, "rate")
        (rows, clause), current = _CLAUSES[now.what], now.count / now.rows
        if not certain(window.watch, now.count, now.rows, share.usual + allowed):
            share.inside, share.outside = share.inside + 1, 0
            if share.last is None or share.inside < CALM_WINDOWS:
                return None
            before = f", {percent(share.reported)} when last reported" if share.reported else ""
            return _closing(share, f"back to normal: {percent(current)} of the {rows} {clause}{before}")
        share.outside, share.inside = share.outside + 1, 0
        if share.outside >= STEADY_WINDOWS:
            share.usual, share.outside = current, 0
            usual = f"{percent(current)} of the {rows} {clause}: this has lasted, and counts as usual now"
            return _closing(share, usual)
        if not window.context.opens or not _news(share, now, window.watch, allowed):
            return None
        return _opening(share, now, window)


def _news(share: QualityShare, now: Observed, watch: Watch, allowed: float) -> bool:
    """Whether a share that is too large has not been told yet, or has become larger or graver since."""
    if share.last is None:
        return True
    if not share.reported:
        share.reported = now.count / now.rows  # A snapshot from before it was kept.
    further = certain(watch, now.count, now.rows, FURTHER * share.reported + allowed)
    return further or worse(now.severity, share.last.severity)


def _opening(share: QualityShare, now: Observed, window: ClosedWindow) -> Finding:
    """Open an incident, or tell an open one again: it keeps its gravest severity."""
    gravest = now.severity
    if share.last is not None and not worse(now.severity, share.last.severity):
        gravest = share.last.severity
    share.reported = now.count / now.rows
    rows, clause = _CLAUSES[now.what]
    return Finding(
        event="open" if share.last is None else "update",
        severity=gravest,
        page=now.severity != "watch",
        reach="page",
        worse=share.last is not None,
        text=now.sentence()
        if now.sentence
        else text(
            f"{percent(share.reported)} of the {rows}",
            since(window.start),
            f" {clause}; {percent(share.usual)} is usual",
        ),
    )


def _closing(share: QualityShare, why: str) -> Finding | None:
    """End the open incident, if there is one."""
    if share.last is None:
        return None
    share.reported = 0.0
    return Finding(event="close", severity=share.last.severity, reach="chat", text=text(why))


def certain(watch: Watch, count: int, rows: int, bound: float) -> bool:
    """Whether a share is above a bound for certain, by the budget of a model.

    Parameters
    ----------
    watch
        How the model is watched.
    count, rows
        The share.
    bound
        What it must be above.
    """
    return above(count, rows, bound, 10 * len(_CLAUSES) * watch.false_alarm_every)


def above(count: int, rows: int, bound: float, windows: float) -> bool:
    """Whether a share is above a bound for certain: by chance in one window of so many, at the most.

    Parameters
    ----------
    count, rows
        The share.
    bound
        What it must be above.
    windows
        Windows in which chance alone passes the bound once at most.

    >>> above(6, 200, 0.01, 10_000), above(20, 200, 0.01, 10_000)
    (False, True)
    """
    share = count / rows
    if share <= bound:
        return False
    rest = (1 - share) * math.log((1 - share) / (1 - bound)) if share < 1 else 0.0
    return rows * (share * math.log(share / bound) + rest) >= math.log(windows)
