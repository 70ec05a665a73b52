"""Counting: rows over a reference's cells."""

from typing import Any

import numpy as np

from drift.reference import Reference
from drift.sums import sum_rows


def count_rows(reference: Reference, batch: Any) -> np.ndarray:
    """Count the rows of a batch in every cell, int64 flat, laid out as ``reference.counts``.

    ``batch`` is an Arrow record batch or table whose columns are named as the reference's cells are: an observation
    block, or what `Reference.align` makes of a user's table.
    """
    return sum_rows(reference, batch).cells
