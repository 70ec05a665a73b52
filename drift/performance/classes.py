"""The two classes of a binary model: which one the score speaks of, and from which score on it is predicted."""

from collections.abc import Iterable

import numpy as np

from drift import cut
from drift.frames import FrameError

#: The other class, where a table holds only one of a customary pair.
_OPPOSITE = {"0": "1", "false": "true"}


def positive_class(levels: Iterable[str], wanted: str | None = None) -> str:
    """The class that a binary score is the probability of: the one asked for, else the last in order.

    Raises
    ------
    FrameError
        Not two classes, or the one asked for is not among them.

    >>> positive_class(["1", "0"]), positive_class(["no", "yes"]), positive_class(["0"])
    ('1', 'yes', '1')
    """
    classes = sorted(set(levels), key=cut.natural)
    if len(classes) == 1:
        classes.append(_OPPOSITE.get(classes[0], classes[0]))
    if len(classes) != 2:
        raise FrameError(
            f"a binary task has two classes, the table has {len(classes)}: {classes[:5]}; is it multiclass?"
        )
    if wanted is None:
        return classes[1]
    if wanted not in classes:
        raise FrameError(f"positive={wanted!r} is not among the classes {classes}; name one of them")
    return wanted


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

    >>> positive_share(np.array([1, 3, 3]), np.array([False, True, True]), 5).tolist()
    [0.0, 0.0, 0.0, 1.0, 1.0]
    """
    rows, yes = np.bincount(cells, minlength=size), np.bincount(cells, said_yes, minlength=size)
    filled = np.flatnonzero(rows)
    neighbour = filled[np.maximum(np.searchsorted(filled, np.arange(size), side="right") - 1, 0)]
    share: np.ndarray = yes[neighbour] / rows[neighbour]
    return share
