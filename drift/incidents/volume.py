"""Volume: whether rows come as they always have. Too few, too many, or none at all is a matter of quality.

What is usual is learnt, and nothing is told before a stream has been steady for a day of one-minute windows: no window
missing. A silence then is critical and pages at once; it spends no budget, for a stream that has had rows in 1,440
windows running does not fall silent by chance. Rows outside three times the usual range are a watch.
"""

import msgspec

from drift.incidents.book import Finding
from drift.incidents.closed_window import ClosedWindow
from drift.incidents.text import Text, since, text
from streams.wire.records import MINUTE_MS, Alert

#: Windows without a gap that make a stream steady; so many outside the usual range become what is usual.
STEADY_WINDOWS = 1_440
#: Rows a minute are out of the ordinary beyond so many times the most, or below that part of the fewest, so far.
FACTOR = 3.0
#: Windows inside the usual range that close an incident.
CALM_WINDOWS = 3


class Volume(msgspec.Struct, kw_only=True, eq=False):
    """The volume of a model version's rows.

    Parameters
    ----------
    windows, until
        Windows running without a gap, and the end of the last, ms.
    fewest, most
        Rows a minute, over those windows.
    outside, inside
        Windows running outside and inside the usual range while an incident is open.
    last
        The latest alert of the open incident.
    reported
        Rows a minute, as they were told last.
    """

    windows: int = 0
    until: int | None = None
    fewest: float = 0.0
    most: float = 0.0
    outside: int = 0
    inside: int = 0
    last: Alert | None = msgspec.field(default=None, name="open")
    reported: float = msgspec.field(default=0.0, name="told")

    def observe(self, window: ClosedWindow, rows: int) -> Finding | None:
        """Take the rows of a window."""
        if self.until is not None and window.start > self.until:
            minutes = (window.start - self.until) / MINUTE_MS
            closing = self._closing(text(f"rows come again, after {minutes:,.0f} minutes without any"))
            self.windows, self.until = 0, window.end
            self._learn(self._pace(window, rows))
            return closing
        self.until = window.end
        pace = self._pace(window, rows)
        low, high = self.fewest / FACTOR, self.most * FACTOR
        if self.windows < STEADY_WINDOWS or low <= pace <= high:
            self._learn(pace)
            calm = self.inside >= CALM_WINDOWS
            return self._closing(text(f"as many rows as usual come again: {pace:,.0f} a minute")) if calm else None
        self.outside, self.inside = self.outside + 1, 0
        if self.outside >= STEADY_WINDOWS:
            self.windows = 0
            return self._closing(text("the new volume has become the usual one"))
        if not window.context.opens or (self.last is not None and not self._further(pace, low)):
            return None
        return self._unusual(window, pace, "few" if pace < low else "many")

    def silence(self, since_ms: int) -> Finding | None:
        """All sources have been asleep since an event time."""
        if self.windows < STEADY_WINDOWS or (self.last is not None and self.last.severity == "critical"):
            return None
        return Finding(
            event="open" if self.last is None else "update",
            severity="critical",
            page=True,
            reach="page",
            text=text("no rows", since(since_ms), ": all sources are silent"),
        )

    def forget(self) -> None:
        """Learn anew what is usual; call it before an open incident is closed."""
        self.windows = 0
        if self.last is not None:
            self.outside = self.inside = 0

    def _pace(self, window: ClosedWindow, rows: int) -> float:
        return rows * MINUTE_MS / (window.end - window.start)

    def _unusual(self, window: ClosedWindow, pace: float, few: str) -> Finding:
        self.reported = pace
        low, high = f"{self.fewest:,.0f}", f"{self.most:,.0f}"
        usual = low if low == high else f"{low} to {high}"
        return Finding(
            event="open" if self.last is None else "update",
            reach="page",
            worse=self.last is not None,
            text=text(f"too {few} rows", since(window.start), f": {pace:,.0f} a minute, where {usual} are usual"),
        )

    def _further(self, pace: float, low: float) -> bool:
        """Whether a pace outside the usual range is as far again from what was told, or on the other side."""
        if not self.reported:  # A snapshot from before it was kept.
            self.reported = pace
        if pace < low:
            return self.reported >= low or pace * FACTOR < self.reported
        return self.reported < low or pace > FACTOR * self.reported

    def _learn(self, pace: float) -> None:
        self.fewest = min(self.fewest, pace) if self.windows else pace
        self.most = max(self.most, pace) if self.windows else pace
        self.windows += 1
        self.inside += 1
        self.outside = 0

    def _closing(self, why: Text) -> Finding | None:
        """End the open incident, if there is one."""
        if self.last is None:
            return None
        self.outside = self.inside = 0
        return Finding(event="close", severity=self.last.severity, reach="chat", text=why)
