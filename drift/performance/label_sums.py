"""Label sums: what predictions and their labels add up to, a row a score cell.

===========  ===========================================  ==============================================
column       binary, multiclass                           regression (error = score - label)
===========  ===========================================  ==============================================
0            labelled rows                                labelled rows
1            positive labels (multiclass: hits), x 4096   sizes of the errors, fixed point
2            scores, x 4096                               squared errors, fixed point squared
3            rows whose predicted class was right         errors, fixed point
===========  ===========================================  ==============================================

The fixed point of an error is the score column's own scale: ``rint(error / scale * 4096)``, clipped at 2^20. A
correction subtracts its old row.
"""

from typing import Any

import numpy as np

from drift.cells.columns import floats, levels
from drift.cells.kernel import FIXED_MAX, FIXED_ONE
from drift.cells.profile import Profile
from drift.performance.label_faults import numbers

LABELLED, LABELS, SCORES, RIGHT = range(4)
SIZES, SQUARES, ERRORS = 1, 2, 3

#: A binary model without a predicted class says yes from here on.
THRESHOLD = 0.5


def label_sums(reference: Profile, score: Any, prediction: Any, label: Any, sign: Any = 1) -> np.ndarray:
    """Add up rows that have a label, int64 [score cells, 4].

    Parameters
    ----------
    score, prediction, label
        Of each row: Arrow arrays, Series, NumPy arrays or lists. ``prediction`` may be None: a binary score then says
        yes from .5 on, a regression needs none, and of a multiclass model nothing is known. Rows whose label or
        prediction is null, or none of the classes, are left out.
    sign
        1, or -1 to take a row back; int [rows] or one for all.
    """
    sums: np.ndarray = label_sums_of_groups(reference, score, prediction, label, sign, 0, 1)[0]
    return sums


def label_sums_of_groups(
    reference: Profile, score: Any, prediction: Any, label: Any, sign: Any, group: Any, group_count: int
) -> np.ndarray:
    """Add up rows as `label_sums` does, each to its group's sums, int64 [groups, score cells, 4].

    Parameters
    ----------
    score, prediction, label, sign
        As for `label_sums`.
    group
        Group of each row, 0 to ``group_count - 1``; int [rows] or one for all.
    group_count
        Number of groups.
    """
    cells = reference.score
    if cells is None or reference.task not in ("binary", "multiclass", "regression"):
        raise ValueError("labels need a reference with a task and a score; give both to Reference.fit")
    scores = floats(score, "score").astype(np.float64)
    if reference.task == "regression":
        known, columns = _errors(scores, numbers(label), float(reference.scale[reference.place(cells.name)]))
    else:
        known, columns = _hits(reference, scores, prediction, label)
    signs, row_groups = (np.broadcast_to(np.asarray(of, np.int64), scores.shape)[known] for of in (sign, group))
    sums = np.zeros((group_count, cells.size, 4), np.int64)
    np.add.at(sums, (row_groups, cells.index(scores[known])), columns * signs[:, None])
    return sums


def row_losses(reference: Profile, score: Any, prediction: Any, label: Any) -> np.ndarray:
    """Loss of each row that has a label, float64 [rows]: the error's size, or 1 where the predicted class was wrong.

    Parameters
    ----------
    score, prediction, label
        One value a row, [rows]; a row without a usable label is left out of the result.
    """
    scores = floats(score, "score").astype(np.float64)
    if reference.task == "regression":
        scale = float(reference.scale[reference.place("score")])
        return _errors(scores, numbers(label), scale)[1][:, SIZES].astype(np.float64)
    return 1.0 - _hits(reference, scores, prediction, label)[1][:, RIGHT]


def _hits(reference: Profile, scores: np.ndarray, prediction: Any, label: Any) -> tuple[np.ndarray, np.ndarray]:
    truth = _class_of_each(reference, label)
    known = (truth != None) & np.isfinite(scores)  # noqa: E711 - of each element
    positive = truth == reference.positive
    if prediction is None and reference.task == "multiclass":
        known[:] = False  # Without a prediction the class of the score is unknown.
    if prediction is None:
        right = (scores >= THRESHOLD) == positive
    else:
        predicted = _class_of_each(reference, prediction)
        known &= predicted != None  # noqa: E711
        right = predicted == truth
    came_true = positive if reference.task == "binary" else right
    fixed = np.rint(np.where(known, scores, 0.0) * FIXED_ONE)
    columns = np.stack([np.ones(len(scores)), came_true * FIXED_ONE, fixed, right], axis=1)
    return known, columns[known].astype(np.int64)


def _class_of_each(reference: Profile, values: Any) -> np.ndarray:
    """The class that each value names, object [rows]; None where it is missing or names none."""
    codes, texts = levels(values)
    named: np.ndarray = np.array([*reference.class_reader.of_all(texts), None], dtype=object)[codes]
    return named


def _errors(scores: np.ndarray, label: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(label) & np.isfinite(scores)
    error = np.clip(np.rint((scores - label)[known] / scale * FIXED_ONE), -FIXED_MAX, FIXED_MAX).astype(np.int64)
    return known, np.stack([np.ones_like(error), np.abs(error), error**2, error], axis=1)
