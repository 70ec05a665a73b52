"""A window's performance, realised and estimated, as its report carries it."""

import numpy as np

from drift.cells.kernel import FIXED_ONE
from drift.cells.profile import Profile
from drift.performance.calibration import calibrate, cell_means, mean_score
from drift.performance.cbpe import expected
from drift.performance.label_sums import ERRORS, LABELLED, SIZES, SQUARES
from drift.performance.losses import powered
from drift.performance.metrics import realised
from streams.wire.records import MetricReport


def estimate(reference: Profile, scores: np.ndarray) -> dict[str, float]:
    """Figures to expect of a window from its scores alone; empty where the reference had no labels, or those
    of rows that the model has learnt from.

    Binary: ``auc accuracy f1 brier ece``; multiclass: ``accuracy brier ece``; regression: ``mae rmse bias``, from how
    large the errors of each score cell were on the training data (direct loss estimation).

    Parameters
    ----------
    scores
        Rows of the window in each score cell, int64 [score cells].
    """
    sums = reference.labels
    if (
        sums is None
        or reference.in_sample
        or reference.task not in ("binary", "multiclass", "regression")
        or not sums[:, LABELLED].any()
    ):
        return {}
    rows = scores.astype(np.float64)
    rows[[0, -2, -1]] = 0.0  # Infinite and missing scores promise nothing.
    if not rows.sum():
        return {}
    if reference.task == "regression":
        return _errors(sums, rows / rows.sum(), float(reference.scale[reference.place("score")]) / FIXED_ONE)
    chance, score = calibrate(sums), mean_score(sums)
    figures = {
        "brier": float((rows * (chance * (1 - chance) + (score - chance) ** 2)).sum() / rows.sum()),
        "ece": float((rows * np.abs(score - chance)).sum() / rows.sum()),
    }
    if reference.task == "multiclass":
        return figures | {"accuracy": float((rows * chance).sum() / rows.sum())}
    yes = (score >= 0.5).astype(float) if reference.positive_share is None else reference.positive_share
    binary = expected(chance, yes, rows)
    return figures | {"accuracy": binary.accuracy, "f1": binary.f1, "auc": binary.auc}


def _errors(sums: np.ndarray, share: np.ndarray, step: float) -> dict[str, float]:
    """Errors to expect where each score cell holds a share of the rows; ``step`` is their fixed point in the label's
    unit.
    """
    size, square, error = (float(share @ cell_means(sums, column)) for column in (SIZES, SQUARES, ERRORS))
    return {"mae": size * step, "rmse": float(np.sqrt(square)) * step, "bias": error * step}


def report(reference: Profile, scores: np.ndarray, sums: np.ndarray | None) -> list[MetricReport]:
    """Every figure of a window, sorted by name.

    Parameters
    ----------
    scores
        Rows of the window in each score cell, int64 [score cells].
    sums
        Label sums of the window so far, int64 [score cells, 4]; None without labels.
    """
    actual = {} if sums is None else realised(reference, sums)
    estimated = estimate(reference, scores)
    rows = int(scores.sum())
    coverage = 0.0 if sums is None or not rows else min(1.0, float(sums[:, LABELLED].sum() / rows))
    return [
        MetricReport(
            metric=metric,
            realised=actual[metric].value if metric in actual else None,
            low=actual[metric].low if metric in actual else None,
            high=actual[metric].high if metric in actual else None,
            estimated=estimated.get(metric),
            reference=reference.expected_performance.get(metric),
            coverage=coverage,
            **_powered(reference, metric, scores, sums),
        )
        for metric in sorted({*actual, *estimated})
    ]


def _powered(reference: Profile, metric: str, scores: np.ndarray, sums: np.ndarray | None) -> dict[str, float]:
    """The figure of all rows where some have a label, by labels and predictions together."""
    if sums is None or reference.labels is None or reference.in_sample or metric not in ("accuracy", "brier", "mae"):
        return {}
    figure = powered(reference, metric, scores, sums)
    if figure is None:
        return {}
    ends = (figure.value, figure.low, figure.high)
    if metric == "accuracy":
        ends = (1 - figure.value, 1 - figure.high, 1 - figure.low)
    return dict(zip(("powered", "powered_low", "powered_high"), map(float, ends), strict=True))
