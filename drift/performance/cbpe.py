"""Performance to expect from calibrated probabilities, before any label comes (CBPE)."""

import msgspec
import numpy as np

from drift.statistics.auc import auc
from drift.statistics.shares import Counts


class Expected(msgspec.Struct, frozen=True):
    """Expected confusion matrix and what follows from it, as NannyML's CBPE defines them.

    >>> expected([0.75, 0.25], [1, 0]).accuracy
    0.75
    """

    tp: float
    fp: float
    fn: float
    tn: float
    auc: float

    @property
    def accuracy(self) -> float:
        """Share of right predictions."""
        return (self.tp + self.tn) / (self.tp + self.fp + self.fn + self.tn)

    @property
    def precision(self) -> float:
        """Share of predicted positives that are positive."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of positives that are predicted."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """Share of negatives that are predicted."""
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


def expected(probability: Counts, predicted: Counts, weights: Counts | None = None) -> Expected:
    """Expected performance of rows, or of score cells.

    Parameters
    ----------
    probability
        Calibrated chance of the positive class, [rows or cells].
    predicted
        1 where the positive class is predicted, else 0; of a cell the share of its rows.
    weights
        Rows in each cell; 1 by default.
    """
    p, yes = np.asarray(probability, np.float64), np.asarray(predicted, np.float64)
    rows = np.ones_like(p) if weights is None else np.asarray(weights, np.float64)
    # Rows of one probability are ties: they make one cell.
    _, cell = np.unique(p, return_inverse=True)
    positives, negatives = np.bincount(cell, rows * p), np.bincount(cell, rows * (1 - p))
    return Expected(
        tp=float((rows * yes * p).sum()),
        fp=float((rows * yes * (1 - p)).sum()),
        fn=float((rows * (1 - yes) * p).sum()),
        tn=float((rows * (1 - yes) * (1 - p)).sum()),
        auc=auc(positives, negatives)[0],
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
