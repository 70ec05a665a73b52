"""Lateness: whether a row, or a request that was refused, came after its window had closed, in offset order."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from drift.counting.calendar import calendar_of
from streams.wire.observation import RefusedRequest
from streams.wire.records import DAY_MS, MINUTE_MS, Leap, RefusedCount, Watch

_NEVER = -(2**62)
#: Leaps that are named of one block, the largest.
_LEAPS_MAX = 8


def far_ms(watch: Watch) -> int:
    """How much of event time is far: more than stragglers lie behind, or a stream goes on between two rows."""
    return max(DAY_MS, 3 * watch.window_ms)


class EventClock:
    """The running maximum of event time of a version in a source partition.

    Parameters
    ----------
    reached
        Where it stands, ms; None before the first row.
    watch
        Length of a window, and its lateness.

    Attributes
    ----------
    leaps, behind
        Leaps of the maximum by far more than a window, and rows that lay so far behind it; see `far_ms`.

    >>> clock = EventClock(None, Watch())
    >>> clock.observe(np.array([5_000, 120_000, 6_000]), np.arange(3))[0].tolist(), clock.reached
    ([False, False, True], 120000)
    """

    def __init__(self, reached: int | None, watch: Watch) -> None:
        self._reached = _NEVER if reached is None else reached
        self._watch = watch
        self._calendar = calendar_of(watch)
        self.leaps: list[Leap] = []
        self.behind = 0

    @property
    def reached(self) -> int | None:
        """Where it stands, ms; None before the first row."""
        return None if self._reached == _NEVER else self._reached

    def observe(
        self, times: np.ndarray, offsets: np.ndarray, refused: Sequence[RefusedRequest] = ()
    ) -> tuple[np.ndarray, list[RefusedCount]]:
        """Take rows, and requests that were refused among them, in order of their offsets, int64 [rows]. Returns which
        rows are late, bool [rows], by the maximum before each, and how many of the others came in time.

        A request without a time of its own came when Kafka had it, where that is no further ahead than lateness allows
        (a row cannot become late by that); else, as in a stretch of the past that is sent again, where the rows are.

        Parameters
        ----------
        times
            Event times, int64 [rows], ms.
        offsets
            Offsets of the rows' records, int64 [rows], ascending.
        refused
            Refused requests, in order of their offsets.
        """
        late = np.zeros(len(times), bool)
        timely: list[tuple[int, str, str, str]] = []
        first = 0
        for request, stop in zip(
            refused, np.searchsorted(offsets, [request.offset for request in refused], "right"), strict=True
        ):
            late[first:stop] = self._late(times[first:stop])
            first, before, ts = stop, self._reached, request.ts
            if not request.dated and before != _NEVER:
                ts = ts if ts <= before + self._watch.lateness_ms_max else before
            if request.dated or before != _NEVER:
                self._reach(np.array([before]), np.array([ts]))
                self._reached = max(before, ts)
            if self._closed_at(np.array([ts]))[0] > before:
                timely.append((ts // MINUTE_MS * MINUTE_MS, request.reason, request.column, request.got))
        late[first:] = self._late(times[first:])
        return late, list(_counts(timely))

    def _late(self, times: np.ndarray) -> np.ndarray:
        running = np.maximum.accumulate(np.concatenate([[self._reached], times]))
        self._reached = int(running[-1])
        self._reach(running[:-1], times)
        late: np.ndarray = self._closed_at(times) <= running[:-1]
        return late

    def _reach(self, before: np.ndarray, times: np.ndarray) -> None:
        """Note leaps and what is far behind, by the maximum before each time."""
        far, known = far_ms(self._watch), before != _NEVER
        self.behind += int((known & (before - times > far)).sum())
        leaps = [Leap(int(before[at]), int(times[at])) for at in np.flatnonzero(known & (times - before > far))]
        if leaps:
            self.leaps = sorted([*self.leaps, *leaps], key=lambda leap: leap.start_ms - leap.end_ms)[:_LEAPS_MAX]

    def _closed_at(self, times: np.ndarray) -> np.ndarray:
        """When the windows of some times are closed, int64 [times]."""
        _, ends = self._calendar.spans(times)
        return ends + self._watch.lateness_ms_max


def _counts(timely: Iterable[tuple[int, str, str, str]]) -> Iterable[RefusedCount]:
    return (RefusedCount(*name, many) for name, many in sorted(Counter(timely).items()))
