"""Flow: whether rows come as they always have. Too few, too many, or none at all is a matter of quality.

What is usual is learnt, and nothing is said before a stream has been steady for a day of one-minute windows: no window
missing. A silence then is critical and pages at once; it spends no budget, for a stream that has had rows in 1,440
windows running does not fall silent by chance. Rows outside three times the usual range are a watch.
"""

from collections.abc import Callable

import msgspec

from drift.incidents.alert_ids import next_id
from streams.wire.records import MINUTE_MS, Alert, IncidentEvent

#: Windows without a gap that make a stream steady; so many outside the usual range become what is usual.
STEADY_WINDOWS = 1_440
#: Rows a minute are out of the ordinary beyond so many times the most, or below that part of the fewest, so far.
FACTOR = 3.0
#: Windows inside the usual range that close an incident.
CALM_WINDOWS = 3


class Flow(msgspec.Struct, kw_only=True, eq=False):
    """The flow of a model version's rows.

    Parameters
    ----------
    windows, until
        Windows running without a gap, and the end of the last, ms.
    fewest, most
        Rows a minute, over those windows.
    outside, inside
        Windows running outside and inside the usual range while an incident is open.
    open
        The latest alert of the open incident.
    told
        Rows a minute, as they were told last.
    """

    windows: int = 0
    until: int | None = None
    fewest: float = 0.0
    most: float = 0.0
    outside: int = 0
    inside: int = 0
    open: Alert | None = None
    told: float = 0.0

    def take(self, blank: Alert, rows: int, name: Callable[[], str], opens: bool, since: str = "") -> list[Alert]:
        """Take a window; returns what is to be told.

        Parameters
        ----------
        blank
            An alert of this window that says nothing yet.
        rows
            Its rows.
        name
            Names the next incident.
        opens
            Whether the version serves, and may open one.
        since
            The window's start, in words.
        """
        start, end = blank.window_start, blank.window_end
        told: list[Alert] = []
        if self.until is not None and start > self.until:
            gap = f"rows come again, after {(start - self.until) / MINUTE_MS:,.0f} minutes without any"
            told = self.close(blank, gap)
            self.windows = 0
        pace = rows * MINUTE_MS / (end - start)
        self.until = end
        low, high = self.fewest / FACTOR, self.most * FACTOR
        if self.windows < STEADY_WINDOWS or low <= pace <= high:
            return told + self._calm(blank, pace)
        self.outside, self.inside = self.outside + 1, 0
        if self.outside >= STEADY_WINDOWS:
            self.windows = 0
            return told + self.close(blank, "the new volume has become the usual one")
        if not opens or (self.open is not None and not self._further(pace, low)):
            return told
        few, when = "few" if pace < low else "many", f" since {since}" if since else ""
        text = f"too {few} rows{when}: {pace:,.0f} a minute, where {self._usual()} are usual"
        blank = msgspec.structs.replace(blank, reach="page")
        self.told = pace
        if self.open is None:
            return [*told, self._open(blank, name(), text)]
        return [*told, self._tell(msgspec.structs.replace(blank, worse=True), "update", text)]

    def _usual(self) -> str:
        low, high = f"{self.fewest:,.0f}", f"{self.most:,.0f}"
        return low if low == high else f"{low} to {high}"

    def _further(self, pace: float, low: float) -> bool:
        """Whether a pace outside the usual range is as far again from what was told, or on the other side."""
        if not self.told:  # A snapshot from before it was kept.
            self.told = pace
        if pace < low:
            return self.told >= low or pace * FACTOR < self.told
        return self.told < low or pace > FACTOR * self.told

    def silence(self, blank: Alert, since: str, name: Callable[[], str]) -> list[Alert]:
        """Take a silence: all sources are asleep; returns what is to be told."""
        if self.windows < STEADY_WINDOWS or (self.open is not None and self.open.severity == "critical"):
            return []
        text = f"no rows since {since}: all sources are silent"
        blank = msgspec.structs.replace(blank, severity="critical", page=True, reach="page")
        if self.open is None:
            return [self._open(blank, name(), text)]
        return [self._tell(blank, "update", text)]

    def close(self, blank: Alert, why: str) -> list[Alert]:
        """Close the open incident."""
        if self.open is None:
            return []
        told = self._tell(
            msgspec.structs.replace(blank, severity=self.open.severity, page=False, reach="chat"), "close", why
        )
        self.open, self.outside, self.inside = None, 0, 0
        return [told]

    def restart(self, ts: int, why: str) -> list[Alert]:
        """Forget what was usual, at an event time, for a reason that is no window's; an open incident closes."""
        told = self.close(msgspec.structs.replace(self.open, ts=ts, page=False), why) if self.open else []
        self.windows = 0
        return told

    def _calm(self, blank: Alert, pace: float) -> list[Alert]:
        self.fewest = min(self.fewest, pace) if self.windows else pace
        self.most = max(self.most, pace) if self.windows else pace
        self.windows += 1
        self.inside += 1
        self.outside = 0
        if self.open is None or self.inside < CALM_WINDOWS:
            return []
        return self.close(blank, f"as many rows as usual come again: {pace:,.0f} a minute")

    def _open(self, blank: Alert, incident: str, text: str) -> Alert:
        self.open = opened(blank, incident, text)
        return self.open

    def _tell(self, blank: Alert, event: IncidentEvent, text: str) -> Alert:
        assert self.open is not None
        self.open = told(self.open, blank, event, text)
        return self.open


def opened(blank: Alert, incident: str, text: str) -> Alert:
    """Open an incident with the first alert of its life."""
    return msgspec.structs.replace(blank, id=f"{incident}/1", incident=incident, event="open", text=text)


def told(last: Alert, blank: Alert, event: IncidentEvent, text: str) -> Alert:
    """Tell what comes after the last alert of an incident."""
    return msgspec.structs.replace(
        blank,
        id=next_id(last),
        incident=last.incident,
        event=event,
        change_point=last.change_point,
        change_point_low=last.change_point_low,
        change_point_high=last.change_point_high,
        text=text,
    )
