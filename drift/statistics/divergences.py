"""Population stability index."""

import numpy as np

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

    >>> psi_bias(33, 200, 10_000)
    0.1632
    """
    return (cells - 1) * (1 / n + 1 / reference_n)


def _smoothed(counts: Counts, smoothing: float) -> np.ndarray:
    array = np.asarray(counts, dtype=np.float64) + smoothing
    smoothed: np.ndarray = array / array.sum()
    return smoothed
