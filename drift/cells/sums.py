"""Sums of rows over a reference's cells: integers, so that any split and any order add up to the same."""

from typing import Any

import msgspec
import numpy as np

from drift.cells import kernel
from drift.cells.columns import floats, levels
from drift.cells.profile import Profile


class Sums(msgspec.Struct, frozen=True, eq=False):
    """What some rows add up to, over all columns of a reference.

    ``cells`` is int64, the counts of all columns end to end (`Reference.offsets`); ``moments`` int64 [columns, 2]
    the fixed-point sums of x and x^2 over finite values; ``extremes`` float32 [columns, 2] the smallest and the
    largest finite value, NaN where there is none.
    """

    rows: int
    cells: np.ndarray
    moments: np.ndarray
    extremes: np.ndarray

    @classmethod
    def zero(cls, reference: Profile) -> "Sums":
        """No rows."""
        columns = len(reference.columns)
        nothing = np.full((columns, 2), np.nan, np.float32)
        return cls(0, np.zeros(reference.offsets[-1], np.int64), np.zeros((columns, 2), np.int64), nothing)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.rows + other.rows,
            self.cells + other.cells,
            self.moments + other.moments,
            np.stack(
                [
                    np.fmin(self.extremes[:, 0], other.extremes[:, 0]),
                    np.fmax(self.extremes[:, 1], other.extremes[:, 1]),
                ],
                axis=1,
            ),
        )


def sum_rows(reference: Profile, batch: Any) -> Sums:
    """Sum all rows of a batch (Arrow record batch or table with the reference's own column names)."""
    return sum_groups(reference, batch, np.zeros(batch.num_rows, np.int32), 1)[0]


def sum_groups(reference: Profile, batch: Any, groups: np.ndarray, size: int) -> list[Sums]:
    """Sum the rows of a batch by group.

    Parameters
    ----------
    batch
        Arrow record batch or table with columns named as the reference's cells are. A column that is missing
        counts as null in every row: that is what its model saw.
    groups
        Group of each row, int32 [rows], below ``size``.
    """
    shape = (len(reference.columns), size, 2)
    cells = np.zeros((size, reference.offsets[-1]), np.int64)
    moments = np.zeros(shape, np.int64)
    extremes = np.full(shape, np.nan, np.float32)
    rows = np.bincount(groups, minlength=size)
    ends = np.cumsum(rows)
    # The kernel takes numbers group after group; most batches come so, in order of time.
    order = np.argsort(groups, kind="stable") if (np.diff(groups) < 0).any() else None
    present = set(batch.schema.names)
    for n, column in enumerate(reference.columns):
        first = reference.offsets[n]
        if column.name not in present:
            cells[:, first + column.null] += rows
        elif column.kind == "numeric":
            values = floats(batch.column(column.name), column.name)
            fixed = kernel.FIXED_ONE / reference.scale[n]
            grid, centre = reference.grids[n], reference.centre[n]
            values = values if order is None else values[order]
            kernel.count_numbers(values, ends, grid, centre, fixed, first, cells, moments[n], extremes[n])
        else:
            codes, texts = levels(batch.column(column.name))
            kernel.count_codes(codes, groups, column.positions(texts), first, cells)
    return [
        Sums(int(rows[group]), cells[group], np.ascontiguousarray(moments[:, group]), extremes[:, group].copy())
        for group in range(size)
    ]
