"""A window whose labels have had their time: all that a rule about harm may look at."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from drift.incidents.spelling import rfc3339
from drift.performance.label_sums import LABELLED
from drift.performance.losses import Amount, Loss, amount
from drift.reference.reference import Reference
from drift.reference.tolerances import tolerance
from streams.wire.records import Watch


@dataclass(frozen=True, eq=False, kw_only=True)
class Labelled:
    """A window and its labels.

    Parameters
    ----------
    model, version, epoch, watch
        Whose window it is, and the route that holds.
    reference, losses, share
        What it is judged by: losses, the headline first, and performance's share of the budget.
    start, end, rows, sums
        The window's event time in ms, its rows, and its label sums, int64 [score cells, 4].
    opens
        Whether its version serves, and may open an incident.
    say
        Spells an event time in texts.
    """

    model: str
    version: str
    epoch: int
    watch: Watch
    reference: Reference
    losses: Sequence[Loss]
    share: float
    start: int
    end: int
    rows: int
    sums: np.ndarray
    opens: bool
    say: Callable[[int], str] = rfc3339

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
