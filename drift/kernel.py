"""The counting kernel: one pass over a column gives its cell counts, fixed-point moments and extremes.

Looking a value up: the range of the edges is divided into equal slots, and a table says how many edges lie before
each slot; what remains is to step over the few edges inside the slot. Slot numbers grow with the value however
floating point rounds, so an edge in an earlier slot is below the value for certain, and the result is that of
``np.searchsorted(bounds, values, side="right")`` for every float32.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

#: Fixed point of the moments: 2^12 steps a scale, clipped at 2^20 (256 scales from the centre).
FIXED_ONE = float(1 << 12)
FIXED_MAX = float(1 << 20)
SLOTS_MAX = 1024


class Grid(NamedTuple):
    """Slots over the bounds of one column's cells: ``starts[s]`` bounds lie in slots before ``s``."""

    bounds: np.ndarray
    starts: np.ndarray
    low: float
    slots_per_unit: float

    @classmethod
    def over(cls, bounds: np.ndarray) -> "Grid":
        """Lay the grid over ``bounds`` (float32, ascending, from the lowest float to infinity)."""
        edges = bounds[1:-1].astype(np.float64)
        width = edges[-1] - edges[0] if len(edges) else 0.0
        slots_per_unit = SLOTS_MAX / width if width > 0 else 0.0
        low = edges[0] if len(edges) else 0.0
        slots = np.array([_slot(bound, low, slots_per_unit) for bound in bounds])
        return cls(bounds, np.searchsorted(slots, np.arange(SLOTS_MAX + 1)).astype(np.int32), low, slots_per_unit)


@njit(cache=True, nogil=True, inline="always")
def _slot(value, low, slots_per_unit):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    at = (np.float64(value) - low) * slots_per_unit
    if not at > 0.0:
        return 0
    if at >= SLOTS_MAX - 1:
        return SLOTS_MAX - 1
    return int(at)


@njit(cache=True, nogil=True)
def count_numbers(values, groups, grid, centre, fixed, first, cells, moments, extremes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Add a numeric column to its sums.

    Parameters
    ----------
    values, groups
        float32 [rows] and the group of each row, int32 [rows].
    grid
        The column's `Grid`.
    centre, fixed
        Fixed point: ``rint((value - centre) * fixed)``.
    first
        Place of the column's first cell in a row of ``cells``.
    cells, moments, extremes
        int64 [groups, all cells], int64 [groups, 2], float32 [groups, 2]: added to in place.
    """
    null = first + len(grid.bounds) + 1
    for row in range(len(values)):
        value = values[row]
        group = groups[row]
        if np.isnan(value):
            cells[group, null] += 1
            continue
        slot = _slot(value, grid.low, grid.slots_per_unit)
        place = grid.starts[slot]
        end = grid.starts[slot + 1]
        while place < end and value >= grid.bounds[place]:
            place += 1
        cells[group, first + place] += 1
        if np.isinf(value):
            continue
        step = min(max(np.rint((np.float64(value) - centre) * fixed), -FIXED_MAX), FIXED_MAX)
        fixed_point = np.int64(step)
        moments[group, 0] += fixed_point
        moments[group, 1] += fixed_point * fixed_point
        if not value >= extremes[group, 0]:  # True of NaN, too: there is no extreme yet.
            extremes[group, 0] = value
        if not value <= extremes[group, 1]:
            extremes[group, 1] = value


@njit(cache=True, nogil=True)
def count_codes(codes, groups, positions, first, cells):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Add a column of level codes to its sums; ``positions`` maps code to cell, its last entry is code -1's."""
    for row in range(len(codes)):
        cells[groups[row], first + positions[codes[row]]] += 1
