"""Design effects learnt from a stream, where the order of the reference's rows is unknown.

Mixed rows look independent, and every hour of a stream with a daily cycle would be an alarm. So the first windows of
the stream, in their own order, show how much windows differ from each other; a shift that all of them share moves
their mean and not their spread, and stays visible. Until then no column opens an incident, but for one whose values
are nearly all null, unseen or infinite: no season does that.
"""

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from drift.evidence.design_effects import of_blocks
from drift.evidence.detector import Look
from drift.reference.row_order import LEARNING_WINDOWS

if TYPE_CHECKING:
    from drift.reference.baseline import Baseline


#: Labelled windows before the loss is judged; standard errors of a clear difference, and of an upper bound.
LOSS_WINDOWS_MIN, CLEAR, Z90 = 5, 3.0, 1.645


class Learning(msgspec.Struct, kw_only=True, eq=False):
    """What is being learnt, or was.

    Parameters
    ----------
    windows
        Counts of the first windows, int64 [cells of all columns] each; empty once they have been used.
    effects
        Design effects of the contrasts, float64 [contrasts], once they are known.
    """

    windows: list[np.ndarray] = []
    effects: np.ndarray | None = None

    @property
    def windows_left(self) -> int:
        """Windows that are still waited for."""
        return 0 if self.effects is not None else LEARNING_WINDOWS - len(self.windows)

    def observe(self, baseline: "Baseline", window: np.ndarray) -> bool:
        """Take a window's counts, int64 [cells]; returns whether the design effects are known by it."""
        self.windows = [*self.windows, window]
        if len(self.windows) < LEARNING_WINDOWS:
            return False
        self.effects, self.windows = learnt_design_effects(baseline, np.stack(self.windows)), []
        return True


class LossLearning(msgspec.Struct, kw_only=True):
    """The design effect of the loss, learnt from how the first labelled windows differ from each other.

    Sums over those windows: how many, their rows, the losses, the squared losses, and the squared losses of whole
    windows by their rows. Unlike columns, the loss is judged from the fifth window on, by what is known till then: a
    model that fails from its first day need not wait for thirty.

    >>> learning = LossLearning()
    >>> for wrong in (10, 30) * 5:
    ...     learning.observe(100, wrong, wrong)
    >>> learning.ready, round(learning.effect(1.0), 1)
    (True, 15.1)
    """

    windows: int = 0
    rows: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    between: float = 0.0

    @property
    def ready(self) -> bool:
        """Whether enough is known to judge by."""
        return self.windows >= LOSS_WINDOWS_MIN

    def observe(self, rows: int, total: float, squares: float) -> None:
        """Take a window's labelled rows, the sum of their losses and of their squares; the first thirty count.

        Parameters
        ----------
        rows
            Labelled rows of the window.
        total, squares
            Sum of their losses, and of the squares.
        """
        if rows <= 0 or self.windows >= LEARNING_WINDOWS:
            return
        self.windows, self.rows, self.total = self.windows + 1, self.rows + rows, self.total + total
        self.squares, self.between = self.squares + squares, self.between + total**2 / rows

    def effect(self, least: float) -> float:
        """Design effect of the mean loss, at least the reference's: its upper bound, where windows clearly differ."""
        variance = self.squares / max(self.rows, 1) - (self.total / max(self.rows, 1)) ** 2
        if self.windows < 2 or variance <= 0:
            return least
        error = math.sqrt(2 / (self.windows - 1))
        ratio = (self.between - self.total**2 / self.rows) / ((self.windows - 1) * variance)
        return max(least, ratio * math.exp(Z90 * error)) if ratio > 1 + CLEAR * error else least


def learnt_design_effects(baseline: "Baseline", windows: np.ndarray) -> np.ndarray:
    """Design effects of windows' counts, int64 [windows, cells]: never below the reference's, float64 [contrasts]."""
    effects = []
    for n, cells in enumerate(baseline.reference.columns):
        span = baseline.cells(n)
        counts = windows[:, span]
        effects.append(of_blocks(cells, baseline.reference.counts[span], counts, counts.sum(axis=1)))
    learnt: np.ndarray = np.maximum(np.concatenate(effects), baseline.contrast_effects)
    return learnt


def only(look: Look, columns: np.ndarray) -> Look:
    """The evidence of some columns alone, bool [columns]; that of the others is taken back."""
    return Look(np.where(columns, look.by_start, -np.inf), np.where(columns, look.by_column, -np.inf))
