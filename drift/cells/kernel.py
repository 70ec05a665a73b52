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
SLOTS = 1024
#: Values are read twice, for cells and for moments; so many fit the nearest cache.
RUN_ROWS_MAX = 4096
_LARGEST = np.finfo(np.float32).max
#: One edge in so many, on each side, is left to the outer slots, so that a long tail does not stretch all others.
TRIMMED = 8


class Grid(NamedTuple):
    """Slots over the bounds of one column's cells: ``starts[s]`` bounds lie in slots before ``s``."""

    bounds: np.ndarray
    starts: np.ndarray
    low: float
    slots_per_unit: float

    @classmethod
    def over(cls, bounds: np.ndarray) -> "Grid":
        """Lay the grid over ``bounds`` (float32, ascending, from the lowest float to infinity)."""
        trimmed = (len(bounds) - 2) // TRIMMED
        edges = bounds[1 + trimmed : len(bounds) - 1 - trimmed].astype(np.float64)
        low, high = (edges[0], edges[-1]) if len(edges) else (0.0, 0.0)
        slots_per_unit = SLOTS / (high - low) if high > low else 0.0
        # As `_slot` does it, in float64: compiling or loading the kernel for so few numbers took longer than a fit.
        steps = (np.minimum(bounds, _LARGEST).astype(np.float64) - low) * slots_per_unit
        slots = np.clip(steps, 0.0, SLOTS - 1.0).astype(np.int64)
        # One infinity more: the kernel looks one bound ahead.
        ahead = np.append(bounds, np.float32(np.inf))
        return cls(ahead, np.searchsorted(slots, np.arange(SLOTS)).astype(np.int32), low, slots_per_unit)


@njit(cache=True, nogil=True, inline="always")
def _slot(value, low, slots_per_unit):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return np.int64(min(max((np.float64(value) - low) * slots_per_unit, 0.0), SLOTS - 1.0))


@njit(cache=True, nogil=True)
def count_numbers(values, ends, grid, centre, fixed, first, cells, moments, extremes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Add a numeric column to its sums.

    Parameters
    ----------
    values, ends
        float32 [rows], group after group, and where each group's rows end, int64 [groups].
    grid
        The column's `Grid`.
    centre, fixed
        Fixed point: ``rint((value - centre) * fixed)``.
    first
        Place of the column's first cell in a row of ``cells``.
    cells, moments, extremes
        int64 [groups, all cells], int64 [groups, 2], float32 [groups, 2]: added to in place.
    """
    start = 0
    for group in range(len(ends)):
        while start < ends[group]:
            run = values[start : min(start + RUN_ROWS_MAX, ends[group])]
            _count_cells(run, grid.bounds, grid.starts, grid.low, grid.slots_per_unit, cells[group, first:])
            _add_moments(run, centre, fixed, moments[group], extremes[group])
            start += len(run)


@njit(cache=True, nogil=True)
def _count_cells(values, bounds, starts, low, slots_per_unit, cells):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    # Unsigned indices spare the test whether they count from the end: a fifth of the time.
    null, zero, one = np.uint64(len(bounds)), np.uint64(0), np.uint64(1)
    for row in range(len(values)):
        value = values[row]
        if not np.abs(value) < np.inf:
            cells[null if np.isnan(value) else null - one if value > 0 else zero] += 1
            continue
        cell = np.uint64(starts[np.uint64(_slot(value, low, slots_per_unit))])
        # Two steps without a branch cost less than one wrong guess; more are rare. No value passes the infinity.
        cell += np.uint64(value >= bounds[cell]) + np.uint64(value >= bounds[cell + one])
        while value >= bounds[cell]:
            cell += one
        cells[cell] += 1


@njit(cache=True, nogil=True)
def _add_moments(values, centre, fixed, moments, extremes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Without a branch, so that the compiler takes several values at once."""
    infinity, nothing = np.float32(np.inf), np.float32(0.0)
    total, squares, smallest, largest = np.int64(0), np.int64(0), infinity, -infinity
    for row in range(len(values)):
        value = values[row]
        finite = np.abs(value) < infinity
        step = np.rint((np.float64(value if finite else nothing) - centre) * fixed)
        step = min(max(step, -FIXED_MAX), FIXED_MAX)
        fixed_point = np.int64(np.int32(step)) if finite else np.int64(0)
        total += fixed_point
        squares += fixed_point * fixed_point
        below, above = value if finite else infinity, value if finite else -infinity
        smallest = below if below < smallest else smallest
        largest = above if above > largest else largest
    moments[0] += total
    moments[1] += squares
    if smallest > largest:
        return
    # True of NaN, too: there is no extreme yet. Adding 0 makes one zero of two.
    if not smallest >= extremes[0]:
        extremes[0] = smallest + nothing
    if not largest <= extremes[1]:
        extremes[1] = largest + nothing


@njit(cache=True, nogil=True)
def count_codes(codes, groups, positions, first, cells):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Add a column of level codes to its sums.

    Parameters
    ----------
    codes
        Number of each row's level in the batch's dictionary, int [rows]; -1 where it is null.
    groups
        Row of `cells` that each row counts to, int [rows].
    positions
        Cell of each level, int64 [levels + 1]; the last entry is null's, where code -1 leads.
    first
        Place of the column's first cell in a row of ``cells``.
    cells
        int64 [groups, all cells]: added to in place.
    """
    for row in range(len(codes)):
        cells[groups[row], first + positions[codes[row]]] += 1
