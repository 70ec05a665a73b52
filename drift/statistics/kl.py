"""Kullback-Leibler divergence."""

import numpy as np
from scipy.stats import entropy

from drift.statistics.shares import Counts


def kl(reference: Counts, current: Counts, smoothing: float = 0.0) -> float:
    """KL(current || reference) in nats; infinite when the window fills a cell that the reference leaves empty.

    >>> round(kl([50, 50], [90, 10]), 4)
    0.3681
    """
    return float(entropy(np.asarray(current, float) + smoothing, np.asarray(reference, float) + smoothing))
