"""A closed window whose labels have had their time: all that the rule of realised loss looks at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drift.incidents.closed_window import ClosedWindow
from drift.performance.label_sums import LABELLED
from drift.performance.losses import Amount, Loss, amount
from drift.reference.reference import Reference
from drift.reference.tolerances import tolerance


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledWindow(ClosedWindow):
    """A closed window and its labels.

    Parameters
    ----------
    reference, losses, share
        What it is judged by: losses, the headline first, and performance's share of the budget.
    rows, sums
        Its rows, and its label sums, int64 [score cells, 4].
    """

    reference: Reference
    losses: Sequence[Loss]
    share: float
    rows: int
    sums: np.ndarray

    @property
    def labelled(self) -> int:
        """Rows with a label."""
        return int(self.sums[:, LABELLED].sum())

    @property
    def tolerance(self) -> float:
        """Share of the training data's loss by which it may grow."""
        return tolerance(self.watch, "performance")

    def in_windows(self, log_evidence: float) -> float:
        """Log of evidence in windows of the one budget: performance's share of it."""
        return log_evidence + (math.log(self.share) if self.share else -math.inf)

    def alarming(self, log_evidence: float) -> bool:
        """Whether evidence has spent the budget."""
        return self.in_windows(log_evidence) >= math.log(self.watch.false_alarm_every)

    def amount(self, loss: Loss, sums: np.ndarray) -> Amount:
        """A loss over label sums."""
        return amount(self.reference, loss.metric, sums)
