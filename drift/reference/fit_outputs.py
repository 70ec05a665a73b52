"""Fitting what a model answered and what was true: classes, cells of score and prediction, label sums and figures.

The rows are those whose scores count: rows that the model has not learnt from, if there are any. Where there are none
(``in_sample``), figures are kept and nothing is judged by them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from drift.cells import binning, columns
from drift.cells.cells import PREDICTION, SCORE, Cells
from drift.cells.frames import Columns
from drift.cells.profile import Profile, Task
from drift.evidence.contrasts import contrasts
from drift.evidence.design_effects import design_effects
from drift.performance import classes
from drift.performance.label_faults import numbers
from drift.performance.label_sums import LABELLED, label_sums, row_losses
from drift.performance.metrics import realised
from drift.performance.positive import Separation, separation
from drift.performance.score_scale import scale_note
from drift.reference.column_source import frequencies, profile
from drift.reference.missing_codes import code_note
from streams.tables.kinds import kind_of
from streams.wire.classes import Classes
from streams.wire.schema import Kind

#: A model is hardly ever this good on rows that it has not learnt from: AUC, accuracy, or explained variance.
TOO_GOOD = 0.995


class Parts(NamedTuple):
    """What the columns of a table are to a model; see `Reference.fit`."""

    task: Task | None
    score: str | None
    prediction: str | None
    label: str | None
    exclude: tuple[str, ...]
    segments: tuple[str, ...]
    kinds: Mapping[str, Kind]
    positive: str | float | bool | None
    classes: tuple[str, ...] = ()
    in_sample: bool = False

    @property
    def named(self) -> tuple[str, ...]:
        """Columns that are what the model said, or the truth."""
        return tuple(name for name in (self.score, self.prediction, self.label) if name is not None)


class Remarks(NamedTuple):
    """What is to be said of a fit, and which of it asks for something to be done."""

    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


#: What labels lack where there is no score, by whether there is a task.
_MISSING = {True: "a score: name its column, score=", False: "a task and a score: task=, score="}


def completed(table: Columns, parts: Parts, other: Columns | None = None) -> tuple[Parts, Remarks]:
    """Fill in what follows: a regression's prediction is its score, the classes, the positive one of a binary model.

    Parameters
    ----------
    table
        The rows whose scores count.
    other
        The rows that the model has learnt from, where those are others: their labels name classes, too.
    """
    if parts.task == "regression":
        coded = _label_codes(table, parts.label)
        remarks = Remarks(coded, coded)
        return parts._replace(score=parts.score or parts.prediction, prediction=None, classes=()), remarks
    if parts.task not in ("binary", "multiclass"):
        return parts._replace(positive=None, classes=()), Remarks()
    scaled = "" if parts.score is None else scale_note(columns.floats(table.column(parts.score), parts.score))
    predicted = {} if parts.prediction is None else frequencies(profile(table, parts.prediction))
    labelled: Counter[str] = Counter()
    for known in (table, other):
        if known is not None and parts.label is not None and parts.label in known.column_names:
            labelled.update(frequencies(profile(known, parts.label)))
    classes_in = classes.binary_classes if parts.task == "binary" else classes.classes_of
    names, notes = classes_in(parts.classes, predicted, labelled)
    notes = (*notes, *([scaled] if scaled else []))
    if parts.task == "multiclass":
        # Predictions alone do not tell of which classes labels may be.
        return parts._replace(positive=None, classes=names if labelled or parts.classes else ()), Remarks(notes, notes)
    settled = classes.complete_binary(names, parts.positive, _separations(table, parts, names))
    remarks = Remarks((*notes, *settled.notes), (*notes, *settled.warnings))
    return parts._replace(positive=settled.positive, classes=settled.classes), remarks


def _label_codes(table: Columns, label: str | None) -> tuple[str, ...]:
    """What is to be said of a regression's labels that stand for missing ones."""
    if label is None or label not in table.column_names:
        return ()
    known = profile(table, label)
    note = code_note(f"label {label!r}", known.ordered()) if kind_of(known.type) == "numeric" else ""
    return (note,) if note else ()


def _separations(table: Columns, parts: Parts, names: Sequence[str]) -> dict[str, Separation | None]:
    """How the scores of rows predicted, and labelled, as the last of two classes lie among the others'."""
    if parts.score is None or len(names) != 2:
        return {}
    scores = columns.floats(table.column(parts.score), parts.score)
    reader, separations = Classes(tuple(names)), {}
    for what, column in (("predicted", parts.prediction), ("labelled", parts.label)):
        if column is not None:
            codes, texts = columns.levels(table.column(column))
            named = np.array([*reader.of_all(texts), None], dtype=object)[codes]
            separations[what] = separation(scores, named == names[1], named == names[0])
    return separations


