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

_Labels = Mapping[tuple[str, str, str, int], str]


def metrics(rows: Sequence[Row], labels: _Labels, package: Callable[[str, str], ModelPackage]) -> list[Metric]:
    """Figures of every model that has labels.

    Parameters
    ----------
    labels
        The label of a served prediction: model, version, id, event time.
    """
    by_model: dict[str, list[tuple[Row, str]]] = {}
    for row in rows:
        said = row.served
        label = labels.get((said.model, said.version, said.id, said.ts))
        if label is not None:
            by_model.setdefault(said.model, []).append((row, label))
    return [
        metric
        for model, found in sorted(by_model.items())
        for metric in _of(package(model, found[0][0].served.version), found)
    ]


def _of(package: ModelPackage, found: list[tuple[Row, str]]) -> list[Metric]:
    sides = [[row.served for row, _ in found], [row.replayed for row, _ in found]]
    labels = [label for _, label in found]
    scores = np.array([[said.score for said in side] for side in sides])

    def paired(metric: str, values: np.ndarray) -> Metric:
        gap = values[1] - values[0]
        low, high = normal(float(gap.mean()), float(gap.var() / len(gap)))
        return _metric(package.name, metric, len(gap), values.mean(axis=1), low, high)

    if package.task == "regression":
        truth = np.array([float(label) for label in labels])
        return [paired("mae", np.abs(scores - truth))]
    reader = Classes(package.outputs.classes)
    named = reader.of_all(labels)
    known = [at for at, name in enumerate(named) if name is not None]  # A label of no class says nothing.
    if not known:
        return []
    scores, true = scores[:, known], [named[at] for at in known]
    right = np.array([[reader.of(side[at].prediction) == named[at] for at in known] for side in sides])
    several = [paired("accuracy", right.astype(float))]
    if package.task == "binary":
        positive = np.array([label == package.outputs.positive for label in true])
        several.append(paired("brier", (scores - positive) ** 2))
        if positive.any() and not positive.all():
            several.append(_auc(package.name, scores, positive))
    return several


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
