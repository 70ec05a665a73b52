"""Calibration: how often a score of each cell comes true."""

import numpy as np

from drift.cells.kernel import FIXED_ONE
from drift.performance.label_sums import LABELLED, LABELS, SCORES


def calibrate(sums: np.ndarray) -> np.ndarray:
    """Chance that the label is positive (multiclass: the prediction right) in each score cell, float64 [cells].

    The rates of the labelled cells, made to rise with the score (isotonic regression, weighted by rows); a cell
    without labels lies between its neighbours.

    Parameters
    ----------
    sums
        Label sums of the training data, int64 [score cells, 4], cells ascending.

    >>> sums = np.array([[10, 4096, 0, 0], [0, 0, 0, 0], [10, 3 * 4096, 0, 0], [10, 2 * 4096, 0, 0]])
    >>> calibrate(sums)
    array([0.1  , 0.175, 0.25 , 0.25 ])
    """
    from scipy.optimize import isotonic_regression  # A third of a second to load.

    labelled = np.flatnonzero(sums[:, LABELLED])
    if not len(labelled):
        return np.full(len(sums), np.nan)
    rows = sums[labelled, LABELLED].astype(np.float64)
    rising = isotonic_regression(sums[labelled, LABELS] / FIXED_ONE / rows, weights=rows).x
    chance: np.ndarray = np.interp(np.arange(len(sums)), labelled, rising)
    return chance


def mean_score(sums: np.ndarray) -> np.ndarray:
    """Mean score of each cell in the training data, float64 [cells]; one without rows lies between its neighbours."""
    return cell_means(sums, SCORES) / FIXED_ONE


def cell_means(sums: np.ndarray, column: int) -> np.ndarray:
    """Mean of a column of label sums in each score cell, float64 [cells]; one without rows lies between others."""
    filled = np.flatnonzero(sums[:, LABELLED])
    means = sums[filled, column] / sums[filled, LABELLED]
    of_cells: np.ndarray = np.interp(np.arange(len(sums)), filled, means)
    return of_cells
