"""How good the answers were, and would have been: differences over the same labelled requests, row by row.

The rows are the same both times, so the interval is that of the paired difference: much narrower than two intervals
side by side.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from drift.statistics.intervals import normal
from driftline.replay.compare_predictions import Row
from driftline.replay.result import Metric
from inference import ModelPackage
from inference.onboarding.ranks import midranks
from streams.wire.classes import Classes
from streams.wire.records import DEFAULT_VERSION

_Labels = Mapping[tuple[str, str, str, int], str]


def metrics(rows: Sequence[Row], labels: _Labels, package: Callable[[str, str], ModelPackage]) -> list[Metric]:
    """Compute the figures of every model that has labels.

    Parameters
    ----------
    rows
        Requests that were answered both times; a fixed score is no model's.
    labels
        The label of a served prediction: model, version, id, event time.
    package
        Finds what a version of a model takes and answers.
    """
    by_model: dict[str, list[tuple[Row, str]]] = {}
    for row in rows:
        label = labels.get((row.served.model, row.served.version, row.served.id, row.served.ts))
        if label is not None and row.served.version != DEFAULT_VERSION:
            by_model.setdefault(row.served.model, []).append((row, label))
    return [
        metric
        for model, labelled in sorted(by_model.items())
        for metric in _figures(package(model, labelled[0][0].served.version), labelled)
    ]


def _figures(package: ModelPackage, labelled: Sequence[tuple[Row, str]]) -> list[Metric]:
    if package.task == "regression":
        truth = np.array([float(label) for _, label in labelled])
        return [_paired(package.name, "mae", np.abs(_scores(labelled) - truth))]
    classes = Classes(package.outputs.classes)
    pairs = zip(labelled, classes.of_all([label for _, label in labelled]), strict=True)
    named = [(row, name) for (row, _), name in pairs if name is not None]  # A label of no class says nothing.
    if not named:
        return []
    accuracy = _paired(package.name, "accuracy", np.array([_right(classes, named, side) for side in _SIDES], float))
    return [accuracy, *(_binary(package, named) if package.task == "binary" else ())]


def _binary(package: ModelPackage, labelled: Sequence[tuple[Row, str]]) -> list[Metric]:
    scores, positive = _scores(labelled), np.array([label == package.outputs.positive for _, label in labelled])
    brier = _paired(package.name, "brier", (scores - positive) ** 2)
    both = positive.any() and not positive.all()
    return [brier, _auc(package.name, scores, positive)] if both else [brier]


_SIDES = ("served", "replayed")


def _scores(labelled: Sequence[tuple[Row, str]]) -> np.ndarray:
    """Scores of both sides, float64 [2, rows]."""
    return np.array([[getattr(row, side).score for row, _ in labelled] for side in _SIDES])


def _right(classes: Classes, labelled: Sequence[tuple[Row, str]], side: str) -> list[bool]:
    return [classes.of(getattr(row, side).prediction) == label for row, label in labelled]


def _paired(model: str, metric: str, values: np.ndarray) -> Metric:
    """A mean of both sides, [2, rows], and the interval of the mean difference."""
    gap = values[1] - values[0]
    low, high = normal(float(gap.mean()), float(gap.var() / len(gap)))
    return _metric(model, metric, len(gap), values.mean(axis=1), low, high)


def _auc(model: str, scores: np.ndarray, positive: np.ndarray) -> Metric:
    """AUC of two models over the same rows, and DeLong's variance of their difference.

    DeLong, DeLong and Clarke-Pearson (1988), by midranks as Sun and Xu (2014) compute it.
    """
    ups, downs = int(positive.sum()), int((~positive).sum())
    whole = _midranks(scores)
    beaten = (whole[:, positive] - _midranks(scores[:, positive])) / downs  # by each positive
    beating = 1 - (whole[:, ~positive] - _midranks(scores[:, ~positive])) / ups  # each negative
    values = beaten.mean(axis=1)
    variance = np.var(beaten[1] - beaten[0]) / ups + np.var(beating[1] - beating[0]) / downs
    low, high = normal(float(values[1] - values[0]), float(variance))
    return _metric(model, "auc", ups + downs, values, low, high)


def _midranks(sides: np.ndarray) -> np.ndarray:
    return np.stack([midranks(side) for side in sides])


def _metric(model: str, name: str, rows: int, values: np.ndarray, low: float, high: float) -> Metric:
    served, replayed = (float(value) for value in values)
    return Metric(
        model=model,
        metric=name,
        rows=rows,
        served=served,
        replayed=replayed,
        difference=replayed - served,
        low=low,
        high=high,
    )
