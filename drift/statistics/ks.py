"""Kolmogorov-Smirnov distance over ordered cells."""

import numpy as np

from drift.statistics.shares import Counts, shares


def ks(reference: Counts, current: Counts) -> float:
    """Largest gap between two distribution functions, seen at the cells' edges.

    Cells are in ascending order; null, the last cell of a numeric column, ranks above everything, so that a column
    that goes half empty has moved by a half. The gap inside a cell is not seen:
    the distance of the raw values may be larger by the share of the reference's largest cell.

    >>> round(ks([2, 3, 3, 4], [0, 2, 3, 5]), 4)
    0.2167
    """
    return float(np.abs(gaps(reference, current)).max())


def gaps(reference: Counts, current: Counts) -> np.ndarray:
    """Current minus reference distribution function at the upper end of each cell, float64 [cells]."""
    gap: np.ndarray = np.cumsum(shares(current) - shares(reference))
    return gap


def bias(n: float, reference_n: float, design_effect: float = 1.0) -> float:
    """Size that the distance has on average when nothing moved (the mean of Kolmogorov's law is .8687).

    Parameters
    ----------
    n, reference_n
        Rows of the window and of the reference.
    design_effect
        How much dependence between rows inflates a variance; 1 is none.

    >>> round(bias(200, 10_000), 3)
    0.062
    """
    return float(0.8687 * np.sqrt(design_effect * (1 / n + 1 / reference_n)))
