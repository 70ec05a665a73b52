"""A table from whatever was given: pandas, Arrow, or the path of a Parquet or CSV file or of a folder of Parquet."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from streams.tables import text
from streams.tables.csv import SUFFIXES, CsvError, CsvFile
from streams.tables.values import ColumnError, column, is_text, levels, plain
from streams.wire.schema import Kind

#: In the metadata of a field: why its column cannot be read. All its rows are null.
_UNREADABLE = b"driftline.unreadable"


class TableError(ValueError):
    """A table that cannot be used as asked; the text names the column and the remedy."""


class Table(Protocol):
    """A table of which one column at a time is wanted; an Arrow table is one."""

    @property
    def column_names(self) -> list[str]: ...
    @property
    def num_rows(self) -> int: ...
    def column(self, name: str) -> pa.ChunkedArray:
        """Read one column."""
        ...


def read(table: Any, kinds: Mapping[str, Kind] | None = None) -> pa.Table:
    """Read a table; every column has one of the plain types of `streams.tables.values`.

    Parameters
    ----------
    table
        pandas frame, Arrow table or record batch, what exports itself as Arrow, or the path of a Parquet or CSV file or
        of a folder of Parquet files.
    kinds
        What columns should be. Of CSV they are read so; any other column is what it says itself.

    Raises
    ------
    TableError
        No table, no such file, two columns of one name, or a column of CSV is not of its kind.

    >>> import pandas as pd
    >>> read(pd.DataFrame({7: [31, 45]})).column_names
    ['7']
    """
    if isinstance(table, str | Path):
        path = Path(table)
        return _csv(path, kinds or {}) if _is_csv(path) else _whole(_parquet(path))
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    if isinstance(table, pa.Table):
        refuse_twice(table.column_names)
        categories = _pandas_categories(table.schema)
        columns = [_plain(table.column(i), name in categories) for i, name in enumerate(table.column_names)]
        fields = [pa.field(f.name, c.type, metadata=f.metadata) for f, c in zip(table.schema, columns, strict=True)]
        return pa.Table.from_arrays(columns, schema=pa.schema(fields))
    if hasattr(table, "columns") and hasattr(table, "items"):
        return _frame(table)
    if hasattr(table, "__arrow_c_stream__"):  # Polars, DuckDB, and whoever else speaks Arrow.
        return read(pa.table(table), kinds)
    raise TableError(f"a pandas DataFrame, an Arrow table or a path expected, got {type(table).__name__}")


def scan(table: Any, kinds: Mapping[str, Kind] | None = None) -> Table:
    """Read a table column by column where it is a Parquet file or a folder of them, else as `read` does.

    Raises
    ------
    TableError
        As `read`; or the files of a folder differ.
    """
    profiles_itself = hasattr(table, "profile") and hasattr(table, "num_rows")  # A table of a store.
    if profiles_itself or isinstance(table, ParquetColumns):
        return cast(Table, table)
    if isinstance(table, str | Path) and not _is_csv(Path(table)):
        return cast(Table, _parquet(Path(table)))
    return cast(Table, read(table, kinds))


def unreadable(table: Table) -> dict[str, str]:
    """Columns that could not be read, and why."""
    schema = getattr(table, "schema", None)
    fields = () if schema is None else schema
    return {f.name: f.metadata[_UNREADABLE].decode() for f in fields if f.metadata and _UNREADABLE in f.metadata}


class ParquetColumns:
    """Parquet files, in the order of their names, as one table that is read a column at a time.

    A table of a thousand columns so needs the memory of one. The files have the same columns.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [pq.ParquetFile(path) for path in paths]
        schema = self._files[0].schema_arrow
        self.column_names: list[str] = schema.names
        self.num_rows: int = sum(file.metadata.num_rows for file in self._files)
        self._categories = _pandas_categories(schema)
        for path, file in zip(paths, self._files, strict=True):
            if not file.schema_arrow.equals(schema):
                raise TableError(f"{path}: its columns are not those of {paths[0]}; write the files alike")

    def column(self, name: str) -> pa.ChunkedArray:
        """Read one column of all files."""
        whole = pa.chunked_array(
            [chunk for file in self._files for chunk in file.read([name]).column(name).chunks],
            self._files[0].schema_arrow.field(name).type,
        )
        return _plain(whole, name in self._categories)


