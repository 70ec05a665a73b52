"""Rows far behind: their windows were closed long before, so no report and no incident takes them up.

It is told at once, not when windows close, for none may close any more: a dozen requests without a time among a
stream of the past take Kafka's, and everything after them is late. The alert names the largest leap of event time
that was seen. It spends no budget, for rows do not come a day too late by chance, and it closes when event time has
gone on; should more come then, it is told again.
"""

import msgspec

from drift.counting.event_clock import far_ms
from drift.incidents.book import Finding
from drift.incidents.text import text, time
from streams.wire.records import Alert, Leap, Watch

#: So many rows far behind are told; fewer may be what a client had kept back.
ROWS_MIN = 100
#: Leaps that are remembered, the largest.
LEAPS_MAX = 8


_ADVICE = (
    ": their windows are closed, so they are answered and not monitored; a likely cause is requests without `ts` among "
    "older ones, for they take the time of their arrival; `driftline produce --backfill` sends rows of the past"
)


class Behind(msgspec.Struct, kw_only=True, eq=False):
    """What is remembered of one model version.

    Parameters
    ----------
    leaps
        The largest leaps of event time so far.
    rows
        Rows far behind that came since it was told last that there are none.
    last, closes_ms
        The latest alert of the open incident, and the event time that closes it.
    """

    leaps: list[Leap] = []
    rows: int = 0
    last: Alert | None = msgspec.field(default=None, name="open")
    closes_ms: int | None = None

    def observe(self, leaps: list[Leap], rows: int) -> bool:
        """Take the leaps and the rows far behind of a block; returns whether they are to be told."""
        if leaps:
            known = sorted({*self.leaps, *leaps}, key=lambda leap: (leap.start_ms - leap.end_ms, leap))
            self.leaps = known[:LEAPS_MAX]
        self.rows += rows
        return self.last is None and self.rows >= ROWS_MIN

    def opening(self, watch: Watch, reached: int) -> Finding:
        """Open the incident, at the event time (ms) that the stream has reached."""
        self.closes_ms = reached + far_ms(watch)
        began = reached
        sentence = text(f"{ROWS_MIN} rows or more are far older than the newest, which are of ", time(reached))
        if self.leaps:
            leap = self.leaps[0]
            began = leap.start_ms
            sentence = text(
                "event times leapt from ",
                time(leap.start_ms),
                " to ",
                time(leap.end_ms),
                f", and since then {ROWS_MIN} rows or more that are far older have come",
            )
        change = began, began, began
        return Finding(
            event="open", severity="warning", page=True, reach="page", change=change, text=text(sentence, _ADVICE)
        )

    def due(self, reached: int | None) -> bool:
        """Whether event time has gone on since rows far behind were told."""
        return (
            self.last is not None and self.closes_ms is not None and reached is not None and reached >= self.closes_ms
        )

    def closing(self) -> Finding:
        """End the open incident: event time has gone on."""
        assert self.last is not None
        return Finding(event="close", severity=self.last.severity, text=text("event time has gone on from there"))

    def forget(self) -> None:
        """Count anew."""
        self.closes_ms, self.leaps, self.rows = None, [], 0
