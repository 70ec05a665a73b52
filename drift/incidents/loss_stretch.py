"""A stretch of windows over which a loss is told: since when, its rows, and the figures that people know."""

from dataclasses import dataclass

import numpy as np

from drift.incidents.labelled_window import LabelledWindow
from drift.incidents.spelling import spell
from drift.performance.label_sums import LABELLED
from drift.performance.losses import Loss

_NAMES = {
    "accuracy": "accuracy",
    "brier": "the Brier score",
    "log_loss": "the log loss",
    "mae": "the mean absolute error",
}


@dataclass(frozen=True, eq=False)
class LossStretch:
    """A loss over the rows since a change point.

    Parameters
    ----------
    window
        The newest window.
    at
        Place of the loss among the window's.
    since, between
        The change point, and its interval, ms.
    rows, sums
        Rows of the stretch, and their label sums, int64 [score cells, 4].
    log_evidence
        Evidence that the loss has grown.
    """

    window: LabelledWindow
    at: int
    since: int
    between: tuple[int, int]
    rows: int
    sums: np.ndarray
    log_evidence: float

    @property
    def loss(self) -> Loss:
        """The loss, against the training data."""
        return self.window.losses[self.at]

    @property
    def coverage(self) -> float:
        """Share of the rows that have a label."""
        return min(1.0, float(self.sums[:, LABELLED].sum() / max(self.rows, 1)))

    def mean(self, sums: np.ndarray, n: int | None = None) -> float:
        """Mean of the loss, or of the n-th loss, over label sums."""
        loss = self.window.losses[self.at if n is None else n]
        return self.window.amount(loss, sums).mean

    def figures(self, sums: np.ndarray) -> list[tuple[str, str]]:
        """The headline, and the loss that is told of, over label sums: name and figure of each."""
        losses = [(self.window.losses[n], self.mean(sums, n)) for n in sorted({0, self.at})]
        return [(loss_name(loss), spell(loss.metric, figure(loss, mean))) for loss, mean in losses]


def loss_name(loss: Loss) -> str:
    """What people call a loss."""
    return _NAMES[loss.metric]


def figure(loss: Loss, mean: float) -> float:
    """The figure that people know of a mean loss."""
    return 1 - mean if loss.metric == "accuracy" else mean
