"""A reference against itself: has the second half of the training data drifted from the first?

A table that is sorted, or that spans a change, is no reference: windows would be told apart from it for ever.
"""

import numpy as np

from drift.cells.profile import Profile
from drift.evidence.contrasts import contrasts
from drift.evidence.design_effects import of_column
from drift.statistics import effect
from streams.wire.records import Watch

#: Trust in a design effect. Sorted rows make it enormous, and it would then excuse what it comes from.
DESIGN_EFFECT_MAX = 8.0


def differ(reference: Profile, halves: np.ndarray) -> bool:
    """Whether the halves of a reference of one column differ by more than the default tolerance, for certain.

    Parameters
    ----------
    halves
        The training rows of each half in each cell, int64 [2, cells].

    >>> import pandas as pd
    >>> from drift import Reference
    >>> Reference.fit(pd.DataFrame({"sorted": np.arange(1000.0), "mixed": [0.5, 1.5] * 500})).checks
    ('sorted',)
    """
    if not halves.any(axis=1).all():
        return False
    (cells,) = reference.columns
    rows = reference.expected
    design_effect = 1.0
    if len(reference.design_effects):
        every = contrasts(reference.columns, reference.counts)
        design_effect = of_column(every, 0, rows, reference.design_effects)
    design_effect = min(design_effect, DESIGN_EFFECT_MAX)
    distance = effect(cells.kind, halves[0], halves[1], design_effect)
    return bool(distance.low > Watch().tolerances[distance.statistic])
