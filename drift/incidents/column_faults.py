"""Faults of a column: values that something is wrong with, and whether hardly any other is left."""

import numpy as np

from drift.cells.cells import Cells

#: A column is broken once such a share of its rows is null, unseen, or infinite.
BROKEN = 0.99


def faults(cells: Cells) -> dict[str, tuple[int, ...]]:
    """Cells of values that something is wrong with, by what it is: null, unseen, infinite, out of range.

    >>> faults(Cells(name="age", edges=(18.0, 40.0), low=18.0))
    {'null': (5,), '-inf': (0,), '+inf': (4,), 'out-of-range': (1,)}
    """
    special = (cells.null, cells.unseen, cells.minus_inf, cells.plus_inf)
    single = {cells.labels[cell]: (cell,) for cell in special if cell is not None}
    outside = tuple(cell for cell in cells.out_of_range if cell not in special)
    return single | ({"out-of-range": outside} if outside else {})


def fault(cells: Cells, now: np.ndarray, was: np.ndarray) -> str:
    """What every value of a column now is, where hardly one was it: ``null``, ``unseen``, ``-inf``...; else empty.

    Parameters
    ----------
    cells
        The column's cells.
    now, was
        Rows in each cell now and in the reference, int64 [cells].

    >>> fault(Cells(name="vip", kind="boolean", levels=("false", "true")), np.array([0, 1, 499]), np.array([90, 8, 2]))
    'null'
    """
    for what, places in faults(cells).items():
        gone, before = now[list(places)].sum() / max(1, now.sum()), was[list(places)].sum() / max(1, was.sum())
        if gone >= BROKEN and before < BROKEN / 2:
            return what
    return ""
