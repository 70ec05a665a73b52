"""Losses: what a wrong prediction costs, and how much of it on average is still as on the training data.

A loss is known from label sums alone, so late rows, replays and splits make no difference. Of a class the loss is
whether it was wrong (``accuracy``), of a probability its squared distance from what came true (``brier``) and the
logarithm of what it gave that (``log_loss``), each score at its cell's mean on the training data, of a value the size
of its error (``mae``).

The log loss finds labels that turn over in four fifths of the rows that the Brier score needs (its rate of growth is
within a tenth of what any evidence against the same null could have); the Brier score does not mind probabilities that
are far too sure.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from drift.cells.kernel import FIXED_ONE
from drift.cells.profile import Profile
from drift.performance.calibration import mean_score
from drift.performance.label_sums import LABELLED, LABELS, RIGHT, SIZES, SQUARES
from drift.performance.ppi import Ppi, ppi_of_cells
from drift.statistics.effect import Z95
from drift.statistics.intervals import wilson

#: Growths of the mean loss that are bet on, as shares of the bound.
GROWTHS = np.array([0.08, 0.2, 0.5, 1.25])
#: A score is taken to be no surer than this, so that no row costs more than 4.6 nats.
SURE_MAX = 0.99
#: A bet risks at most this share of what it has.
BET_MAX = 0.9


class Loss(NamedTuple):
    """A loss and its null hypothesis: the mean is at most ``bound``.

    ``mean`` is that of the training data, ``error`` its standard error; ``bound`` the upper end of its 95 % interval,
    and at least half the tolerance above it; ``bets`` are the shares staked on each growth, float64 [bets];
    ``design_effect`` how much rows' dependence inflates variances.
    """

    metric: str
    mean: float
    error: float
    bound: float
    bets: np.ndarray
    design_effect: float


class Amount(NamedTuple):
    """Rows with a label, the sum of their losses, and of their squares."""

    rows: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """Mean loss."""
        return self.total / self.rows if self.rows else 0.0

    def standard_error(self, design_effect: float) -> float:
        """Of the mean loss."""
        return float(np.sqrt(design_effect * max(0.0, self.squares / self.rows - self.mean**2) / self.rows))


def losses(reference: Profile, tolerance: float, design_effect: float = 1.0) -> list[Loss]:
    """Losses that a model is judged by; none where the reference had no labels, or those of rows that the model has
    learnt from, or its loss never varied.

    Parameters
    ----------
    tolerance
        Share of the training data's loss by which it may grow before anyone need care.
    design_effect
        How much rows hang together, where that is more than the reference shows.
    """
    effect = max(design_effect, reference.loss_design_effect)
    if reference.labels is None or reference.in_sample or not reference.labels[:, LABELLED].any():
        return []
    by_metric = (_loss(reference, metric, tolerance, reference.labels, effect) for metric in _metrics(reference))
    return [loss for loss in by_metric if loss is not None]


def losses_of(reference: Profile, known: Sequence[Loss], tolerance: float, sums: np.ndarray) -> list[Loss]:
    """The same losses against other rows than the training data's: not worse than these by another tolerance.

    Parameters
    ----------
    known
        Losses against the training data; one that cannot be known of these rows stays as it is.
    sums
        Label sums of those rows, int64 [score cells, 4].
    """
    return [_loss(reference, loss.metric, tolerance, sums, loss.design_effect) or loss for loss in known]


def amount(reference: Profile, metric: str, sums: np.ndarray) -> Amount:
    """Add up a loss over label sums, int64 [score cells, 4].

    Parameters
    ----------
    metric
        One of the metrics that the reference's task has as a loss.
    sums
        Label sums, int64 [score cells, 4].
    """
    if metric == "mae":
        step = float(reference.scale[reference.place("score")]) / FIXED_ONE
        rows, sizes, squares = (int(sums[:, column].sum()) for column in (LABELLED, SIZES, SQUARES))
        return Amount(rows, sizes * step, squares * step**2)
    values, counts = _outcomes(reference, metric, sums)
    return Amount(int(counts.sum()), float(counts @ values), float(counts @ values**2))


def growth(reference: Profile, loss: Loss, sums: np.ndarray) -> np.ndarray:
    """Log of what each bet on a larger mean has made of 1 over the rows of label sums, float64 [bets].

    While the mean loss is at most the bound, ``prod(1 + bet * (loss / bound - 1))`` is at most 1 on average (Waudby-
    Smith and Ramdas, 2024); a root of it is, too, which allows for rows that hang together. Of error sizes only sums
    are known. Of all rows with these the one with the least product has errors of one size, and none else (Krein and
    Nudelman, 1977: the logarithm's third derivative is positive), so the product of those is no more than that of the
    rows; and it grows with the loss, however large that is.

    Parameters
    ----------
    loss
        The loss with its bound.
    sums
        Label sums of the rows, int64 [score cells, 4].
    """
    if loss.metric == "mae":
        rows, total, squares = amount(reference, loss.metric, sums)
        made = rows * np.log1p(-loss.bets)
        if total > 0 and squares > 0:
            size = squares / total / loss.bound
            wrong = min(rows, total**2 / squares)
            made = made + wrong * (np.log1p(loss.bets * (size - 1)) - np.log1p(-loss.bets))
    else:
        values, counts = _outcomes(reference, loss.metric, sums)
        made = np.log1p(np.outer(loss.bets, values / loss.bound - 1)) @ counts
    shared: np.ndarray = made / loss.design_effect
    return shared


def powered(reference: Profile, metric: str, scores: np.ndarray, sums: np.ndarray) -> Ppi | None:
    """Mean loss of all rows, those without a label too, by what each score cell lost on the training data (PPI).

    Parameters
    ----------
    scores, sums
        Rows in each score cell, int64 [score cells], and label sums, int64 [score cells, 4].

    Returns
    -------
    None where every row has a label, or none has.
    """
    assert reference.labels is not None
    labelled = sums[:, LABELLED].astype(np.float64)
    unlabelled = np.maximum(scores - labelled, 0.0)
    if not labelled.sum() or not unlabelled.sum():
        return None
    (total, squares), (was, _) = (_by_cell(reference, metric, label_sums) for label_sums in (sums, reference.labels))
    known = reference.labels[:, LABELLED]
    cells = np.arange(len(known))
    prediction = np.interp(cells, cells[known > 0], was[known > 0] / known[known > 0])
    return ppi_of_cells(prediction, labelled, total, squares, unlabelled)


def _by_cell(reference: Profile, metric: str, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the losses and of their squares in each score cell, float64 [cells]."""
    if metric == "mae":
        step = float(reference.scale[reference.place("score")]) / FIXED_ONE
        return sums[:, SIZES] * step, sums[:, SQUARES] * step**2
    if metric == "accuracy":
        wrong = (sums[:, LABELLED] - sums[:, RIGHT]).astype(np.float64)
        return wrong, wrong
    values, counts = _outcomes(reference, metric, sums)
    total, squares = ((values**power * counts).reshape(2, -1).sum(axis=0) for power in (1, 2))
    return total, squares


def _metrics(reference: Profile) -> tuple[str, ...]:
    if reference.task == "regression":
        return ("mae",)
    assert reference.labels is not None
    scores = mean_score(reference.labels)
    return ("accuracy", "brier", "log_loss") if scores.min() >= 0 and scores.max() <= 1 else ("accuracy",)


def _loss(reference: Profile, metric: str, tolerance: float, sums: np.ndarray, effect: float) -> Loss | None:
    was = amount(reference, metric, sums)
    if not was.rows or not was.squares:
        return None
    error = was.standard_error(effect)
    upper = wilson(was.total / effect, was.rows / effect)[1] if metric == "accuracy" else was.mean + Z95 * error
    bound = max(upper, (1 + tolerance / 2) * was.mean)
    variance = error**2 * was.rows / effect / bound**2
    bets = np.minimum(GROWTHS / (variance + GROWTHS**2), BET_MAX)
    return Loss(metric, was.mean, error, bound, bets, effect)


def _outcomes(reference: Profile, metric: str, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every loss that a row can have, and how many rows had it."""
    labelled = sums[:, LABELLED]
    if metric == "accuracy":
        right = sums[:, RIGHT].sum()
        return np.array([0.0, 1.0]), np.array([right, labelled.sum() - right])
    assert reference.labels is not None
    score, came_true = mean_score(reference.labels), sums[:, LABELS] // FIXED_ONE
    counts = np.concatenate([came_true, labelled - came_true])
    if metric == "brier":
        return np.concatenate([(1 - score) ** 2, score**2]), counts
    score = np.clip(score, 1 - SURE_MAX, SURE_MAX)
    return -np.log(np.concatenate([score, 1 - score])), counts
