"""A reference against itself: has the second half of the training data drifted from the first?

A table that is sorted, or that spans a change, is no reference: windows would be told apart from it for ever.
"""

import numpy as np

from drift.reference import Reference
from drift.statistics import effect
from drift.yardstick import Yardstick
from streams.records import Watch

#: Trust in a design effect. Sorted rows make it enormous, and it would then excuse what it comes from.
DESIGN_EFFECT_MAX = 8.0


def failed(reference: Reference, placed: np.ndarray) -> tuple[str, ...]:
    """Name the columns whose halves differ by more than the default tolerance, for certain.

    Parameters
    ----------
    placed
        Cell of each training row in each column, int [rows, columns], in the table's order.

    >>> import pandas as pd
    >>> Reference.fit(pd.DataFrame({"sorted": np.arange(1000.0), "mixed": [0.5, 1.5] * 500})).checks
    ('sorted',)
    """
    if len(placed) < 2:
        return ()
    middle = len(placed) // 2
    tolerances = Watch().tolerances
    design_effects = np.minimum(Yardstick(reference).design_effects, DESIGN_EFFECT_MAX)
    names = []
    for column, cells in enumerate(reference.columns):
        first, second = (np.bincount(half, minlength=cells.size) for half in np.split(placed[:, column], [middle]))
        found = effect(cells.kind, first, second, float(design_effects[column]))
        if found.low > tolerances[found.statistic]:
            names.append(cells.name)
    return tuple(names)
