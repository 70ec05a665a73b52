"""Rows far behind: their windows were closed long before, so no report and no incident takes them up.

It is told at once, not when windows close, for none may close any more: a dozen requests without a time among a
stream of the past take Kafka's, and everything after them is late. The alert names the largest leap of event time
that was seen. It spends no budget, for rows do not come a day too late by chance, and it closes when event time has
gone on; should more come then, it is told again.
"""

from collections.abc import Callable

import msgspec

from drift.counting.event_clock import far_ms
from drift.incidents.volume import opened, told
from streams.wire.records import Alert, Leap, Watch

#: So many rows far behind are told; fewer may be what a client had kept back.
ROWS_MIN = 100
#: Leaps that are remembered, the largest.
LEAPS_MAX = 8


class Behind(msgspec.Struct, kw_only=True, eq=False):
    """What is remembered of one model version.

    Parameters
    ----------
    leaps
        The largest leaps of event time so far.
    rows
        Rows far behind that came since it was told last that there are none.
    open, closes_ms
        The latest alert of the open incident, and the event time that closes it.
    """

    leaps: list[Leap] = []
    rows: int = 0
    open: Alert | None = None
    closes_ms: int | None = None

    def observe(self, leaps: list[Leap], rows: int) -> bool:
        """Take what a block brought; returns whether there is something to be told."""
        if leaps:
            known = sorted({*self.leaps, *leaps}, key=lambda leap: (leap.start_ms - leap.end_ms, leap))
            self.leaps = known[:LEAPS_MAX]
        self.rows += rows
        return self.open is None and self.rows >= ROWS_MIN

    def tell(self, blank: Alert, watch: Watch, reached: int, name: str, say: Callable[[int], str]) -> Alert:
        """Open the incident.

        Parameters
        ----------
        blank
            An alert of the event time that the stream has reached, which says nothing yet.
        reached
            That time, ms.
        name
            The incident.
        say
            Spells an event time.
        """
        self.closes_ms = reached + far_ms(watch)
        text = f"{ROWS_MIN} rows or more are far older than the newest, which are of {say(reached)}"
        began = reached
        if self.leaps:
            leap = self.leaps[0]
            began = leap.start_ms
            text = (
                f"event times leapt from {say(leap.start_ms)} to {say(leap.end_ms)}, and since then {ROWS_MIN} rows or "
                "more that are far older have come"
            )
        text += (
            ": their windows are closed, so they are answered and not monitored; a likely cause is requests without "
            "`ts` among older ones, for they take the time of their arrival; `driftline produce --backfill` sends rows "
            "of the past"
        )
        change = {"change_point": began, "change_point_low": began, "change_point_high": began}
        blank = msgspec.structs.replace(blank, severity="warning", page=True, reach="page", **change)
        self.open = opened(blank, name, text)
        return self.open

    def due(self, reached: int | None) -> bool:
        """Whether event time has gone on since rows far behind were told."""
        return (
            self.open is not None and self.closes_ms is not None and reached is not None and reached >= self.closes_ms
        )

    def close(self, blank: Alert, why: str) -> list[Alert]:
        """Close the open incident, and begin to count anew."""
        last, self.open, self.closes_ms = self.open, None, None
        self.leaps, self.rows = [], 0
        if last is None:
            return []
        return [told(last, msgspec.structs.replace(blank, severity=last.severity), "close", why)]

    def restart(self, ts: int, why: str) -> list[Alert]:
        """Close the open incident at an event time, for a reason that is no window's."""
        blank = None if self.open is None else msgspec.structs.replace(self.open, ts=ts, page=False, reach="list")
        return [] if blank is None else self.close(blank, why)
