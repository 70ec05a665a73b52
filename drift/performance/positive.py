"""The positive class of a binary model: the one that its score is the probability of, found by evidence and said aloud.

A wrong guess turns the AUC over, and a model that is destroyed then looks better than ever. So the class is the one
that is named; else the predicted class whose rows have the higher scores; else the labelled class whose rows have them;
and only where scores tell the classes no further apart than chance, the last one in order.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from drift.statistics.auc import auc

#: The scores tell two classes apart where their AUC is further from a half than this, and than so many standard errors.
AUC_APART, CERTAIN = 0.05, 3.0


class Positive(NamedTuple):
    """The positive class, why it is that one, in a sentence, and whether somebody should look at that."""

    name: str
    note: str
    doubtful: bool = False


class Separation(NamedTuple):
    """How the scores of rows of one class lie among those of the other: the AUC and its standard error."""

    auc: float
    error: float

    @property
    def sign(self) -> int:
        """1 where rows of the class have the higher scores, -1 where the lower ones, 0 where that is not clear."""
        away = self.auc - 0.5
        return int(np.sign(away)) if abs(away) > max(AUC_APART, CERTAIN * self.error) else 0


def separation(scores: np.ndarray, of_class: np.ndarray, of_other: np.ndarray) -> Separation | None:
    """Compare the scores of rows of a class with those of the other; None where one has no rows.

    Parameters
    ----------
    scores
        float [rows]; those that are not finite are left out.
    of_class, of_other
        Whether a row is of the one class, or of the other; bool [rows].

    >>> separation(np.array([0.9, 0.8, 0.1]), np.array([True, True, False]), np.array([False, False, True])).auc
    1.0
    """
    _, ranks = np.unique(scores, return_inverse=True)
    up, down = (ranks[np.isfinite(scores) & rows] for rows in (of_class, of_other))
    if not len(up) or not len(down):
        return None
    value, variance = auc(*(np.bincount(side, minlength=len(scores)) for side in (up, down)))
    return Separation(value, float(np.sqrt(variance)))


def positive_class(
    classes: Sequence[str], named: str | None, predicted: Separation | None, labelled: Separation | None
) -> Positive:
    """Decide which of two classes, in order, a score is the probability of.

    Parameters
    ----------
    named
        The one that was asked for, or None.
    predicted, labelled
        How the scores of rows that are predicted, or labelled, as the last class lie among the others'.

    >>> positive_class(("churned", "stayed"), None, None, Separation(0.08, 0.01)).note
    "the score is taken as the probability of 'churned': rows labelled so have the higher scores (AUC 0.92)"
    """
    first, last = classes
    predicted_sign = 0 if predicted is None else predicted.sign
    labelled_sign = 0 if labelled is None else labelled.sign
    name = named
    if name is None:
        name = first if (predicted_sign or labelled_sign) < 0 else last
    side = 1 if name == last else -1
    value = None if labelled is None else labelled.auc if side > 0 else 1 - labelled.auc
    figure = "" if value is None else f" (AUC {value:.2g})"
    taken = f"the score is taken as the probability of {name!r}"
    if named is not None:
        against = [] if predicted_sign * side >= 0 else [f"rows predicted {name!r} have the lower scores"]
        against += [] if labelled_sign * side >= 0 else [f"rows labelled {name!r} have the lower scores{figure}"]
        doubt = f"; but {' and '.join(against)}: is it the probability of {(last if side < 0 else first)!r}?"
        return Positive(name, f"{taken}, as named{doubt if against else ''}", bool(against))
    if predicted_sign:
        doubt = f"; but rows labelled so have the lower scores{figure}: the model does worse than chance"
        contradicted = labelled_sign * side < 0
        note = f"{taken}: rows predicted so have the higher scores{doubt if contradicted else ''}"
        return Positive(name, note, contradicted)
    if labelled_sign:
        return Positive(name, f"{taken}: rows labelled so have the higher scores{figure}")
    why = "the scores do not tell the classes apart for certain" if value is not None else "nothing else tells"
    return Positive(name, f"{taken}, the last class in order; {why}{figure}; name the positive class to be sure", True)
