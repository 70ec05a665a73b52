"""The order of a training table's rows: that of time, that of the file, or unknown.

How much neighbouring rows have in common, and how blocks of time differ, is read off the rows in their order. Rows
that were mixed look independent, and every hour of a stream with a daily cycle would then be an alarm.
"""

from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from drift.cells import frames
from drift.cells.event_times import milliseconds
from drift.cells.frames import Columns, FrameError
from drift.cells.profile import Order

#: Where the order is unknown, so many windows of the stream show how much windows differ.
LEARNING_WINDOWS = 30
_MIXING_SEED = 0


class OrderedRows(NamedTuple):
    """A table whose rows stand in the order that is known, what that order is, and a note on it if there is a need."""

    table: Columns
    order: Order
    note: str


class Reordered:
    """A table with its rows in another order, a column at a time."""

    def __init__(self, table: Columns, order: np.ndarray) -> None:
        self._table = table
        self._order = pa.array(order)
        self.column_names = table.column_names
        self.num_rows = table.num_rows
        self.schema: Any = getattr(table, "schema", None)

    def column(self, name: str) -> pa.ChunkedArray:
        """Read one column, in the new order."""
        reordered: pa.ChunkedArray = self._table.column(name).take(self._order)
        return reordered


def ordered_rows(table: Columns, time: str | None, order: Order | None) -> OrderedRows:
    """Put the rows of a training table into the order of time, if it is known.

    Parameters
    ----------
    time
        Column of event times that orders the rows.
    order
        ``"file"`` takes the rows as they stand, whatever times are beside them; ``"unknown"`` says that they were
        mixed. None finds out: a column of times that ascends shows that the rows are in order, one that does not that
        they are mixed; without such a column they are taken as they stand.

    Raises
    ------
    FrameError
        No such column, a row without a time, or ``time`` beside an ``order`` that contradicts it.

    >>> table = pa.table({"ts": pa.array([2, 1], pa.timestamp("s")), "x": [20, 10]})
    >>> ordered_rows(table, "ts", None).table.column("x").to_pylist()
    [10, 20]
    >>> ordered_rows(table, None, None).order
    'unknown'
    """
    if time is not None:
        if order not in (None, "time"):
            raise FrameError(f"time={time!r} and order={order!r} contradict each other; give one of them")
        frames.require(table, (time,), "the table")
        return OrderedRows(_by_time(table, time), "time", f"rows are taken in the order of {time!r}")
    if order == "time":
        raise FrameError("order='time' needs time=, the column of event times")
    if order is None:
        order, note = _order_by_times(table)
    else:
        note = "the order of the rows is unknown" + _LEARNT if order == "unknown" else ""
    return OrderedRows(_mixed(table) if order == "unknown" else table, order, note)


_LEARNT = (
    f": how much windows differ is learnt from the first {LEARNING_WINDOWS} windows of a stream, and no column opens "
    "an incident before that"
)


def _order_by_times(table: Columns) -> tuple[Order, str]:
    """Tell the order by the columns of times that are there."""
    if hasattr(table, "sorted_by"):  # A table in a store was ordered by columns that somebody named.
        return "file", ""
    times = [name for name in table.column_names if _holds_times(table, name)]
    if not times:
        return "file", ""
    for name in times:
        if _ascends(table.column(name)):
            return "time", f"the rows stand in the order of {name!r}"
    return "unknown", (
        f"{times[0]!r} does not ascend: the rows look mixed, and how hours and days differ cannot be read off them; "
        f"pass time={times[0]!r} (--time {times[0]}) if it is the time of the rows, or order='file' if they stand in "
        "order all the same. Otherwise" + _LEARNT.removeprefix(":")
    )


def _holds_times(table: Columns, name: str) -> bool:
    schema: Any = getattr(table, "schema", None)
    kind = schema.field(name).type if schema is not None else table.column(name).type
    return bool(pt.is_timestamp(kind) or pt.is_date(kind))


def _ascends(column: pa.ChunkedArray) -> bool:
    """Whether times never fall; rows without one tell nothing."""
    stamps = pc.drop_null(column).cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
    microseconds = stamps.cast(pa.int64()).to_numpy()
    return len(microseconds) > 1 and bool((np.diff(microseconds) >= 0).all())


def _by_time(table: Columns, time: str) -> Columns:
    if hasattr(table, "sorted_by"):
        return cast(Columns, table.sorted_by(time))
    stamps = milliseconds(table.column(time), time)
    if (np.diff(stamps) >= 0).all():
        return table
    return Reordered(table, np.argsort(stamps, kind="stable"))


def _mixed(table: Columns) -> Columns:
    """Mix rows once more: neighbours in a file whose order says nothing would else count as neighbours in time."""
    if hasattr(table, "sorted_by"):
        raise FrameError(f"{table}: rows of a store are ordered by columns; name those that say when they came")
    return Reordered(table, np.random.default_rng(_MIXING_SEED).permutation(table.num_rows))
