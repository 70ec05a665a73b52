"""Tables in: pandas, Arrow, or the path of a Parquet or CSV file."""

from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from drift.columns import ColumnError, arrow

Frame = Any  # pandas.DataFrame | pyarrow.Table | pyarrow.RecordBatch | str | Path

_CSV = (".csv", ".gz", ".txt")


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
    _refuse_twice(table.column_names)
    return table


def _refuse_twice(names: list[str]) -> None:
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise FrameError(f"column {twice[0]!r} stands twice in the table; rename one")


class Columns(Protocol):
    """A table of which one column at a time is wanted; an Arrow table is one."""

    @property
    def column_names(self) -> list[str]: ...
    @property
    def num_rows(self) -> int: ...
    def column(self, name: str) -> pa.ChunkedArray:
        """Read one column."""
        ...


class ParquetColumns:
    """Parquet files, in the order of their names, as one table that is read a column at a time.

    A table of a thousand columns so needs the memory of one. The files have the same columns.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [pq.ParquetFile(path) for path in paths]
        self.column_names: list[str] = self._files[0].schema_arrow.names
        self.num_rows: int = sum(file.metadata.num_rows for file in self._files)
        for path, file in zip(paths, self._files, strict=True):
            if not file.schema_arrow.equals(self._files[0].schema_arrow):
                raise FrameError(f"{path}: its columns are not those of {paths[0]}; write the files alike")

    def column(self, name: str) -> pa.ChunkedArray:
        """Read one column of all files."""
        return pa.chunked_array(
            [chunk for file in self._files for chunk in file.read([name]).column(name).chunks],
            self._files[0].schema_arrow.field(name).type,
        )


def scan(frame: Frame) -> Columns:
    """Read a table column by column where it is a Parquet file or a folder of them, else as `read` does.

    Raises
    ------
    FrameError
        As `read`; or the files of a folder differ.
    """
    table: Columns
    if hasattr(frame, "profile") and hasattr(frame, "num_rows"):  # A table that answers where its rows are.
        table = frame
        return table
    if not isinstance(frame, str | Path):
        table = read(frame)
        return table
    path = Path(frame)
    paths = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if path.is_dir() and not paths:
        raise FrameError(f"{path}: no *.parquet in this folder; give a folder of Parquet files")
    if not path.exists() or paths[0].suffix.lower() in _CSV:
        table = read(path)
        return table
    try:
        table = ParquetColumns(paths)
    except pa.ArrowInvalid as error:
        raise FrameError(f"{path}: neither Parquet nor CSV ({error}); convert it") from error
    _refuse_twice(table.column_names)
    return table


def _table(frame: Frame) -> pa.Table:
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if isinstance(frame, str | Path):
        return _file(Path(frame))
    if hasattr(frame, "columns") and hasattr(frame, "items"):
        named = [(str(name), values) for name, values in frame.items()]
        return pa.Table.from_arrays([_column(*one) for one in named], names=[name for name, _ in named])
    raise FrameError(f"a pandas DataFrame, an Arrow table or a path expected, got {type(frame).__name__}")


def _column(name: str, values: Any) -> pa.Array:
    try:
        return arrow(values)
    except ColumnError as error:
        raise FrameError(f"{name!r}: {error}") from error


def _file(path: Path) -> pa.Table:
    if not path.is_file():
        raise FrameError(f"{path}: no such file; give the path of a Parquet or CSV file")
    try:
        if path.suffix.lower() in _CSV:
            from pyarrow import csv

            return csv.read_csv(path)
        return pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise FrameError(f"{path}: neither Parquet nor CSV ({error}); convert it") from error


def require(table: Columns, names: Iterable[str], what: str) -> None:
    """Refuse a table that lacks columns.

    Raises
    ------
    FrameError
        Names what is missing, and the nearest name that is there.
    """
    known = set(table.column_names)
    missing = [name for name in names if name not in known]
    if not missing:
        return
    near = get_close_matches(missing[0], table.column_names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(map(repr, table.column_names[:12]))}"
    raise FrameError(f"{what} lacks the column {', '.join(map(repr, missing))}{hint}")
