"""The risk: is the model's mean loss above what its training data and its tolerance allow?

A bet on a larger mean loss starts with every window; the sum over starts stays below ``c`` for ``c`` windows on
average while the null hypothesis holds (e-SR, as in `Detector`). A bet's wealth over a stretch is a product over its
windows, so the sum needs one number a bet, and the best start another: memory does not grow.
"""

import msgspec
import numpy as np
from scipy.special import logsumexp


class Risk(msgspec.Struct, kw_only=True, eq=False):
    """All that the evidence of a larger loss remembers; arrays are [losses, bets].

    Parameters
    ----------
    windows
        Windows taken so far.
    summed, highest
        Logs: the sum of a bet's wealth over all starts, and its largest.
    starts, starts_ms
        Number and event time of the window that the largest began with.
    seen
        What was taken so far: rows with and without a label, then label sums, int64 [1 + 4 x score cells].
    before
        The same before each of those starts, int64 [losses, bets, 1 + 4 x score cells].
    """

    windows: int = 0
    summed: np.ndarray
    highest: np.ndarray
    starts: np.ndarray
    starts_ms: np.ndarray
    seen: np.ndarray
    before: np.ndarray

    @classmethod
    def over(cls, losses: int, bets: int, cells: int) -> "Risk":
        """Begin with nothing staked.

        Parameters
        ----------
        losses
            Losses that are watched together.
        bets
            Bets on each.
        cells
            Score cells of label sums.
        """
        shape = (losses, bets)
        return cls(
            summed=np.full(shape, -np.inf),
            highest=np.zeros(shape),
            starts=np.zeros(shape, np.int64),
            starts_ms=np.zeros(shape, np.int64),
            seen=np.zeros(1 + 4 * cells, np.int64),
            before=np.zeros((*shape, 1 + 4 * cells), np.int64),
        )

    def restarted(self) -> "Risk":
        """Begin again."""
        losses, bets = self.summed.shape
        return Risk.over(losses, bets, len(self.seen) // 4)

    def observe(self, growth: np.ndarray, rows: int, sums: np.ndarray, start_ms: int) -> None:
        """Take a window's final labels.

        Parameters
        ----------
        growth
            Log of what each bet made of 1 in the window, float64 [losses, bets]; see `drift.performance.losses`.
        rows, sums, start_ms
            Its rows, its label sums, int64 [score cells, 4], and the event time of its start.
        """
        fresh = self.highest <= 0  # A new start does better than any that is left.
        self.starts[fresh], self.starts_ms[fresh] = self.windows, start_ms
        self.before[fresh] = self.seen
        self.highest = np.maximum(self.highest, 0.0) + growth
        self.summed = np.logaddexp(self.summed, 0.0) + growth
        self.seen = self.seen + np.concatenate([[rows], sums.ravel()])
        self.windows += 1

    @property
    def by_loss(self) -> np.ndarray:
        """Log of each loss's evidence, [losses]: their mean is the evidence of a larger loss."""
        losses, bets = self.summed.shape
        log_evidence: np.ndarray = logsumexp(self.summed, axis=1) - np.log(losses * bets)
        return log_evidence

    @property
    def log_evidence(self) -> float:
        """Log of the evidence of a larger loss."""
        return float(logsumexp(self.by_loss))

    @property
    def newest(self) -> bool:
        """Whether the best stretch of the loss with the most evidence is no longer than the newest window."""
        loss = int(self.by_loss.argmax())
        return int(self.starts[loss, int(self.highest[loss].argmax())]) >= self.windows - 1

    def change_point(self, loss: int) -> tuple[int, int, int]:
        """Event time since when a loss has been larger, and an interval: the starts of all bets that do nearly as well
        (log-likelihood ratio within 1.92).
        """
        best = int(self.highest[loss].argmax())
        near = self.starts_ms[loss][self.highest[loss] >= self.highest[loss, best] - 1.92]
        return int(self.starts_ms[loss, best]), int(near.min()), int(near.max())

    def stretch(self, loss: int) -> tuple[int, np.ndarray]:
        """Rows, and label sums int64 [score cells, 4], since that time."""
        since = self.seen - self.before[loss, int(self.highest[loss].argmax())]
        return int(since[0]), since[1:].reshape(-1, 4)
