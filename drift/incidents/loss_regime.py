"""Regimes of the loss: what was told of it last, and whether it has become better since.

While an incident is open, what was told is what the next news is held against: a loss that grows by another tolerance
is news, and so is one that shrinks.
"""

import math

import msgspec
import numpy as np

from drift.incidents.changed_column import POOL_WINDOWS, SETTLED_ROWS
from drift.incidents.labelled_window import LabelledWindow
from drift.performance.losses import Loss, losses_of

#: Standard errors by which a loss must have shrunk before it is told. Good news wakes nobody, so it need be less sure.
BETTER = 2.0
#: A loss that was told of few rows looked worse than it is, for that is when it was found; by no more than so many
#: standard errors.
LOOKED_WORSE = 6.0


class Regime(msgspec.Struct, kw_only=True, eq=False):
    """Windows whose loss was told: since when (ms), their rows, and their label sums, int64 [score cells, 4].

    An alert is often sent on few rows, when the loss looks worst. So the regime grows: a window joins it once it is
    known that nothing new began with it. Each window is tested against the regime before it joins, so growing takes
    nothing from the promise of false alarms. ``waiting_rows`` and ``waiting`` are the rows and label sums of windows
    with which something new may have begun; ``settled`` says that the loss has been told on `SETTLED_ROWS` or more.
    """

    since: int
    rows: int
    sums: np.ndarray
    waiting_rows: int = 0
    waiting: np.ndarray | None = None
    settled: bool = False

    def observe(self, window: LabelledWindow, fresh: bool) -> bool:
        """Take a window; returns whether the regime has just reached `SETTLED_ROWS`.

        ``fresh`` says that what begins, if anything does, begins with this window at the earliest: those before it are
        of this regime.
        """
        waiting = np.zeros_like(self.sums) if self.waiting is None else self.waiting
        if fresh:
            self.rows, self.sums = self.rows + self.waiting_rows, self.sums + waiting
            self.waiting_rows, waiting = 0, np.zeros_like(waiting)
        self.waiting_rows, self.waiting = self.waiting_rows + window.rows, waiting + window.sums
        settles = not self.settled and self.rows >= SETTLED_ROWS
        self.settled = self.settled or settles
        return settles

    def absorb(self, rows: int, sums: np.ndarray) -> None:
        """Take a stretch that is of this regime after all."""
        self.rows, self.sums = self.rows + rows, self.sums + sums
        self.waiting_rows, self.waiting, self.settled = 0, None, True

    def losses(self, window: LabelledWindow) -> list[Loss]:
        """The window's losses, held against this regime: not worse than it by another tolerance."""
        return losses_of(window.reference, window.losses, window.tolerance, self.sums)


class Relief(msgspec.Struct, kw_only=True, eq=False):
    """The stretch since when a loss has been nearer to the training data's than to what was told.

    A cumulative sum (CUSUM) of how far each window lies below the middle of the two: where it is used up, the stretch
    begins anew. Good news costs no one a night, so it spends no budget.
    """

    sums: np.ndarray
    score: float = 0.0
    since: int = 0
    rows: int = 0
    windows: int = 0

    @classmethod
    def none(cls, window: LabelledWindow) -> "Relief":
        """Nothing yet, for label sums like the window's."""
        return cls(sums=np.zeros_like(window.sums))

    def observe(self, window: LabelledWindow, loss: Loss, former: Loss) -> None:
        """Take a window.

        Parameters
        ----------
        window
            The window.
        loss
            Against the training data.
        former
            The same loss in the regime that was told.
        """
        now = window.amount(loss, window.sums)
        score = self.score + now.rows * (loss.mean + former.mean) / 2 - now.total
        if score <= 0:
            self.sums, self.score, self.rows, self.windows = np.zeros_like(self.sums), 0.0, 0, 0
            return
        if not self.windows:
            self.since = window.start
        self.sums = self.sums + window.sums
        self.score, self.rows, self.windows = score, self.rows + window.rows, self.windows + 1

    def settled(self, window: LabelledWindow, loss: Loss, former: Loss) -> bool:
        """Whether it has lasted long enough, and is a tolerance below what was told, for certain.

        Parameters
        ----------
        window
            The newest window.
        loss, former
            As of `observe`.
        """
        if self.windows < POOL_WINDOWS or self.rows < SETTLED_ROWS:
            return False
        now = window.amount(loss, self.sums)
        return self._below(window, loss, former, BETTER) and now.mean < former.mean - window.tolerance * loss.mean

    def certain(self, window: LabelledWindow, loss: Loss, former: Loss) -> bool:
        """Whether it is so far below what was told that the loss has changed, of however few rows that figure was.

        Parameters
        ----------
        window, loss, former
            As of `settled`.
        """
        return self._below(window, loss, former, LOOKED_WORSE)

    def _below(self, window: LabelledWindow, loss: Loss, former: Loss, errors: float) -> bool:
        """Whether it lies so many standard errors below what was told."""
        now = window.amount(loss, self.sums)
        reach = errors * math.hypot(now.standard_error(loss.design_effect), former.error)
        return bool(now.rows) and now.mean + reach < former.mean

    def back(self, window: LabelledWindow, loss: Loss) -> bool | None:
        """Whether it is like the training data's: within half the tolerance, give or take a standard error; None while
        its rows cannot tell.
        """
        now, allowed = window.amount(loss, self.sums), loss.mean * (1 + window.tolerance / 2)
        error = now.standard_error(loss.design_effect)
        if now.mean - error <= allowed:
            return True
        return False if now.mean - BETTER * error > allowed else None
