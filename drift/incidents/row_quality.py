"""Shares of a window that are better small: of its rows those that came late or repeat an id, of its requests those
that were refused, of its labels those that cannot be used.

A share alarms when it is above the usual one and a point more for certain: by Chernoff's bound such a window comes by
chance at most once in as many as the budget says. It is told once, and again where it is half as much again; what
lasts becomes the usual share. Rows that
are late or doubled are a watch; requests without an answer are a warning, and critical once they are most of them;
labels that cannot be used are a watch, and a warning once they are most.
"""

import math
from collections.abc import Callable

import msgspec

from drift.incidents.severity import worse
from drift.incidents.spelling import percent
from drift.incidents.volume import CALM_WINDOWS, STEADY_WINDOWS, opened, told
from streams.wire.records import Alert, Severity

#: An open incident is told again once the share is so many times what was told, and a tolerance more, for certain.
FURTHER = 1.5
#: What is looked at, and how it is said of a share of the rows.
LATE, REPEATED, REFUSED, LABEL_FAULTS = "late", "repeated", "refused", "label_faults"
_SAID = {
    LATE: ("rows", "came after their window had closed"),
    REPEATED: ("rows", "repeat the id of another row of their window"),
    REFUSED: ("requests", "are refused"),
    LABEL_FAULTS: ("labels", "cannot be used"),
}


class Share(msgspec.Struct, kw_only=True, eq=False):
    """What is remembered of a share: the usual one, windows running outside and inside, the open incident, and what was
    told last.
    """

    usual: float = 0.0
    outside: int = 0
    inside: int = 0
    open: Alert | None = None
    told: float = 0.0


class Shares(msgspec.Struct, kw_only=True, eq=False):
    """The shares of one model version's windows, by what they are of."""

    known: dict[str, Share] = {}

    def take(
        self,
        blank: Alert,
        what: str,
        many: int,
        rows: int,
        tolerance: float,
        name: Callable[[], str],
        opens: bool,
        severity: Severity = "watch",
        say: Callable[[], str] | None = None,
        since: str = "",
    ) -> list[Alert]:
        """Take a window; returns what is to be told.

        Parameters
        ----------
        blank
            An alert of this window that says nothing yet.
        many, rows
            Rows that it is true of, and all rows that were looked at.
        tolerance
            By how much a share may be above the usual one.
        name
            Names the next incident.
        opens
            Whether the version serves, and may open one.
        severity
            Of an incident by what this window holds; one that becomes graver is told again.
        say
            Says it better.
        since
            The window's start, in words, where nobody says it better.
        """
        if not rows:
            return []
        held, (of, did) = self.known.setdefault(what, Share()), _SAID[what]
        if not certain(blank, many, rows, held.usual + tolerance):
            held.inside, held.outside = held.inside + 1, 0
            if held.open is None or held.inside < CALM_WINDOWS:
                return []
            was = f", {percent(held.told)} when last reported" if held.told else ""
            return self._close(held, blank, f"back to normal: {percent(many / rows)} of the {of} {did}{was}")
        held.outside, held.inside = held.outside + 1, 0
        if held.outside >= STEADY_WINDOWS:
            held.usual, held.outside = many / rows, 0
            return self._close(
                held, blank, f"{percent(held.usual)} of the {of} {did}: this has lasted, and counts as usual now"
            )
        if held.open is not None and not held.told:
            held.told = many / rows  # A snapshot from before it was kept.
        further = held.open is not None and certain(blank, many, rows, FURTHER * held.told + tolerance)
        if not opens or (held.open is not None and not further and not worse(severity, held.open.severity)):
            return []
        when, usual = f" since {since}" if since else "", percent(held.usual)
        text = say() if say else f"{percent(many / rows)} of the {of}{when} {did}; {usual} is usual"
        blank = msgspec.structs.replace(blank, severity=severity, page=severity != "watch", reach="page")
        if held.open is not None:  # An incident keeps its gravest severity.
            gravest = severity if worse(severity, held.open.severity) else held.open.severity
            blank = msgspec.structs.replace(blank, severity=gravest, worse=True)
        held.told = many / rows
        held.open = opened(blank, name(), text) if held.open is None else told(held.open, blank, "update", text)
        return [held.open]

    def close(self, ts: int, why: str) -> list[Alert]:
        """Close every open incident, at an event time, for a reason that is no window's."""
        several = [(held, held.open) for held in self.known.values() if held.open is not None]
        blanks = [(held, msgspec.structs.replace(last, ts=ts, page=False, reach="list")) for held, last in several]
        return [one for held, blank in blanks for one in self._close(held, blank, why)]

    def _close(self, held: Share, blank: Alert, why: str) -> list[Alert]:
        if held.open is None:
            return []
        last, held.open, held.told = held.open, None, 0.0
        return [told(last, msgspec.structs.replace(blank, severity=last.severity, reach="chat"), "close", why)]


def certain(blank: Alert, many: int, rows: int, bound: float) -> bool:
    """Whether a share is above a bound for certain, by the budget of the model that an alert is about."""
    return above(many, rows, bound, 10 * len(_SAID) * blank.budget)


def above(many: int, rows: int, bound: float, windows: float) -> bool:
    """Whether a share is above a bound for certain: by chance in one window of so many, at the most.

    >>> above(6, 200, 0.01, 10_000), above(20, 200, 0.01, 10_000)
    (False, True)
    """
    found = many / rows
    if found <= bound:
        return False
    rest = (1 - found) * math.log((1 - found) / (1 - bound)) if found < 1 else 0.0
    return rows * (found * math.log(found / bound) + rest) >= math.log(windows)
