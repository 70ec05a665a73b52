"""All the numbers of all columns in one window, a few array operations for a thousand columns."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from drift.cells.cells import Cells
from drift.cells.kernel import FIXED_ONE
from drift.cells.sums import Sums
from drift.reference.reference import Reference
from drift.statistics import column_table
from drift.statistics.column_counts import Columns, Compared, Numbers
from drift.statistics.effect import Effect


class ColumnStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A column against its reference.

    Attributes
    ----------
    n
        Rows of the window.
    effect
        Its distance with chance taken off.
    values
        Every statistic of `drift.statistics.column_table` by name; None where the column's kind does not have it.
    """

    n: int
    effect: Effect
    values: Mapping[str, float | None]


class ColumnComparison:
    """A reference laid out so that windows are compared with it column beside column.

    Parameters
    ----------
    reference
        What windows are compared with.
    design_effects
        Of each column's effect, float64 [columns].
    """

    def __init__(self, reference: Reference, design_effects: np.ndarray) -> None:
        numeric = np.array([cells.kind == "numeric" for cells in reference.columns])
        self._sides = [
            _Side(reference, np.flatnonzero(mask), design_effects) for mask in (numeric, ~numeric) if mask.any()
        ]
        self._size = len(numeric)

    def describe(self, window: Sums) -> list[ColumnStatistics]:
        """Compare a window of at least one row with the reference, column by column in its order."""
        by_column: dict[int, ColumnStatistics] = {}
        for side in self._sides:
            by_column |= zip(side.places.tolist(), side.describe(window), strict=True)
        return [by_column[n] for n in range(self._size)]


class _Side:
    """The columns of one sort, numeric ones or those of levels."""

    def __init__(self, reference: Reference, places: np.ndarray, design_effects: np.ndarray) -> None:
        cells = [reference.columns[n] for n in places]
        self.places = places
        self._numeric = cells[0].kind == "numeric"
        last = np.array([column.null for column in cells], np.int64)
        width = int(last.max()) + 1
        beyond = int(reference.offsets[-1])  # Where `_counts` appends a cell that nothing falls into.
        first = reference.offsets[places][:, None]
        self._from = np.where(np.arange(width) <= last[:, None], first + np.arange(width), beyond)
        make = Numbers if self._numeric else Columns
        self._columns = make(
            self._counts(reference.expected),
            null=last[:, None] == np.arange(width),
            unseen=_marked([() if column.unseen is None else (column.unseen,) for column in cells], width),
            out_of_range=_marked([column.out_of_range for column in cells], width),
            last=last,
            design_effects=design_effects[places],
        )
        if isinstance(self._columns, Numbers):
            _scale(self._columns, reference, places, cells)

    def _counts(self, flat: np.ndarray) -> np.ndarray:
        """Counts of these columns out of a flat count array, int64 [columns, cells]."""
        counts: np.ndarray = np.append(flat, 0)[self._from]
        return counts

    def describe(self, window: Sums) -> list[ColumnStatistics]:
        """Compare a window with the reference; see `ColumnComparison.describe`."""
        compared = Compared(
            self._columns,
            self._counts(window.cells),
            window.moments[self.places],
            window.extremes[self.places].astype(np.float64),
        )
        values = column_table.values(compared, "numeric" if self._numeric else "levels")
        several = zip(compared.rows.tolist(), compared.effects.rows(), values, strict=True)
        return [ColumnStatistics(n=n, effect=effect, values=row) for n, effect, row in several]


def _scale(numbers: Numbers, reference: Reference, places: np.ndarray, cells: Sequence[Cells]) -> None:
    """Give numeric columns their edges and units."""
    width = max(len(column.edges) for column in cells) + 1
    numbers.edges = np.array([[*column.edges, *[np.inf] * (width - len(column.edges))] for column in cells])
    numbers.spread, numbers.centre = reference.spread[places], reference.centre[places]
    numbers.scale = reference.scale[places] / FIXED_ONE
    numbers.extremes = reference.extremes[places].astype(np.float64)


def _marked(cells: Sequence[Sequence[int]], width: int) -> np.ndarray:
    marked = np.zeros((len(cells), width), bool)
    for row, some in enumerate(cells):
        marked[row, list(some)] = True
    return marked
