"""Shifts: what a bench does to one column of a stream, in sizes that mean the same for every column.

============  =====================================================================================================
``0.2sd``     a numeric column moves by .2 standard deviations of its normal scores; it keeps to the values that it has
              (so integers stay integers, and nine tenths of zeros are moved as little as a normal is)
``x1.25``     its spread grows by a quarter, likewise
``5pt``       5 rows in a hundred go from the most frequent level to the next
``null5``     5 values in a hundred are missing
============  =====================================================================================================
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtr, ndtri

from drift.analysis.bench.population import Population
from drift.cells.cells import Cells
from drift.cells.columns import floats, levels

DEFAULT = ("0.1sd", "0.2sd", "0.5sd", "x1.25", "2pt", "5pt", "null5")

_WRITTEN = re.compile(r"(?:(?P<sd>-?\d*\.?\d+)sd|x(?P<x>\d*\.?\d+)|(?P<pt>\d*\.?\d+)pt|null(?P<null>\d*\.?\d+))")


class ShiftError(ValueError):
    """A shift that cannot be made; the text says what can."""


class Shift(NamedTuple):
    """One kind of change, and how large it is when it is whole."""

    name: str
    kind: Literal["sd", "x", "pt", "null"]
    size: float

    @classmethod
    def parse(cls, text: str) -> "Shift":
        """Read a shift as people write it.

        >>> Shift.parse("0.2sd")
        Shift(name='0.2sd', kind='sd', size=0.2)
        """
        match = _WRITTEN.fullmatch(text.strip())
        if match is None:
            raise ShiftError(f"shift {text!r} is none; write 0.2sd, x1.25, 5pt or null5")
        kind, number = next((kind, float(text)) for kind, text in match.groupdict().items() if text)
        if kind in ("pt", "null") and number > 100:
            raise ShiftError(f"shift {text!r}: there are no more than 100 rows in a hundred")
        return cls(text.strip(), kind, number)  # type: ignore[arg-type]

    def fits(self, population: Population, cells: Cells) -> bool:
        """Whether the shift changes such a column at all: a constant cannot move."""
        if self.kind == "null":
            return True
        if self.kind == "pt":
            return (
                cells.kind != "numeric"
                and int((population.whole.of(cells.name)[: len(cells.labels) - 1] > 0).sum()) > 1
            )
        values = population.ascending.get(cells.name, np.zeros(0))
        return len(values) > 0 and values[0] < values[-1]

    def columns(self, population: Population) -> list[str]:
        """Columns that it can be made in."""
        return [cells.name for cells in population.whole.columns if self.fits(population, cells)]

    def apply(
        self, population: Population, name: str, column: pa.ChunkedArray, strength: np.ndarray, rng: np.random.Generator
    ) -> pa.Array:
        """Change a column, each row by its share of the whole shift, ``strength`` in [0, 1], float64 [rows].

        Parameters
        ----------
        name
            Name of the column, by which the population knows its spread.
        strength
            Share of the whole shift, float64 [rows], 0 to 1.
        """
        chance = rng.random(len(strength))
        if self.kind == "null":
            gone = pa.array(chance < self.size / 100 * strength)
            return pc.if_else(gone, pa.scalar(None, column.type), column.combine_chunks())
        if self.kind == "pt":
            return self._other_level(column, chance, strength)
        spread = 1 + (self.size - 1) * strength if self.kind == "x" else 1.0
        move = self.size * strength if self.kind == "sd" else 0.0
        values = floats(column, name)
        ascending = population.ascending[name]
        changed, here = values.copy(), np.isfinite(values) & (strength > 0)
        low, high = (np.searchsorted(ascending, values[here], side) for side in ("left", "right"))
        # Ranks among equal values are drawn, so that every value, however frequent, has its place on the normal scale.
        score = ndtri((low + chance[here] * (high - low)) / len(ascending))
        rank = ndtr(_at(spread, here) * score + _at(move, here)) * len(ascending)
        changed[here] = ascending[np.minimum(rank.astype(np.int64), len(ascending) - 1)]
        return pa.array(changed, from_pandas=True)

    def _other_level(self, column: pa.ChunkedArray, chance: np.ndarray, strength: np.ndarray) -> pa.Array:
        codes, texts = levels(column)
        times = np.bincount(codes[codes >= 0], minlength=max(2, len(texts)))
        usual, following = np.argsort(-times, kind="stable")[:2]
        share = max(times[usual] / max(1, len(codes)), 1e-9)
        turned = (codes == usual) & (chance < self.size / 100 * strength / share)
        codes = np.where(turned, following, codes)
        return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(texts, pa.string()))


def shifts(written: Sequence[str], population: Population, column: str | None = None) -> list[tuple[Shift, list[str]]]:
    """Shifts that can be made, each with the columns that it can be made in: all, or the one that is named.

    Parameters
    ----------
    written
        Shifts as people write them, such as ``0.2sd``.
    column
        Only this column.

    Raises
    ------
    ShiftError
        There is no such column, or no shift can be made.
    """
    known = [cells.name for cells in population.whole.columns]
    if column is not None and column not in known:
        raise ShiftError(f"there is no column {column!r}; there are {', '.join(known[:12])}")
    parsed = [Shift.parse(text) for text in written]
    with_columns = [(shift, [c for c in shift.columns(population) if column in (None, c)]) for shift in parsed]
    with_columns = [(shift, columns) for shift, columns in with_columns if columns]
    if not with_columns:
        raise ShiftError(f"none of {', '.join(written)} can be made in {column or 'any column'}; sd and x need numbers")
    return with_columns


def _at(value: np.ndarray | float, here: np.ndarray) -> np.ndarray | float:
    return value[here] if isinstance(value, np.ndarray) else value