def outputs(table: Columns, parts: Parts) -> list[tuple[Cells, int, str]]:
    """Cells of what the model said, score and then predicted class, with the `Reference.selection_bias` of their levels
    and their names in the table.
    """
    cells_of_outputs = []
    if parts.score is not None:
        scores = columns.floats(table.column(parts.score), parts.score)
        predicted_positive = _predicted_positive(table, parts)
        at = None if predicted_positive is None else classes.threshold(scores, predicted_positive)
        cells_of_outputs.append(
            (Cells(name=SCORE, role="prediction", edges=binning.edges(scores, at=at)), 0, parts.score)
        )
    if parts.prediction is not None:
        seen = _in_classes(frequencies(profile(table, parts.prediction)), parts.classes)
        named, others, more = binning.levels(seen, closed=True)
        cells = Cells(name=PREDICTION, role="prediction", kind="categorical", levels=named, others=others, open=more)
        cells_of_outputs.append((cells, binning.selection_bias(seen, named, others), parts.prediction))
    return cells_of_outputs


def _in_classes(seen: Mapping[str, int], names: tuple[str, ...]) -> dict[str, int]:
    """Rows of each class, whatever its texts; of each text that names none."""
    rows_by_class: dict[str, int] = {}
    for text, rows in seen.items():
        name = Classes(names).of(text) or text
        rows_by_class[name] = rows_by_class.get(name, 0) + rows
    return rows_by_class


def _predicted_positive(table: Columns, parts: Parts) -> np.ndarray | None:
    """Rows whose predicted class is the positive one."""
    if parts.task != "binary" or parts.prediction is None or parts.positive is None:
        return None
    codes, texts = columns.levels(table.column(parts.prediction))
    named = Classes(parts.classes, open=True).of_all(texts)
    is_positive: np.ndarray = np.array([*(name == parts.positive for name in named), False])[codes]
    return is_positive


def labelled(reference: Profile, table: Columns, parts: Parts) -> Profile:
    """Add what the labels say: sums, figures, and which scores are predicted positive.

    Parameters
    ----------
    reference
        Of the same rows, without labels.
    table
        The rows whose scores count.
    parts
        What its columns are to the model, as `completed` returns them.
    """
    if reference.score is None or parts.score is None or parts.task not in ("binary", "multiclass", "regression"):
        if parts.label is None:
            return reference
        return warned(reference, f"no performance: labels need {_MISSING[bool(parts.task)]}")
    if parts.task == "multiclass" and parts.prediction is None:
        if parts.label is None:
            return reference
        return warned(reference, "no performance: a multiclass model needs the predicted class beside the score")
    predicted_positive = _predicted_positive(table, parts)
    if predicted_positive is not None:
        cells = reference.score.index(table.column(parts.score))
        share = classes.positive_share(cells, predicted_positive, reference.score.size)
        reference = replace(reference, positive_share=share)
    if parts.label is None:
        return reference
    predicted = table.column(parts.prediction) if parts.prediction is not None else None
    sums = label_sums(reference, table.column(parts.score), predicted, table.column(parts.label))
    if not sums[:, LABELLED].any():
        return warned(reference, "no performance: no row has a score, a prediction and a label that can be compared")
    figures = {metric: figure.value for metric, figure in sorted(realised(reference, sums).items())}
    design_effect = _loss_design_effect(reference, table, parts)
    judged = replace(reference, labels=sums, performance=figures, loss_design_effect=design_effect)
    if judged.held_out_rows:
        note = f"scores and performance are those of {judged.held_out_rows:,} held-out rows"
        return replace(judged, notes=(*judged.notes, note))
    return judged if judged.in_sample else warned(judged, _too_good(judged, table, parts))


def warned(reference: Profile, warning: str) -> Profile:
    """Add a warning, if there is one."""
    if not warning:
        return reference
    return replace(reference, notes=(*reference.notes, warning), warnings=(*reference.warnings, warning))


def _too_good(reference: Profile, table: Columns, parts: Parts) -> str:
    """Say that figures look like those of rows that the model has learnt from; empty where they do not."""
    assert parts.score is not None and parts.label is not None
    metric = {"binary": "auc", "multiclass": "accuracy"}.get(str(parts.task), "explained variance")
    if parts.task == "regression":
        value = _explained(numbers(table.column(parts.label)), columns.floats(table.column(parts.score), parts.score))
    else:
        value = reference.performance.get(metric, 0.0)
    if value < TOO_GOOD:
        return ""
    return (
        f"{metric} {value:.3g} is almost perfect: if the model has learnt from these rows, every honest day will look "
        "like a fall; give rows that it has not seen (holdout=), or say in_sample=True"
    )


def _explained(truth: np.ndarray, score: np.ndarray) -> float:
    """Share of the label's variance that the score explains; 0 where it has none."""
    known = np.isfinite(truth) & np.isfinite(score)
    variance = float(np.var(truth[known], dtype=np.float64)) if known.any() else 0.0
    return 1 - float(np.square(truth[known] - score[known], dtype=np.float64).mean()) / variance if variance else 0.0


def _loss_design_effect(reference: Profile, table: Columns, parts: Parts) -> float:
    """How much neighbouring rows' losses have in common."""
    assert parts.score is not None and parts.label is not None
    predicted = table.column(parts.prediction) if parts.prediction is not None else None
    loss = row_losses(reference, table.column(parts.score), predicted, table.column(parts.label))
    cells = Cells(name="loss", edges=binning.edges(loss))
    loss_cells = cells.index(loss)[:, None]
    indicators = contrasts((cells,), np.bincount(loss_cells[:, 0], minlength=cells.size))
    return float(np.average(design_effects((cells,), loss_cells), weights=indicators.weight))
