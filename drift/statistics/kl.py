"""Kullback-Leibler divergence."""

import numpy as np
from scipy.special import rel_entr

from drift.statistics.shares import Counts, shares


def kl(reference: Counts, current: Counts, smoothing: float = 0.0) -> float:
    """KL(current || reference) in nats; infinite when the window fills a cell that the reference leaves empty.

    Parameters
    ----------
    reference, current
        Counts over the same cells, [cells].
    smoothing
        Rows added to every cell of both sides.

    >>> round(kl([50, 50], [90, 10]), 4)
    0.3681
    """
    q, p = (shares(np.asarray(counts, np.float64) + smoothing) for counts in (current, reference))
    return float(rel_entr(q, p).sum())
