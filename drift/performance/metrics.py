"""Realised performance: figures from label sums."""

import msgspec
import numpy as np

from drift.cells.kernel import FIXED_ONE
from drift.cells.profile import Profile
from drift.performance.label_sums import ERRORS, LABELLED, LABELS, RIGHT, SCORES, SIZES, SQUARES
from drift.statistics.auc import auc
from drift.statistics.intervals import logit, normal, wilson


class Figure(msgspec.Struct, frozen=True):
    """One figure with its 95 % interval, where it has one."""

    value: float
    low: float | None = None
    high: float | None = None


def realised(reference: Profile, sums: np.ndarray) -> dict[str, Figure]:
    """Turn label sums into figures; empty where no label has come.

    Binary: ``auc accuracy f1 brier ece``; multiclass: ``accuracy brier ece`` of the top class; regression: ``mae rmse
    bias`` in the label's unit. Scores are known to their cell's mean: Brier leaves out the variance inside cells, and
    scores of one cell count as tied in AUC.

    Parameters
    ----------
    sums
        int64 [score cells, 4]; see `drift.performance.label_sums`.
    """
    if not sums[:, LABELLED].sum():
        return {}
    if reference.task == "regression":
        return _errors(sums.sum(axis=0), float(reference.scale[reference.place("score")]))
    figures = {"accuracy": _accuracy(sums), "brier": _brier(sums), "ece": Figure(_ece(sums))}
    if reference.task == "binary":
        figures["f1"] = Figure(_f1(sums, reference.positive_share))
        positives = sums[:, LABELS] / FIXED_ONE
        value, variance = auc(positives, sums[:, LABELLED] - positives)
        if np.isfinite(value):
            figures["auc"] = Figure(value, *logit(value, variance))
    return figures


def _accuracy(sums: np.ndarray) -> Figure:
    n, right = int(sums[:, LABELLED].sum()), int(sums[:, RIGHT].sum())
    return Figure(right / n, *wilson(right, n))


def _brier(sums: np.ndarray) -> Figure:
    """Mean squared difference of score and label, each score at its cell's mean."""
    filled = sums[sums[:, LABELLED] > 0]
    rows, ups, score = filled[:, LABELLED], filled[:, LABELS] / FIXED_ONE, _mean_scores(filled)
    n = rows.sum()
    mean = float((ups * (1 - score) ** 2 + (rows - ups) * score**2).sum() / n)
    square = float((ups * (1 - score) ** 4 + (rows - ups) * score**4).sum() / n)
    return Figure(mean, *normal(mean, (square - mean**2) / n))


def _ece(sums: np.ndarray) -> float:
    """Expected calibration error: mean gap between score and rate over the score cells, weighted by rows."""
    filled = sums[sums[:, LABELLED] > 0]
    return float(np.abs(filled[:, SCORES] - filled[:, LABELS]).sum() / FIXED_ONE / filled[:, LABELLED].sum())


def _f1(sums: np.ndarray, positive_share: np.ndarray | None) -> float:
    """F1 of the positive class. A cell is all on one side of the threshold, so its hits tell the rest."""
    said_yes = positive_share if positive_share is not None else (_mean_scores(sums) >= 0.5).astype(float)
    ups = sums[:, LABELS] / FIXED_ONE
    hits = float((said_yes * ups).sum())
    misses = float(((1 - said_yes) * ups).sum())
    false = float((said_yes * (sums[:, LABELLED] - ups)).sum())
    total = 2 * hits + misses + false
    return 2 * hits / total if total else 0.0


def _mean_scores(sums: np.ndarray) -> np.ndarray:
    mean: np.ndarray = sums[:, SCORES] / FIXED_ONE / np.maximum(sums[:, LABELLED], 1)
    return mean


def _errors(total: np.ndarray, scale: float) -> dict[str, Figure]:
    step = scale / FIXED_ONE
    n = int(total[LABELLED])
    mae, square, bias = (float(total[column]) / n for column in (SIZES, SQUARES, ERRORS))
    low, high = normal(mae, (square - mae**2) / n)
    bias_low, bias_high = normal(bias, (square - bias**2) / n)
    return {
        "mae": Figure(mae * step, max(0.0, low) * step, high * step),
        "rmse": Figure(float(np.sqrt(square)) * step),
        "bias": Figure(bias * step, bias_low * step, bias_high * step),
    }
