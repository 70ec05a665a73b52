"""The classes of a model, and from which score on a binary one predicts its positive class."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from drift.cells import binning
from drift.cells.frames import FrameError
from drift.performance.positive import Separation, positive_class
from streams.wire.classes import OPPOSITE, Classes, class_names
from streams.wire.schema import level_text


class Settled(NamedTuple):
    """The classes of a model, the positive one of a binary model, what is to be said of that, and what of it is
    doubtful.
    """

    classes: tuple[str, ...]
    positive: str | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def classes_of(
    given: Sequence[str], predicted: Mapping[str, int], labelled: Mapping[str, int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name the classes that a table holds, each once, and say which labels name none of them.

    Parameters
    ----------
    given
        The classes as the model spells them; without them all that the columns hold are classes, as predictions spell
        them, else as labels do.
    predicted, labelled
        Rows of each text in either column.

    >>> classes_of((), {"false": 3, "true": 2}, {"1": 3, "0": 2})
    (('false', 'true'), ())
    >>> classes_of(("0", "1"), {}, {"1": 3, "maybe": 2})
    (('0', '1'), ("2 of 5 labels are none of the classes '0', '1', and count for nothing: 'maybe'",))
    """
    if not given:
        return tuple(sorted(class_names(predicted, labelled), key=binning.natural)), ()
    known = Classes(tuple(given))
    strange = {text: rows for text, rows in labelled.items() if known.of(text) is None}
    if not strange:
        return known.names, ()
    texts, names = (", ".join(map(repr, several[:5])) for several in (sorted(strange), known.names))
    many = f"{sum(strange.values())} of {sum(labelled.values())} labels"
    return known.names, (f"{many} are none of the classes {names}, and count for nothing: {texts}",)


def binary_classes(
    given: Sequence[str], predicted: Mapping[str, int], labelled: Mapping[str, int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name the classes of a binary model, as `classes_of` does: where predictions are of two and most labels name them,
    the other labels are no classes but faults.

    Parameters
    ----------
    given
        Classes that were named; empty where none were.
    predicted, labelled
        Rows by prediction and by label.

    >>> binary_classes((), {"0": 5, "1": 5}, {"0": 4, "1": 5, "n/a": 1})[0]
    ('0', '1')
    """
    names, notes = classes_of(given, predicted, labelled)
    if given or len(names) <= 2:
        return names, notes
    of_model, _ = classes_of((), predicted, {})
    known = sum(rows for text, rows in labelled.items() if Classes(of_model).of(text) is not None)
    if len(of_model) != 2 or 2 * known < sum(labelled.values()):
        return names, notes
    return classes_of(of_model, predicted, labelled)


def complete_binary(
    classes: Sequence[str], wanted: str | float | bool | None, separations: Mapping[str, Separation | None]
) -> Settled:
    """Complete the two classes of a binary model and decide which one its score is the probability of.

    Parameters
    ----------
    classes
        Those that its table holds, in order.
    wanted
        The positive class as it was asked for, in any spelling.
    separations
        How the scores of rows that are ``predicted``, or ``labelled``, as the last class lie among the others'.

    Raises
    ------
    FrameError
        More than two classes, or the one asked for is not among two.

    >>> complete_binary(("stayed",), "churned", {}).notes
    ("no row of the table is of the class 'churned', named positive: all are 'stayed'",)
    """
    names = tuple(classes)
    if len(names) > 2:
        raise FrameError(f"a binary task has two classes, the table has {len(names)}: {list(names[:5])}; is it "
                         "multiclass? Are labels and predictions spelled differently?")  # fmt: skip
    named = None if wanted is None else Classes(names).of(wanted)
    if len(names) == 2:
        if wanted is not None and named is None:
            raise FrameError(f"positive={wanted!r} is not among the classes {list(names)}; name one of them")
        positive = positive_class(names, named, separations.get("predicted"), separations.get("labelled"))
        notes = (positive.note,) if separations else ()
        return Settled(names, positive.name, notes, notes if positive.doubtful else ())
    if not names:
        return Settled((), None if wanted is None else level_text(wanted), ())
    (only,) = names
    pair = tuple(sorted({only, OPPOSITE.get(only, only)}, key=binning.natural))
    positive_name = pair[-1] if wanted is None else Classes(pair).of(wanted)
    if positive_name is not None:
        note = f"all rows of the table are of one class, {only!r}; {positive_name!r} is taken as the positive one"
        return Settled(pair if len(pair) == 2 else (), positive_name, (note,), (note,))
    assert wanted is not None  # else the pair's last one is asked for
    text = level_text(wanted)
    note = f"no row of the table is of the class {text!r}, named positive: all are {only!r}"
    return Settled(tuple(sorted((only, text), key=binning.natural)), text, (note,), (note,))


def threshold(scores: np.ndarray, said_yes: np.ndarray) -> float | None:
    """Score from which on the positive class is predicted; None where no single one divides the rows.

    As an edge of the score's cells it makes each cell all yes or all no, and the confusion matrix a sum of cells.

    >>> threshold(np.array([0.1, 0.6, 0.4]), np.array([False, True, False]))
    0.6
    """
    known = np.isfinite(scores)
    yes, no = scores[known & said_yes], scores[known & ~said_yes]
    if not len(yes) or not len(no) or no.max() >= yes.min():
        return None
    return float(yes.min())


def positive_share(cells: np.ndarray, said_yes: np.ndarray, size: int) -> np.ndarray:
    """Share of rows predicted positive in each score cell, float64 [size]; an empty cell takes its lower neighbour's.

    Parameters
    ----------
    cells
        Score cell of each row, int [rows].
    said_yes
        Whether the prediction is the positive class, bool [rows].
    size
        Number of score cells.

    >>> positive_share(np.array([1, 3, 3]), np.array([False, True, True]), 5).tolist()
    [0.0, 0.0, 0.0, 1.0, 1.0]
    """
    rows, yes = np.bincount(cells, minlength=size), np.bincount(cells, said_yes, minlength=size)
    filled = np.flatnonzero(rows)
    neighbour = filled[np.maximum(np.searchsorted(filled, np.arange(size), side="right") - 1, 0)]
    share: np.ndarray = yes[neighbour] / rows[neighbour]
    return share
