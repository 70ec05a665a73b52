"""From counts to shares."""

from collections.abc import Sequence

import numpy as np

Counts = np.ndarray | Sequence[float]


def shares(counts: Counts) -> np.ndarray:
    """Share of each cell, float64; NaN where there are no rows at all.

    >>> shares([1, 3])
    array([0.25, 0.75])
    """
    array = np.asarray(counts, dtype=np.float64)
    total = array.sum()
    return array / total if total else np.full(array.shape, np.nan)


def occupied(reference: Counts, current: Counts) -> np.ndarray:
    """Cells that hold a row on either side: the others say nothing, and smoothing would make them speak.

    >>> occupied([1, 0, 2], [0, 0, 5])
    array([ True, False,  True])
    """
    holds_rows: np.ndarray = (np.asarray(reference) + np.asarray(current)) > 0
    return holds_rows
