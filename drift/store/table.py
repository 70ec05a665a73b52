"""A table that stays where it is: a reference is fitted by SQL, and only counts come back.

Of every feature the store finds point masses, order statistics and levels, and counts its rows over the cells that were
cut from them; columns of the score, the prediction and the label are read, one at a time. The reference is the one that
`drift.Reference.fit` makes of the same rows in memory, bit for bit: values are float32 there, too.

    store = Store.connect(StoreSettings.from_url("clickhouse://ana@ch.example/lake"))
    table = StoreTable(store, "training", order_by=("day", "id"))
    reference = drift.Reference.fit(table, task="binary", score="p", label="churned", exclude=("id", "day"))
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from drift.cells.cells import Cells
from drift.cells.columns import levels
from drift.cells.frames import FrameError
from drift.cells.kernel import FIXED_MAX, FIXED_ONE
from drift.evidence.design_effects import block_rows
from drift.reference.column_source import Tally
from drift.reference.reference import Reference
from drift.store.client import Params, Store, StoreError, quote
from streams.tables import kinds

#: A value as float32, one zero made of two; null where there is none.
_NUMBER = "toFloat32(toFloat32(toFloat64(value)) + 0)"
#: Different values that are enough to tell how far apart they lie.
_SAMPLE_VALUES = 1_000
_TYPES = {
    "Float32": pa.float32(),
    "Float": pa.float64(),
    "BFloat": pa.float64(),
    "Decimal": pa.float64(),
    "Int": pa.int64(),
    "UInt": pa.int64(),
    "Bool": pa.bool_(),
    "String": pa.string(),
    "FixedString": pa.string(),
    "Enum": pa.string(),
    "UUID": pa.string(),
    "Date": pa.timestamp("ms"),
    "Time": pa.timestamp("ms"),
}


class StoreTable:
    """A table, a view, or Parquet files that the server can read.

    Parameters
    ----------
    store
        Where it is.
    source
        Its name; or a table function, ``file('lake/*.parquet')`` or ``s3(...)``, which is taken as it stands: on a
        server that lets its user read files. The embedded store does not; read those with `Reference.fit("lake/")`.
    order_by
        Columns that put the rows in their order, without ties. How much neighbours have in common, and whether the
        first half is like the second, depends on it.

    Raises
    ------
    FrameError
        There is no such table, or nothing to order it by.
    """

    def __init__(self, store: Store, source: str, order_by: Sequence[str]) -> None:
        self._store = store
        self.name = source
        self._source = source if "(" in source else quote(source)
        if not order_by:
            raise FrameError(f"{source}: rows in a store have no order of their own; name columns that order them")
        self._order_by = tuple(order_by)
        self._order = ", ".join(quote(name) for name in order_by)
        try:
            described = store.rows(f"DESCRIBE TABLE {self._source}")
        except StoreError as error:
            raise FrameError(f"{source}: {error}; name a table of {store.settings.database!r}") from error
        self.types = {str(row[0]): arrow_type(str(row[1])) for row in described}
        self.column_names = list(self.types)
        self.num_rows = int(store.rows(f"SELECT count() FROM {self._source}")[0][0])  # noqa: S608

    def __str__(self) -> str:
        return self.name

    def sorted_by(self, time: str) -> "StoreTable":
        """Order the same rows by a column of times first; ties as before."""
        if time not in self.types:
            raise FrameError(f"{self.name} has no column {time!r} to order by")
        return StoreTable(self._store, self.name, (time, *(name for name in self._order_by if name != time)))

    def column(self, name: str) -> pa.ChunkedArray:
        """Read one column in order."""
        values = self.ask("value", name, rest="ORDER BY place", place=True).column("value")
        return pa.chunked_array([typed(values, self.types[name])])

    def profile(self, name: str) -> "StoreColumn":
        """Ask about a column, where it is."""
        return StoreColumn(self, name)

    def ask(
        self, select: str, name: str, params: Params | None = None, rest: str = "", place: bool = False
    ) -> pa.Table:
        """Ask about the ``value`` of a column, and about its row's ``place`` if that is wanted.

        Parameters
        ----------
        select
            What to select, over ``value``.
        name
            Name of the column.
        params
            Values of ``{name:Type}`` in the SQL.
        rest
            What stands behind FROM: WHERE, GROUP BY, ORDER BY.
        place
            Whether ``place``, the row's number from 0 on in the table's order, is there too.
        """
        placed = f", row_number() OVER (ORDER BY {self._order}) - 1 AS place" if place else ""
        # The text is ours, names are quoted, and values bound.
        rows = f"SELECT {quote(name)} AS value{placed} FROM {self._source}"  # noqa: S608
        return self._store.arrow(f"SELECT {select} FROM ({rows}) {rest}", params)  # noqa: S608

    def finite(self, select: str, name: str, params: Params | None = None, rest: str = "") -> pa.Table:
        """Ask about the finite values, ``v``, of a column as float32.

        Parameters
        ----------
        select
            What to select, over ``v``.
        name
            Name of the column.
        params
            Values of ``{name:Type}`` in the SQL.
        rest
            What stands behind the condition: GROUP BY, ORDER BY.
        """
        values = f"(SELECT {quote(name)} AS value FROM {self._source})"  # noqa: S608
        inner = f"SELECT assumeNotNull({_NUMBER}) AS v FROM {values} WHERE isFinite({_NUMBER})"  # noqa: S608
        return self._store.arrow(f"SELECT {select} FROM ({inner}) {rest}", params)  # noqa: S608


class StoreColumn:
    """A column of a `StoreTable`: a `drift.reference.column_source.Profile`."""

    def __init__(self, table: StoreTable, name: str) -> None:
        self._table = table
        self._name = name
        self.type = table.types[name]
        self.rows = table.num_rows
        missing = "isNull(value) OR isNaN(toFloat64(value))" if pa.types.is_floating(self.type) else "isNull(value)"
        self.nulls = int(table.ask(f"countIf({missing}) AS n", name).column("n")[0].as_py())

    def distinct(self) -> int:
        """See `Profile`."""
        return int(self._table.ask("uniqExact(value) AS n", self._name).column("n")[0].as_py())

    def coarse(self) -> str:
        """See `Profile`."""
        if kinds.kind_of(self.type) != "numeric":
            return ""
        # All that is asked is where the values lie and how far apart: their ends, quantiles and neighbours.
        inner = "toFloat64(value)"
        select = (
            f"min({inner}) AS least, max({inner}) AS most, quantilesExact(0.02, 0.5, 0.98)({inner}) AS quantiles, "
            f"groupUniqArray({_SAMPLE_VALUES})({inner}) AS some"
        )
        (row,) = self._table.ask(select, self._name, rest=f"WHERE isFinite({inner})").to_pylist()
        if not row["some"]:
            return ""
        spread = [row["least"], row["most"], *row["some"]]
        return kinds.coarse(self._name, np.array(spread, np.float64), row["quantiles"])

    def levels(self) -> tuple[list[str | None], np.ndarray]:
        """See `Profile`."""
        select, rest = (
            "value, count() AS n, min(place) AS first",
            "WHERE isNotNull(value) GROUP BY value ORDER BY first",
        )
        rows = self._table.ask(select, self._name, rest=rest, place=True)
        codes, texts = levels(typed(rows.column("value"), self.type))
        return [texts[code] for code in codes], np.asarray(rows.column("n"), np.int64)

    def ordered(self) -> "StoreValues":
        """See `Profile`."""
        return StoreValues(self._table, self._name)

    def tally(self, alone: Reference) -> Tally:
        """See `Profile`."""
        (cells,) = alone.columns
        size = block_rows(self.rows)
        bound = {"size": size, "middle": self.rows // 2, "edges": list(cells.edges)}
        cell = _CELL if cells.kind == "numeric" else "value"
        select = (
            f"intDiv(place, {{size:UInt64}}) AS block, place >= {{middle:UInt64}} AS half, {cell} AS cell, count() AS n"
        )
        rows = self._table.ask(select, self._name, bound, "GROUP BY block, half, cell", place=True)
        block, half, n = (np.asarray(rows.column(name), np.int64) for name in ("block", "half", "n"))
        cell_of_row = self._cells(cells, rows.column("cell"))
        blocks, halves = np.zeros((self.rows // size + 1, cells.size), np.int64), np.zeros((2, cells.size), np.int64)
        np.add.at(blocks, (block, cell_of_row), n)
        np.add.at(halves, (half, cell_of_row), n)
        return Tally(halves.sum(axis=0), *self._moments(alone), blocks[:-1], halves)

    def _cells(self, cells: Cells, values: pa.ChunkedArray) -> np.ndarray:
        if cells.kind == "numeric":
            codes_or_cells = np.asarray(values, np.int64)
            return np.where(codes_or_cells < 0, cells.null, codes_or_cells)
        codes, texts = levels(typed(values, self.type))
        return np.asarray(cells.positions(texts)[codes])

    def _moments(self, alone: Reference) -> tuple[np.ndarray, np.ndarray]:
        """Fixed-point sums and extremes, as the kernel adds them up."""
        nothing = np.full((1, 2), np.nan, np.float32)
        if alone.columns[0].kind != "numeric":
            return np.zeros((1, 2), np.int64), nothing
        bound = {"centre": float(alone.centre[0]), "fixed": FIXED_ONE / float(alone.scale[0]), "most": FIXED_MAX}
        step = "round((toFloat64(v) - {centre:Float64}) * {fixed:Float64})"
        steps = f"toInt64(least(greatest({step}, -{{most:Float64}}), {{most:Float64}}))"
        select = (
            f"sum({steps}) AS total, sum({steps} * {steps}) AS squares, min(v) AS least, max(v) AS most, count() AS n"
        )
        (row,) = self._table.finite(select, self._name, bound).to_pylist()
        if not row["n"]:
            return np.zeros((1, 2), np.int64), nothing
        return np.array([[row["total"], row["squares"]]], np.int64), np.array([[row["least"], row["most"]]], np.float32)


#: Cell of a number; -1 is null's. A value equal to an edge belongs above it.
_CELL = (
    f"if(isNull(value) OR isNaN({_NUMBER}), -1, toInt64(arrayCount(edge -> edge <= assumeNotNull({_NUMBER}), "
    f"{{edges:Array(Float64)}}) + ({_NUMBER} > -inf) + ({_NUMBER} = inf)))"
)


class StoreValues:
    """Finite values of a column of a `StoreTable`, in order: `drift.cells.binning.Ordered`."""

    def __init__(self, table: StoreTable, name: str) -> None:
        self._table = table
        self._name = name

    def masses(self, share: float) -> np.ndarray:
        """See `drift.cells.binning.Ordered`."""
        bound = {"least": share * self.rows(np.zeros(0, np.float32))}
        rows = self._table.finite("v", self._name, bound, "GROUP BY v HAVING count() > {least:Float64} ORDER BY v")
        return np.asarray(rows.column("v"), np.float32)

    def rows(self, without: np.ndarray) -> int:
        """See `drift.cells.binning.Ordered`."""
        answer = self._table.finite("count() AS n", self._name, {"without": without.tolist()}, _WITHOUT)
        return int(answer.column("n")[0].as_py())

    def ranked(self, ranks: Sequence[int], without: np.ndarray) -> np.ndarray:
        """See `drift.cells.binning.Ordered`."""
        # A quantile's place is its level times the rows, rounded down: the middle of a rank is safe.
        n = self.rows(without)
        marks = ", ".join(repr((rank + 0.5) / n) for rank in ranks)
        select = f"quantilesExact({marks})(v) AS found"
        answer = self._table.finite(select, self._name, {"without": without.tolist()}, _WITHOUT)
        return np.asarray(answer.column("found")[0].as_py(), np.float32)

    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """See `drift.cells.binning.Ordered`."""
        rows = self._table.finite("v, count() AS n", self._name, rest="GROUP BY v ORDER BY v")
        return np.asarray(rows.column("v"), np.float32), np.asarray(rows.column("n"), np.int64)


_WITHOUT = "WHERE NOT has({without:Array(Float64)}, v)"


def arrow_type(kind: str) -> pa.DataType:
    """Arrow type of a column by what the server calls it; nested ones are binary, which is no feature.

    >>> arrow_type("LowCardinality(Nullable(String))"), arrow_type("UInt8"), arrow_type("Array(Float32)")
    (DataType(string), DataType(int64), DataType(binary))
    """
    for wrapper in ("LowCardinality(", "Nullable("):
        kind = kind.removeprefix(wrapper)
    return next((arrow for start, arrow in _TYPES.items() if kind.startswith(start)), pa.binary())


def typed(values: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Values as they came over the wire, as the type that the table says they have."""
    array = values.combine_chunks()
    if pa.types.is_floating(kind) and not pa.types.is_floating(array.type):
        return array.cast(kind, safe=False)
    return array if array.type == kind else array.cast(kind)
