"""Rows of a file, a batch at a time: Parquet, CSV or JSON lines, with values as JSON has them.

Integers stay integers, decimals become numbers, times RFC 3339 in UTC (naive ones are UTC), NaN null. What JSON cannot
say is refused with the column's name: before the first row where the file has a schema, else where it comes.

CSV is read twice: what a column holds is what all of it says (`streams.tables.text`). In a column of text a cell that
spells a number as we would is sent as that number: as a level it is the same, and a numeric feature needs it so.
"""

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streams.formats.json_text import undecodable, unmarked
from streams.tables import text
from streams.tables.csv import SUFFIXES, CsvError, CsvFile
from streams.tables.values import is_text, plain
from streams.wire.spelling import number_text

BATCH_ROWS_MAX = 2_000
BATCH_VALUES_MAX = 200_000

Row = dict[str, Any]


class RowFileError(ValueError):
    """A file that cannot be read as rows; the text names file, column and remedy."""


class RowFile:
    """A file of rows, by its ending: ``.parquet``, ``.csv`` (``.tsv``, ``.txt``, ``.csv.gz``) or ``.jsonl``.

    Parameters
    ----------
    path
        The file.
    only
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

    def __init__(self, path: Path, only: Collection[str] | None = None, leave: Collection[str] = ()) -> None:
        if path.is_dir():
            raise RowFileError(f"{path} is a folder; name one of its files, which end in .parquet, .csv or .jsonl")
        if not path.is_file():
            raise RowFileError(f"{path} is not there; name a file that ends in .parquet, .csv or .jsonl")
        self.path = path
        self.total: int | None = None
        self._only = only
        self._leave = leave
        ending = path.suffix.lower()
        self._format = ".csv" if ending in SUFFIXES else {".pq": ".parquet", ".ndjson": ".jsonl"}.get(ending, ending)
        schema = self._schema()
        for name in (*(only or ()), *leave):
            if name not in schema.names:
                raise RowFileError(no_column(path, name, schema.names))
        self.columns = tuple(name for name in schema.names if self._wanted(name))
        for name in self.columns:
            _check(path, name, schema.field(name).type)
        if self._format == ".csv":
            self._types = self._guessed()

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
                blocks = self._csv.blocks(self.columns)
                yield from self._rows(batch for block in blocks for batch in _cut(self._typed(block)))
            else:
                yield from self._lines()
        except CsvError as error:
            raise RowFileError(str(error)) from None
        except pa.ArrowInvalid as error:
            raise RowFileError(f"{self.path}: {error}") from None

    def _wanted(self, name: str) -> bool:
        return name not in self._leave and (self._only is None or name in self._only)

    def _schema(self) -> pa.Schema:
        try:
            if self._format == ".parquet":
                with pq.ParquetFile(self.path) as file:
                    self.total = file.metadata.num_rows
                    return file.schema_arrow
            if self._format == ".csv":
                self._csv = CsvFile(self.path)
                return pa.schema([(name, pa.string()) for name in self._csv.names])
        except CsvError as error:
            raise RowFileError(str(error)) from None
        except pa.ArrowInvalid as error:
            raise RowFileError(f"{self.path}: {error}") from None
        if self._format != ".jsonl":
            raise RowFileError(f"{self.path} ends in none of .parquet, .csv, .jsonl; convert it to one of them")
        with self.path.open("rb") as lines:
            return pa.schema([(name, pa.null()) for name in self._row(1, next(lines, b"{}"))])

    def _rows(self, batches: Iterable[pa.RecordBatch]) -> Iterator[Sequence[Row]]:
        first = 0
        for batch in batches:
            names = [name for name in batch.schema.names if name in self.columns]  # Who asks for `a` gets `a.b`, too.
            columns = [self._plain(name, batch[name], first) for name in names]
            yield [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
            first += batch.num_rows

    def _guessed(self) -> dict[str, pa.DataType]:
        """What each column holds, all of it."""
        guesses = {name: text.Guess() for name in self.columns}
        self.total = 0
        try:
            for block in self._csv.blocks(self.columns):
                self.total += block.num_rows
                for name, guess in guesses.items():
                    guess.look(self._pointed(block[name]))
        except CsvError as error:
            raise RowFileError(str(error)) from None
        return {name: guess.type for name, guess in guesses.items()}

    def _pointed(self, texts: pa.Array) -> pa.Array:
        return text.with_points(texts) if self._csv.decimal_comma else texts

    def _typed(self, block: pa.RecordBatch) -> pa.RecordBatch:
        columns = []
        for name in block.schema.names:
            kind = self._types[name]
            stays = pa.types.is_timestamp(kind) or pa.types.is_string(kind)
            columns.append(block[name] if stays else text.typed(self._pointed(block[name]), kind))
        return pa.RecordBatch.from_arrays(columns, names=block.schema.names)

    def _plain(self, name: str, column: pa.Array, first: int) -> list[Any]:
        """Values as JSON has them."""
        column = plain(column)
        if pa.types.is_decimal(column.type):
            column = column.cast(pa.int64() if _is_whole(column.type) else pa.float64(), safe=False)
        if pa.types.is_floating(column.type):
            infinite = pc.index(pc.is_inf(column), True).as_py()
            if infinite >= 0:
                raise self._infinity(name, f"row {first + infinite}")
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        elif pa.types.is_timestamp(column.type):  # to UTC, and to milliseconds, which is what the log keeps
            column = pc.strftime(column.cast(pa.timestamp("ms"), safe=False), "%Y-%m-%dT%H:%M:%SZ")
        elif pa.types.is_date(column.type):
            column = column.cast(pa.string())
        if self._format == ".csv" and is_text(column.type):
            encoded = column.dictionary_encode()
            values = [_number_or_text(value) for value in encoded.dictionary.to_pylist()]
            return [None if at is None else values[at] for at in encoded.indices.to_pylist()]
        plainly: list[Any] = column.to_pylist()
        return plainly

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
        line = unmarked(line)
        try:
            row = msgspec.convert(_with_nan(line), Row) if b"NaN" in line else msgspec.json.decode(line, type=Row)
        except msgspec.ValidationError as error:
            raise RowFileError(f"{where}: {error}; each line must be one JSON object") from None
        except (ValueError, RecursionError) as error:
            why = undecodable(line, error).args[2]
            raise RowFileError(f"{where}: {why}; each line must be one JSON object") from None
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


def no_column(path: Path, name: str, there: Sequence[str]) -> str:
    """Say that a file has no such column, and which may be meant.

    Parameters
    ----------
    path, name
        The file, and what was asked for.
    there
        The columns that it has.

    >>> no_column(Path("t.csv"), "lates", ["id", "late"])
    "t.csv has no column 'lates'; did you mean late?"
    """
    near = get_close_matches(name, there, 1)
    return f"{path} has no column {name!r}; " + (f"did you mean {near[0]}?" if near else f"it has {', '.join(there)}")


def _with_nan(line: bytes) -> Any:
    """Read a line in which NaN, which Python writes and JSON has not, is a missing value."""
    return json.loads(line, parse_constant=lambda name: None if name == "NaN" else float(name))


def _check(path: Path, name: str, kind: pa.DataType) -> None:
    of = plain(pa.array([], kind)).type
    if pa.types.is_dictionary(of):
        of = of.value_type
    tests = ("null", "boolean", "integer", "floating", "decimal", "string", "large_string", "timestamp", "date")
    if not any(getattr(pa.types, f"is_{test}")(of) for test in tests):
        raise RowFileError(
            f"{path}: column {name!r} is {kind}, which JSON does not have; convert it to numbers or text, or leave it "
            f"out: --exclude {name}"
        )


def _is_whole(kind: pa.DataType) -> bool:
    """Whether decimals are integers of 64 bits."""
    return bool(kind.scale <= 0 and kind.precision - kind.scale <= 18)


_WHOLE, _FRACTION = re.compile(r"-?(0|[1-9]\d{0,17})"), re.compile(r"-?(0|[1-9]\d*)\.\d*[1-9]")


def _number_or_text(value: str) -> Any:
    """Read the cell of a column of text: the number that is spelled so, if there is one.

    >>> [_number_or_text(text) for text in ("100", "100.5", "01", "1.50", "1e5", "A7", "-0")]
    [100, 100.5, '01', '1.50', '1e5', 'A7', '-0']
    """
    number: float
    if _WHOLE.fullmatch(value):
        number = int(value)
    elif _FRACTION.fullmatch(value):
        number = float(value)
    else:
        return value
    return number if number_text(number) == value else value


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    return (batch.slice(start, BATCH_ROWS_MAX) for start in range(0, batch.num_rows, BATCH_ROWS_MAX))
