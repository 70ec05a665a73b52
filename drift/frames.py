"""Tables in: pandas, Arrow, or the path of a Parquet or CSV file."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from drift.columns import arrow

Frame = Any  # pandas.DataFrame | pyarrow.Table | pyarrow.RecordBatch | str | Path


class FrameError(ValueError):
    """A table that cannot be used as asked; the text names the column and the remedy."""


def read(frame: Frame) -> pa.Table:
    """Read a table.

    Raises
    ------
    FrameError
        No table, no such file, or two columns of one name.

    >>> import pandas as pd
    >>> read(pd.DataFrame({"age": [31, 45]})).column_names
    ['age']
    """
    table = _table(frame)
    names = table.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FrameError(f"column {twice[0]!r} stands twice in the table; rename one")
    return table


def _table(frame: Frame) -> pa.Table:
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if isinstance(frame, str | Path):
        return _file(Path(frame))
    if hasattr(frame, "columns") and hasattr(frame, "items"):
        items = list(frame.items())
        return pa.Table.from_arrays([arrow(series) for _, series in items], names=[str(name) for name, _ in items])
    raise FrameError(f"a pandas DataFrame, an Arrow table or a path expected, got {type(frame).__name__}")


def _file(path: Path) -> pa.Table:
    if not path.is_file():
        raise FrameError(f"{path}: no such file; give the path of a Parquet or CSV file")
    try:
        if path.suffix.lower() in (".csv", ".gz", ".txt"):
            from pyarrow import csv

            return csv.read_csv(path)
        return pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise FrameError(f"{path}: neither Parquet nor CSV ({error}); convert it") from error


def require(table: pa.Table, names: Iterable[str], what: str) -> None:
    """Refuse a table that lacks columns.

    Raises
    ------
    FrameError
        Names what is missing, and the nearest name that is there.
    """
    missing = [name for name in names if name not in table.column_names]
    if not missing:
        return
    near = get_close_matches(missing[0], table.column_names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(map(repr, table.column_names[:12]))}"
    raise FrameError(f"{what} lacks the column {', '.join(map(repr, missing))}{hint}")