def refuse_twice(names: Sequence[str]) -> None:
    """Refuse a table in which two columns have one name."""
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise TableError(f"column {twice[0]!r} stands twice in the table; rename one")


def _is_csv(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def _parquet(path: Path) -> ParquetColumns:
    paths = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not paths:
        raise TableError(f"{path}: no *.parquet in this folder; give a folder of Parquet files")
    if not paths[0].is_file():
        raise TableError(f"{path}: no such file; give the path of a Parquet or CSV file")
    try:
        table = ParquetColumns(paths)
    except pa.ArrowInvalid as error:
        raise TableError(
            f"{path}: neither Parquet nor CSV ({error}); convert it, or name it .csv if it is one"
        ) from error
    refuse_twice(table.column_names)
    return table


def _whole(table: ParquetColumns) -> pa.Table:
    return pa.table({name: table.column(name) for name in table.column_names})


def _csv(path: Path, kinds: Mapping[str, Kind]) -> pa.Table:
    if not path.is_file():
        raise TableError(f"{path}: no such file; give the path of a Parquet or CSV file")
    try:
        file = CsvFile(path)
        raw = file.table()
    except CsvError as error:
        raise TableError(str(error)) from None
    columns = []
    for name in file.names:
        texts = raw.column(name).combine_chunks()
        texts = texts if isinstance(texts, pa.Array) else pa.concat_arrays(texts.chunks or [pa.array([], pa.string())])
        try:
            columns.append(_of_text(texts, kinds.get(name), name, file.decimal_comma))
        except ColumnError as error:
            raise TableError(f"{path}: {error}") from None
    return pa.Table.from_arrays(columns, names=file.names)


def _of_text(texts: pa.Array, kind: Kind | None, name: str, decimal_comma: bool) -> pa.Array:
    if kind is not None:
        return text.of_kind(texts, kind, name, decimal_comma)
    read_as = text.with_points(texts) if decimal_comma else texts
    inferred = text.guessed([read_as])
    return texts if inferred == pa.string() else text.typed(read_as, inferred)


def _frame(frame: Any) -> pa.Table:
    """A pandas frame. A column that cannot be read ends nothing: its rows are null, and its field says why."""
    columns, fields = [], []
    for label, values in frame.items():
        name, metadata = str(label), None
        try:
            array = _without_nan(column(values))
        except ColumnError as error:
            array, metadata = pa.nulls(len(values)), {_UNREADABLE: str(error).encode()}
        columns.append(array)
        fields.append(pa.field(name, array.type, metadata=metadata))
    refuse_twice([field.name for field in fields])
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _plain(values: pa.ChunkedArray, category: bool) -> pa.ChunkedArray:
    if category and not (pt.is_dictionary(values.type) and is_text(values.type.value_type)):
        # A pandas category of numbers, back from Parquet: its values are levels.
        codes, texts = levels(values)
        indices = pa.array(codes, mask=codes < 0)
        return pa.chunked_array([pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.string()))])
    chunks = [_without_nan(plain(chunk)) for chunk in values.chunks]
    return pa.chunked_array(chunks or [plain(pa.array([], values.type))])


def _without_nan(values: pa.Array) -> pa.Array:
    if not pt.is_floating(values.type) or not pc.any(pc.is_nan(values)).as_py():
        return values
    return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)


def _pandas_categories(schema: pa.Schema) -> frozenset[str]:
    """Columns that were categories in the frame that was written."""
    described = (schema.pandas_metadata or {}).get("columns", ())
    return frozenset(c["name"] for c in described if c.get("pandas_type") == "categorical" and c.get("name"))
