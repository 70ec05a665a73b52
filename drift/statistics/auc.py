"""Area under the ROC curve from counts over score cells."""

import numpy as np

from drift.statistics.shares import Counts


def auc(positives: Counts, negatives: Counts) -> tuple[float, float]:
    """Chance that a positive scores above a negative, ties counting half, and its variance (DeLong).

    Parameters
    ----------
    positives, negatives
        Weight of each side in every score cell, cells ascending; counts, or expected counts.

    >>> auc([0, 1, 3], [3, 1, 0])[0]
    0.96875
    """
    up, down = np.asarray(positives, np.float64), np.asarray(negatives, np.float64)
    ups, downs = up.sum(), down.sum()
    if not ups or not downs:
        return float("nan"), float("nan")
    beaten = (np.cumsum(down) - down / 2) / downs  # Share of negatives that a positive of this cell beats.
    beating = 1 - (np.cumsum(up) - up / 2) / ups
    value = float(up @ beaten / ups)
    spread_up, spread_down = up @ (beaten - value) ** 2, down @ (beating - value) ** 2
    variance = spread_up / (ups * max(ups - 1, 1)) + spread_down / (downs * max(downs - 1, 1))
    return value, float(variance)
