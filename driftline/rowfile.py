"""Rows of a file, a batch at a time: Parquet, CSV or JSON lines, with values as JSON has them.

Integers stay integers, times become RFC 3339 in UTC (naive ones are UTC), NaN becomes null. What JSON cannot say is
refused with the column's name: before the first row where the file has a schema, else where it comes.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

BATCH_ROWS_MAX = 2_000
BATCH_VALUES_MAX = 200_000

Row = dict[str, Any]


class RowFileError(ValueError):
    """A file that cannot be read as rows; the text names file, column and remedy."""


class RowFile:
    """A file of rows, by its ending: ``.parquet``, ``.csv`` or ``.jsonl``.

    Parameters
    ----------
    path
        The file.
    take
        Names of the columns to read; None for all.
    leave
        Names of columns not to read.

    Attributes
    ----------
    columns
        Names of what is read; for JSON lines those of the first row, and later rows may have others.
    total
        Number of rows, where the file says it.
    """

    def __init__(self, path: Path, take: Collection[str] | None = None, leave: Collection[str] = ()) -> None:
        if not path.is_file():
            raise RowFileError(f"{path} is not there; name a file that ends in .parquet, .csv or .jsonl")
        self.path = path
        self.total: int | None = None
        self._take = take
        self._leave = leave
        self._format = {".pq": ".parquet", ".ndjson": ".jsonl"}.get(path.suffix.lower(), path.suffix.lower())
        schema = self._schema()
        for name in (*(take or ()), *leave):
            if name not in schema.names:
                raise RowFileError(f"{path} has no column {name!r}; it has {', '.join(schema.names)}")
        self.columns = tuple(name for name in schema.names if self._wanted(name))
        for name in self.columns:
            _check(path, name, schema.field(name).type)

    def batches(self) -> Iterator[Sequence[Row]]:
        """The rows in the file's order; may be asked again.

        Raises
        ------
        RowFileError
            A row cannot be read, or holds infinity.
        """
        try:
            if self._format == ".parquet":
                with pq.ParquetFile(self.path) as file:
                    rows = max(1, min(BATCH_ROWS_MAX, BATCH_VALUES_MAX // len(self.columns or "1")))
                    yield from self._rows(file.iter_batches(rows, columns=list(self.columns)))
            elif self._format == ".csv":
                only = pacsv.ConvertOptions(include_columns=list(self.columns))
                with pacsv.open_csv(self.path, convert_options=only) as reader:
                    yield from self._rows(batch for whole in reader for batch in _cut(whole))
            else:
                yield from self._lines()
        except pa.ArrowInvalid as error:
            hint = "; mend the row, or save the file as Parquet" if self._format == ".csv" else ""
            raise RowFileError(f"{self.path}: {error}{hint}") from None

    def _wanted(self, name: str) -> bool:
        return name not in self._leave and (self._take is None or name in self._take)

    def _schema(self) -> pa.Schema:
        try:
            if self._format == ".parquet":
                with pq.ParquetFile(self.path) as file:
                    self.total = file.metadata.num_rows
                    return file.schema_arrow
            if self._format == ".csv":
                with pacsv.open_csv(self.path) as reader:
                    return reader.schema
        except pa.ArrowInvalid as error:
            raise RowFileError(f"{self.path}: {error}") from None
        if self._format != ".jsonl":
            raise RowFileError(f"{self.path} ends in none of .parquet, .csv, .jsonl; convert it to one of them")
        with self.path.open("rb") as lines:
            return pa.schema([(name, pa.null()) for name in self._row(1, next(lines, b"{}"))])

    def _rows(self, batches: Iterable[pa.RecordBatch]) -> Iterator[Sequence[Row]]:
        first = 0
        for batch in batches:
            names = batch.schema.names
            columns = [self._plain(name, batch[name], first).to_pylist() for name in names]
            yield [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
            first += batch.num_rows

    def _plain(self, name: str, column: pa.Array, first: int) -> pa.Array:
        """A column whose values `to_pylist` gives as JSON has them."""
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_floating(column.type):
            infinite = pc.index(pc.is_inf(column), True).as_py()
            if infinite >= 0:
                raise self._infinity(name, f"row {first + infinite}")
            return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        if pa.types.is_timestamp(column.type):  # to UTC, and to milliseconds, which is what the log keeps
            return pc.strftime(column.cast(pa.timestamp("ms"), safe=False), "%Y-%m-%dT%H:%M:%SZ")
        return column.cast(pa.string()) if pa.types.is_date(column.type) else column

    def _lines(self) -> Iterator[Sequence[Row]]:
        batch: list[Row] = []
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.isspace():
                    batch.append(self._row(number, line))
                if len(batch) == BATCH_ROWS_MAX:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def _row(self, number: int, line: bytes) -> Row:
        where = f"{self.path}, line {number}"
        try:
            row = msgspec.json.decode(line, type=Row)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RowFileError(f"{where}: {error}; each line must be one JSON object") from None
        kept = {name: value for name, value in row.items() if self._wanted(name)}
        for name, value in kept.items():
            if isinstance(value, dict | list):
                kind = "an object" if isinstance(value, dict) else "a list"
                raise RowFileError(f"{where}: column {name!r} is {kind}; flatten it, or leave it out: --exclude {name}")
            if isinstance(value, float) and math.isinf(value):
                raise self._infinity(name, f"line {number}")
        return kept

    def _infinity(self, name: str, where: str) -> RowFileError:
        return RowFileError(
            f"{self.path}, {where}: column {name!r} is infinite, which JSON cannot say; replace it, or leave the "
            f"column out: --exclude {name}"
        )


def _check(path: Path, name: str, kind: pa.DataType) -> None:
    of = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = ("null", "boolean", "integer", "floating", "string", "large_string", "string_view", "timestamp", "date")
    if not any(getattr(pa.types, f"is_{test}")(of) for test in tests):
        raise RowFileError(
            f"{path}: column {name!r} is {kind}, which JSON does not have; convert it to numbers or text, or leave it "
            f"out: --exclude {name}"
        )


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    return (batch.slice(start, BATCH_ROWS_MAX) for start in range(0, batch.num_rows, BATCH_ROWS_MAX))
