"""Jensen-Shannon distance."""

import numpy as np
from scipy.spatial.distance import jensenshannon

from drift.statistics.shares import Counts


def js(reference: Counts, current: Counts, base: float = 2.0) -> float:
    """Jensen-Shannon distance: the root of the divergence. In base 2 it lies in [0, 1]; with base e it tops at .8326.

    >>> js([1, 0], [0, 1])
    1.0
    """
    return float(jensenshannon(np.asarray(reference, float), np.asarray(current, float), base=base))
