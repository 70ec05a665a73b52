"""Total variation distance and its largest part."""

import numpy as np

from drift.statistics.shares import Counts, shares


def tvd(reference: Counts, current: Counts) -> float:
    """Share of rows that would have to change cell to turn one into the other: half the sum of |q - p|.

    >>> round(tvd([50, 30, 20, 0], [40, 25, 25, 10]), 4)
    0.15
    """
    return float(0.5 * np.abs(shares(current) - shares(reference)).sum())


def l_infinity(reference: Counts, current: Counts) -> tuple[float, int]:
    """Largest change of one cell's share, and that cell.

    >>> l_infinity([50, 50], [90, 10])
    (0.4, 0)
    """
    change = np.abs(shares(current) - shares(reference))
    cell = int(change.argmax())
    return float(change[cell]), cell


def bias(reference: Counts, current: Counts, design_effect: float = 1.0) -> float:
    """Mean of the distance when both sides are drawn from their common shares (each |q - p| half normal).

    Parameters
    ----------
    reference, current
        Counts over the same cells, [cells].
    design_effect
        How much dependence between rows inflates a variance; 1 is none.

    >>> round(bias([5000, 5000], [100, 100]), 3)
    0.028
    """
    n, reference_n = float(np.sum(current)), float(np.sum(reference))
    pooled = shares(np.asarray(reference) + np.asarray(current))
    spread = np.sqrt(pooled * (1 - pooled) * design_effect * (1 / n + 1 / reference_n))
    return float(0.5 * np.sqrt(2 / np.pi) * spread.sum())
