"""Tables in, as `streams.tables` reads them: pandas, Arrow, or the path of a Parquet or CSV file."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from streams.tables import ParquetColumns, TableError, read, scan
from streams.tables import Table as Columns
from streams.tables.read import unreadable

__all__ = ["Columns", "Frame", "FrameError", "ParquetColumns", "read", "require", "scan"]

Frame = Any  # pandas.DataFrame | pyarrow.Table | pyarrow.RecordBatch | str | Path

#: A table that cannot be used as asked; the text names the column and the remedy.
FrameError = TableError


def require(table: Columns, names: Iterable[str], what: str) -> None:
    """Refuse a table that lacks columns, or in which they cannot be read.

    Parameters
    ----------
    what
        What the table is called in the error, such as "the reference data".

    Raises
    ------
    FrameError
        Names what is missing, and the nearest name that is there.
    """
    names, known = list(names), set(table.column_names)
    missing = [name for name in names if name not in known]
    if missing:
        near = get_close_matches(missing[0], table.column_names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(map(repr, table.column_names[:12]))}"
        raise FrameError(f"{what} lacks the column {', '.join(map(repr, missing))}{hint}")
    odd = unreadable(table)
    if bad := next((name for name in names if name in odd), None):
        raise FrameError(f"{bad!r}: {odd[bad]}")
