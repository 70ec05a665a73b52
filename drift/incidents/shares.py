"""Shares of a window's rows that are better small: rows that came late, rows that repeat an id.

A share alarms when it is above the usual one and a point more for certain: by Chernoff's bound such a window comes by
chance at most once in as many as the budget says. It is told once and pages nobody; what lasts becomes the usual share.
"""

import math
from collections.abc import Callable

import msgspec

from drift.incidents.flow import CALM_WINDOWS, STEADY_WINDOWS, opened, told
from drift.incidents.sentences import percent
from streams.records import Alert

#: What is looked at, and how it is said of a share of the rows.
LATE, REPEATED = "late", "repeated"
_SAID = {LATE: "came after their window had closed", REPEATED: "carry the id of another row of their window"}


class Share(msgspec.Struct, kw_only=True, eq=False):
    """What is remembered of a share: the usual one, windows running outside and inside, and the open incident."""

    usual: float = 0.0
    outside: int = 0
    inside: int = 0
    open: Alert | None = None


class Shares(msgspec.Struct, kw_only=True, eq=False):
    """The shares of one model version's windows, by what they are of."""

    known: dict[str, Share] = {}

    def take(
        self, blank: Alert, what: str, many: int, rows: int, tolerance: float, name: Callable[[], str], opens: bool
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
        """
        if not rows:
            return []
        held = self.known.setdefault(what, Share())
        if not above(many, rows, held.usual + tolerance, 10 * len(_SAID) * blank.budget):
            held.inside, held.outside = held.inside + 1, 0
            if held.open is None or held.inside < CALM_WINDOWS:
                return []
            return self._close(held, blank, f"as many rows as usual {_SAID[what]}")
        held.outside, held.inside = held.outside + 1, 0
        if held.outside >= STEADY_WINDOWS:
            held.usual, held.outside = many / rows, 0
            return self._close(held, blank, f"{percent(held.usual)} of the rows {_SAID[what]}: that is usual now")
        if held.open is not None or not opens:
            return []
        text = f"{percent(many / rows)} of the rows {_SAID[what]}; {percent(held.usual)} is usual"
        held.open = opened(blank, name(), text)
        return [held.open]

    def close(self, ts: int, why: str) -> list[Alert]:
        """Close every open incident, at an event time, for a reason that is no window's."""
        several = [(held, held.open) for held in self.known.values() if held.open is not None]
        return [one for held, last in several for one in self._close(held, msgspec.structs.replace(last, ts=ts), why)]

    def _close(self, held: Share, blank: Alert, why: str) -> list[Alert]:
        if held.open is None:
            return []
        last, held.open = held.open, None
        return [told(last, blank, "close", why)]


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
