"""Jensen-Shannon distance."""

import numpy as np
from scipy.special import rel_entr

from drift.statistics.shares import Counts, shares


def js(reference: Counts, current: Counts, base: float = 2.0) -> float:
    """Jensen-Shannon distance: the root of the divergence. In base 2 it lies in [0, 1]; with base e it tops at .8326.

    Parameters
    ----------
    reference, current
        Counts over the same cells, [cells].
    base
        Base of the logarithm.

    >>> js([1, 0], [0, 1])
    1.0
    """
    p, q = shares(reference), shares(current)
    middle = (p + q) / 2
    divergence = (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    return float(np.sqrt(max(0.0, divergence) / np.log(base)))
