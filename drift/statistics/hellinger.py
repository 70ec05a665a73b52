"""Hellinger distance."""

import numpy as np

from drift.statistics.shares import Counts, shares


def hellinger(reference: Counts, current: Counts) -> float:
    """Hellinger distance in [0, 1]: Euclidean distance of the root shares, over the root of two.

    >>> hellinger([1, 0], [0, 1])
    1.0
    """
    apart = np.sqrt(shares(current)) - np.sqrt(shares(reference))
    return float(min(1.0, np.sqrt(0.5 * np.sum(apart**2))))
