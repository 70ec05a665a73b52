"""Population stability index."""

import numpy as np

from drift.statistics.column_counts import Compared
from drift.statistics.shares import Counts


def psi(reference: Counts, current: Counts, smoothing: float = 0.5) -> float:
    """Population stability index, ``sum (q - p) ln(q / p)``, natural logarithm.

    Parameters
    ----------
    smoothing
        Added to every cell on both sides. Without it (0) one empty cell makes the index infinite; with half a count
        a quiet hour does not page anyone.

    >>> round(psi([50, 50], [90, 10]), 3)
    0.853
    >>> psi([50, 50], [100, 0], smoothing=0)
    inf
    """
    p, q = _smoothed(reference, smoothing), _smoothed(current, smoothing)
    here = (p > 0) | (q > 0)
    with np.errstate(divide="ignore"):
        return float(np.sum((q - p)[here] * (np.log(q[here]) - np.log(p[here]))))


def psi_bias(cells: int, n: float, reference_n: float) -> float:
    """Size of the index on average when nothing moved: ``(cells - 1) (1/n + 1/N)``.

    Where it is above .03, the usual threshold of .1 says little.

    Parameters
    ----------
    cells
        Number of cells that hold a row on either side.
    n, reference_n
        Rows of the window and of the reference.

    >>> psi_bias(33, 200, 10_000)
    0.1632
    """
    return (cells - 1) * (1 / n + 1 / reference_n)


def psi_of_columns(compared: Compared) -> np.ndarray:
    """`psi` over the cells that hold a row on either side, float64 [columns]."""
    occupied = compared.occupied
    smoothed = [np.where(occupied, counts + 0.5, 0.0) for counts in (compared.columns.counts, compared.counts)]
    p, q = (counts / counts.sum(axis=1, keepdims=True) for counts in smoothed)
    ratio = np.log(np.where(occupied, q, 1.0)) - np.log(np.where(occupied, p, 1.0))
    index: np.ndarray = ((q - p) * ratio).sum(axis=1)
    return index


def psi_bias_of_columns(compared: Compared) -> np.ndarray:
    """`psi_bias` over the same cells, float64 [columns]."""
    cells = compared.occupied.sum(axis=1)
    bias: np.ndarray = (cells - 1) * (1 / compared.rows + 1 / compared.columns.rows)
    return bias


def _smoothed(counts: Counts, smoothing: float) -> np.ndarray:
    array = np.asarray(counts, dtype=np.float64) + smoothing
    smoothed: np.ndarray = array / array.sum()
    return smoothed
