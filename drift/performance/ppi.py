"""Prediction-powered inference: a mean from many predictions and a few labels."""

import msgspec
import numpy as np
from scipy.special import ndtri


class Ppi(msgspec.Struct, frozen=True):
    """Estimate of a mean with its interval; ``trust`` is how much weight the predictions got."""

    value: float
    low: float
    high: float
    trust: float


def ppi(
    labels: np.ndarray,
    predictions: np.ndarray,
    unlabelled: np.ndarray,
    confidence: float = 0.95,
    trust: float | None = None,
) -> Ppi:
    """Mean of the label over all rows, most of which have none.

    The mean of the predictions, corrected by how wrong they are where labels are known; valid however bad the
    predictions are. ``trust`` scales the predictions: 1 is the plain form, None finds the weight with the narrowest
    interval (Angelopoulos, Duchi, Zrnic 2023, PPI++).

    Parameters
    ----------
    labels, predictions
        Of the labelled rows, float64 [n].
    unlabelled
        Predictions of the other rows, float64 [N].

    >>> ppi(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])).value
    0.5
    """
    every = np.concatenate([predictions, unlabelled])
    known = np.arange(len(every)) < len(labels)
    label_or_zero = np.concatenate([labels, np.zeros(len(unlabelled))])
    return ppi_of_cells(every, known, label_or_zero, label_or_zero**2, ~known, confidence, trust)


def ppi_of_cells(
    prediction: np.ndarray,
    labelled: np.ndarray,
    sums: np.ndarray,
    squares: np.ndarray,
    unlabelled: np.ndarray,
    confidence: float = 0.95,
    trust: float | None = None,
) -> Ppi:
    """The same from sums over cells, in each of which one thing is predicted.

    Parameters
    ----------
    prediction
        Of each cell, float64 [cells].
    labelled, sums, squares
        Its rows with a label, and the sums of their labels and of the labels' squares, [cells].
    unlabelled
        Its rows without one, [cells].
    """
    n, rest = float(labelled.sum()), float(unlabelled.sum())
    if not n or not rest:
        raise ValueError(f"ppi needs rows with labels and rows without, got {n:.0f} and {rest:.0f}")
    mean, predicted, elsewhere = sums.sum() / n, labelled @ prediction / n, unlabelled @ prediction / rest
    if trust is None:
        rows = labelled + unlabelled.astype(np.float64)
        centre = rows @ prediction / (n + rest)
        spread = rows @ (prediction - centre) ** 2 / (n + rest - 1)
        agreement = (sums @ prediction) / n - mean * predicted
        trust = float(agreement / ((1 + n / rest) * spread)) if spread > 0 else 0.0
    square = (squares.sum() - 2 * trust * (sums @ prediction) + trust**2 * (labelled @ prediction**2)) / n
    correction = mean - trust * predicted
    variance = max(0.0, square - correction**2) / n + trust**2 * (unlabelled @ (prediction - elsewhere) ** 2) / rest**2
    value = float(trust * elsewhere + correction)
    reach = float(ndtri(0.5 + confidence / 2) * np.sqrt(variance))
    return Ppi(value, value - reach, value + reach, trust)
