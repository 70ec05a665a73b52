"""How many rows lie outside the training data: where most do, an estimate from scores is no fact."""

import numpy as np

from drift.cells.cells import Cells
from drift.cells.profile import Profile

#: With a larger share of the rows outside, an estimate is not reliable.
OUTSIDE_MAX = 0.1
#: Cells at the ends of a numeric column count if the training data had at most this share of its rows in them.
_RARE = 0.01


def outside(reference: Profile, counts: np.ndarray) -> float:
    """Share of the rows outside the training data, in the feature where it is largest.

    Outside are missing, infinite and unseen values, those out of their range, and those beyond the outermost edges of a
    number, where the training data had next to none; what it had itself is taken off.

    Parameters
    ----------
    counts
        int64 [cells of all columns].
    """
    largest = 0.0
    for n, cells in enumerate(reference.columns):
        if cells.role != "feature":
            continue
        span = slice(int(reference.offsets[n]), int(reference.offsets[n + 1]))
        was, now = reference.expected[span], counts[span]
        if not was.sum() or not now.sum():
            continue
        p, q = was / was.sum(), now / now.sum()
        beyond = _beyond(cells, p)
        largest = max(largest, float(q[beyond].sum() - p[beyond].sum()))
    return largest


def _beyond(cells: Cells, share: np.ndarray) -> list[int]:
    special = {cells.null, cells.unseen, cells.minus_inf, cells.plus_inf, *cells.out_of_range}
    ends = {1, len(cells.edges) + 1} if cells.kind == "numeric" and cells.edges else set()
    return sorted({cell for cell in special if cell is not None} | {cell for cell in ends if share[cell] <= _RARE})
