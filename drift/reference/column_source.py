"""What a reference wants to know of one column, wherever its rows are: in memory here, in a store elsewhere.

A profile answers in counts, order statistics and cells, so that a column of a billion rows need not travel. Both ways
give the same numbers, bit for bit.
"""

from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drift.cells import binning, columns
from drift.cells.cells import Cells
from drift.cells.frames import Columns
from drift.cells.profile import Profile
from drift.cells.sums import sum_rows
from drift.evidence.design_effects import block_counts
from streams.tables import kinds
from streams.tables.values import doubles


class Tally(NamedTuple):
    """A column counted over its cells.

    Parameters
    ----------
    cells, moments, extremes
        As in `drift.cells.sums.Sums`, of the one column: int64 [cells], int64 [1, 2], float32 [1, 2].
    blocks, halves
        Rows in each cell of consecutive blocks of `drift.evidence.design_effects.block_rows` rows, the last ones that
        make no whole block left out, int64 [blocks, cells]; and of the two halves of the table, int64 [2, cells].
    """

    cells: np.ndarray
    moments: np.ndarray
    extremes: np.ndarray
    blocks: np.ndarray
    halves: np.ndarray


class ColumnProfile(Protocol):
    """A column of a table, to be asked about."""

    @property
    def type(self) -> pa.DataType: ...
    @property
    def rows(self) -> int: ...
    @property
    def nulls(self) -> int:
        """Rows without a value; NaN is one."""
        ...

    def distinct(self) -> int:
        """Count the different values, null left out."""
        ...

    def coarse(self) -> str:
        """Say what float32 hides of its numbers; empty where that is little."""
        ...

    def levels(self) -> tuple[list[str | None], np.ndarray]:
        """Texts of the levels in the order in which they first come (or in which a type lists them), and the rows of
        each, int64; one of NaN is None.
        """
        ...

    def ordered(self) -> binning.Ordered:
        """Give its finite values, as float32, in order."""
        ...

    def tally(self, alone: Profile) -> Tally:
        """Count it over the cells of a reference of this column by itself."""
        ...


class Held:
    """A column in memory."""

    def __init__(self, values: pa.ChunkedArray, name: str) -> None:
        self._values = values
        self._name = name
        self.type = values.type
        self.rows = len(values)
        self.nulls = values.null_count

    def distinct(self) -> int:
        """See `ColumnProfile`."""
        number: int = pc.count_distinct(self._array).as_py()
        return number

    def coarse(self) -> str:
        """See `ColumnProfile`."""
        return kinds.coarse(self._name, doubles(self._array, self._name))

    def levels(self) -> tuple[list[str | None], np.ndarray]:
        """See `ColumnProfile`."""
        codes, texts = columns.levels(self._array)
        return texts, np.bincount(codes[codes >= 0], minlength=len(texts))

    def ordered(self) -> binning.Ordered:
        """See `ColumnProfile`."""
        return self._sorted

    def tally(self, alone: Profile) -> Tally:
        """See `ColumnProfile`."""
        (cells,) = alone.columns
        if cells.kind == "boolean":
            columns.refuse_other_than_truths(self._array, self._name)
        sums = sum_rows(alone, pa.Table.from_arrays([self._values], names=[cells.name]))
        index = cells.index(self._array)
        first, second = (np.bincount(half, minlength=cells.size) for half in np.split(index, [len(index) // 2]))
        blocks = block_counts(index, cells.size)
        return Tally(sums.cells, sums.moments, sums.extremes, blocks, np.stack([first, second]))

    @cached_property
    def _sorted(self) -> binning.Sorted:
        return binning.Sorted(columns.floats(self._array, self._name))

    @cached_property
    def _array(self) -> pa.Array:
        return columns.arrow(self._values)


def profile(table: Columns, name: str) -> ColumnProfile:
    """Ask about a column: where its rows are if the table can answer there, else here."""
    ask = getattr(table, "profile", None)
    answered: ColumnProfile = Held(table.column(name), name) if ask is None else ask(name)
    return answered


def frequencies(column: ColumnProfile) -> dict[str, int]:
    """Rows of each level that occurs."""
    rows: dict[str, int] = {}
    for text, n in zip(*column.levels(), strict=True):
        if text is not None and n:
            rows[text] = rows.get(text, 0) + int(n)
    return rows


def fixed_point(column: ColumnProfile, cells: Cells) -> tuple[float, float, float]:
    """Centre, scale and spread of a column; see `drift.cells.binning.fixed_point`."""
    return binning.fixed_point(column.ordered()) if cells.kind == "numeric" else (0.0, 1.0, 1.0)
