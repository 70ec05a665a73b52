"""Where windows begin and end: in UTC, or by the calendar of a time zone.

======================  ============================================================================================
length                  windows
======================  ============================================================================================
up to an hour           counted on from midnight of the zone, so that an hour that the clock shows twice is two
a part of a day         between those wall-clock times; one that a clock change falls into is longer or shorter
days                    from midnight to midnight, 23 or 25 hours long where the clock changes
weeks                   from Monday
======================  ============================================================================================

All begin on whole minutes. In UTC every length of whole minutes is allowed, counted on from 1970.

>>> berlin = calendar(86_400_000, "Europe/Berlin")
>>> start, end = berlin.span(1_711_846_800_000)  # 2024-03-31 01:00 UTC: the clock is put forward
>>> (end - start) / 3_600_000
23.0
"""

import datetime as dt
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from streams.wire.records import DAY_MS, HOUR_MS, MINUTE_MS, Watch

_WEEK_MS = 7 * DAY_MS
_MONDAY_MS = -3 * DAY_MS  # 1969-12-29
_EPOCH = dt.date(1970, 1, 1)
#: Years outside of these have no calendar but UTC's: a time from there is a fault.
_FIRST_YEAR, _LAST_YEAR = 1900, 2200


class WindowCalendar:
    """Windows of a length in a time zone; made by `calendar`."""

    def __init__(self, window_ms: int, timezone: str) -> None:
        self.window_ms = window_ms
        self._zone = None if timezone == "UTC" else ZoneInfo(timezone)
        self._origin_ms = _MONDAY_MS if window_ms % _WEEK_MS == 0 else 0
        self._bounds: dict[int, np.ndarray] = {}

    def span(self, ms: int) -> tuple[int, int]:
        """Start and end of the window that a time lies in, ms."""
        if self._zone is None:
            plain = (ms - self._origin_ms) // self.window_ms * self.window_ms + self._origin_ms
            return plain, plain + self.window_ms
        start, end = self.spans(np.array([ms], np.int64))
        return int(start[0]), int(end[0])

    def spans(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Starts and ends of the windows that times lie in, int64 [times] each."""
        starts = (times - self._origin_ms) // self.window_ms * self.window_ms + self._origin_ms
        ends = starts + self.window_ms
        if self._zone is None or not len(times):
            return starts, ends
        years = times.astype("datetime64[ms]").astype("datetime64[Y]").astype(np.int64) + 1970
        for year in np.unique(years[(years >= _FIRST_YEAR) & (years <= _LAST_YEAR)]).tolist():
            rows = years == year
            starts[rows], ends[rows] = self._in_zone(year, times[rows])
        return starts, ends

    def _in_zone(self, year: int, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        bounds = self._bounds.get(year)
        if bounds is None:
            bounds = self._bounds[year] = self._of_year(year)
        at = np.searchsorted(bounds, times, side="right")
        first, next_ = bounds[at - 1], bounds[at]
        if self.window_ms > HOUR_MS:
            return first, next_
        starts = first + (times - first) // self.window_ms * self.window_ms
        return starts, np.minimum(starts + self.window_ms, next_)

    def _of_year(self, year: int) -> np.ndarray:
        """Bounds of all windows (of days, for the shortest ones) that reach into a year of UTC, int64 ms, ascending."""
        days = max(1, self.window_ms // DAY_MS)
        pad = dt.timedelta(days=days + 1)
        first, last = dt.date(year, 1, 1) - pad, dt.date(year + 1, 1, 1) + pad
        origin = _EPOCH + dt.timedelta(milliseconds=self._origin_ms)
        ahead = -(first - origin).days % days
        step = self.window_ms if HOUR_MS < self.window_ms < DAY_MS else DAY_MS
        bounds: set[int] = set()
        for n in range(ahead, (last - first).days + 1, days):
            midnight = dt.datetime.combine(first + dt.timedelta(days=n), dt.time())
            for offset in range(0, DAY_MS, step):
                bounds.add(self._utc_ms(midnight + dt.timedelta(milliseconds=offset)))
        return np.array(sorted(bounds), np.int64)

    def _utc_ms(self, wall: dt.datetime) -> int:
        """A wall-clock time as whole minutes of UTC; the first of two, and the jump where the clock leaves it out."""
        seconds = int(wall.replace(tzinfo=self._zone).timestamp())
        return seconds * 1000 // MINUTE_MS * MINUTE_MS


@lru_cache(maxsize=64)
def calendar(window_ms: int, timezone: str) -> WindowCalendar:
    """Windows of a length in a time zone."""
    return WindowCalendar(window_ms, timezone)


def calendar_of(watch: Watch) -> WindowCalendar:
    """Windows as a model is watched."""
    return calendar(watch.window_ms, watch.timezone)
