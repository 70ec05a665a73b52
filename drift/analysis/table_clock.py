"""Event time of a table's rows: its own, or a minute for every so many rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from drift.cells import frames
from drift.cells.event_times import milliseconds
from drift.cells.frames import FrameError
from drift.counting.calendar import calendar
from drift.incidents import rfc3339
from streams.wire.records import DAY_MS, MINUTE_MS, Watch


@dataclass(frozen=True, eq=False)
class TableClock:
    """The order of a table's rows in time, and their windows.

    Parameters
    ----------
    order
        The rows in order of time, int64 [rows].
    times
        Their event times in that order, int64 ms [rows].
    window_ms, timezone
        Length of a window, and the zone by whose calendar it begins.
    by_rows
        Times were made up: a minute for so many rows.
    """

    order: np.ndarray
    times: np.ndarray
    window_ms: int = MINUTE_MS
    timezone: str = "UTC"
    by_rows: bool = False

    @classmethod
    def of_rows(cls, rows: int, rows_per_window: int) -> "TableClock":
        """Make a minute of every so many rows."""
        if rows_per_window < 1:
            raise FrameError(f"rows_per_window must be at least 1, got {rows_per_window}")
        order = np.arange(rows)
        return cls(order, order // rows_per_window * MINUTE_MS, by_rows=True)

    @classmethod
    def of_times(cls, table: pa.Table, time: str, window: str | None, timezone: str) -> "TableClock":
        """Read the times of a column.

        Parameters
        ----------
        table
            The rows.
        time
            Column of their event times.
        window
            Length of a window as pandas spells it; None is a minute.
        timezone
            Zone by whose calendar windows begin.

        Raises
        ------
        FrameError
            There is no such column, it holds no times, or there are no such windows.
        """
        frames.require(table, (time,), "the stream")
        length = _length_ms(window or "1min", timezone)
        stamps = milliseconds(table.column(time), time)
        order = np.argsort(stamps, kind="stable")
        return cls(order, stamps[order], length, timezone)

    @property
    def ordered(self) -> bool:
        """Whether the rows stand in order of time."""
        return bool((self.order[1:] > self.order[:-1]).all())

    def window_starts(self) -> np.ndarray:
        """Start of each row's window, in order of time, int64 ms [rows]."""
        return calendar(self.window_ms, self.timezone).spans(self.times)[0]

    def rows(self, start: int, end: int) -> np.ndarray:
        """Rows whose time lies in an interval."""
        first, last = np.searchsorted(self.times, (start, end))
        return self.order[first:last]

    def name(self, start: int) -> Any:
        """Name a window by its start."""
        return start // MINUTE_MS if self.by_rows else pd.Timestamp(start, unit="ms", tz=self.timezone)

    def first_row(self, start: int) -> int:
        """Place in the table of the first row at or after a time."""
        at = min(int(np.searchsorted(self.times, start)), len(self.order) - 1)
        return int(self.order[at])

    def say(self, ms: int) -> str:
        """Spell a time in texts: by its row where times are made up."""
        if not self.by_rows:
            return rfc3339(ms)
        row = self.first_row(ms)
        return f"row {row:,}" if row else "the first row"


def _length_ms(window: str, timezone: str) -> int:
    """A window's length as pandas spells it, whole weeks too."""
    try:
        length = int(pd.Timedelta(window) // pd.Timedelta(1, "ms"))
    except ValueError as error:
        raise FrameError(f"window={window!r} is no length of time; write 15min, 1h, 1D or 7D") from error
    if length < MINUTE_MS or length % MINUTE_MS:
        raise FrameError(f"window={window!r} is no multiple of a minute")
    try:
        Watch(window_ms=length, timezone=timezone)
    except ValueError as error:
        named = str(error).replace(f"window_ms is {length}", f"window={window!r}").replace(f" ({DAY_MS})", "")
        raise FrameError(named) from error
    return length
