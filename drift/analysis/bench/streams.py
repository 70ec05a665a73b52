"""Streams: a reference and the windows that come after it, both drawn from the user's rows."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from drift.analysis.bench.peers import Known, Window
from drift.analysis.bench.population import Population
from drift.analysis.bench.shifts import Shift
from drift.cells.cells import Cells
from drift.cells.columns import floats
from drift.reference.baseline import Baseline
from drift.reference.reference import Reference

#: Windows before a change, and after it at the most.
BEFORE, AFTER_MAX = 10, 40


class Change(NamedTuple):
    """A shift, and the column that it is made in."""

    shift: Shift
    column: str


@dataclass(frozen=True, eq=False)
class Ground:
    """A reference that was drawn, and what every contestant knows of it."""

    population: Population
    reference: Reference
    baseline: Baseline
    known: Known

    @classmethod
    def draw(cls, population: Population, rng: np.random.Generator) -> "Ground":
        """Draw a reference."""
        reference, rows = population.reference(rng)
        values = [_placed(cells, rows.column(cells.name))[1] for cells in reference.columns]
        return cls(population, reference, Baseline(reference), Known(reference.columns, values))

    def windows(
        self, rows: int, number: int, rng: np.random.Generator, change: Change | None = None, gradual: int = 0
    ) -> list[Window]:
        """Draw windows of so many rows; a change begins with window `BEFORE`, and grows over ``gradual`` windows.

        Parameters
        ----------
        rows
            Rows of a window.
        number
            How many windows.
        change
            The shift and its column; None for a stream without drift.
        gradual
            Windows over which it grows; 0 for at once.
        """
        table = self.reference.align(self.population.draw(rng, rows * number))
        if change is not None:
            after = np.repeat(np.arange(number) - BEFORE, rows)
            strength = np.clip((after + 1) / (gradual + 1), 0.0, 1.0)
            column_index = table.column_names.index(change.column)
            changed = change.shift.apply(self.population, change.column, table.column(column_index), strength, rng)
            table = table.set_column(column_index, change.column, changed)
        window = np.repeat(np.arange(number), rows)
        counts, values = [], []
        for cells in self.reference.columns:
            index, value = _placed(cells, table.column(cells.name))
            flat = np.bincount(window * cells.size + index, minlength=number * cells.size)
            counts.append(flat.reshape(number, -1))
            values.append(value.reshape(number, rows))
        together = np.concatenate(counts, axis=1)
        return [Window(together[w], [value[w] for value in values]) for w in range(number)]


def _placed(cells: Cells, column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Cell of each row; and its value, which of a level is its cell."""
    index = cells.index(column)
    return index, floats(column, cells.name) if cells.kind == "numeric" else index
