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
    n, rest = len(labels), len(unlabelled)
    if not n or not rest:
        raise ValueError(f"ppi needs rows with labels and rows without, got {n} and {rest}")
    if trust is None:
        trust = _best_trust(labels, predictions, unlabelled)
    corrections = labels - trust * predictions
    value = trust * unlabelled.mean() + corrections.mean()
    error = np.sqrt(trust**2 * unlabelled.var() / rest + corrections.var() / n)
    reach = float(ndtri(0.5 + confidence / 2) * error)
    return Ppi(float(value), float(value) - reach, float(value) + reach, float(trust))


def _best_trust(labels: np.ndarray, predictions: np.ndarray, unlabelled: np.ndarray) -> float:
    together = np.concatenate([predictions, unlabelled])
    if together.min() == together.max():
        return 0.0
    agreement = np.mean((labels - labels.mean()) * (predictions - predictions.mean()))
    return float(agreement / ((1 + len(labels) / len(unlabelled)) * together.var(ddof=1)))
