"""The open incident of a realised loss: what it has told, and whether the loss is back."""

from collections.abc import Sequence

import msgspec
import numpy as np

from drift.incidents.changed_column import POOL_ROWS, POOL_WINDOWS, POOLS_QUIET
from drift.incidents.labelled_window import LabelledWindow
from drift.incidents.loss_regime import Regime, Relief
from drift.performance.losses import Loss
from streams.wire.records import Alert


class LossIncident(msgspec.Struct, kw_only=True, eq=False):
    """The open incident.

    Parameters
    ----------
    metric
        The loss that it is about.
    last
        Its latest alert; None until the first is made.
    pooled, pool_windows, pools_quiet
        Label sums since the last pool was judged, int64 [score cells, 4], their windows, and the pools in a row that
        were like the training data.
    reported
        What was told last; None before anything was material.
    worst
        The worst that was told, if something better was told since. A regime grows, so it has one place here: held in
        two, it would be one before a restart and two after it.
    relief
        The stretch since when the loss has been smaller again.
    """

    metric: str
    last: Alert | None = None
    pooled: np.ndarray
    pool_windows: int = 0
    pools_quiet: int = 0
    reported: Regime | None = msgspec.field(default=None, name="told")
    worst: Regime | None = None
    relief: Relief | None = None

    def loss_of(self, losses: Sequence[Loss]) -> Loss:
        """The loss that it is about; the headline where that one is not judged any more."""
        return next((loss for loss in losses if loss.metric == self.metric), losses[0])

    def recover(self) -> bool:
        """Make what was reported out of the latest alert, in a snapshot from before it was kept; whether it is one."""
        if self.reported is not None or self.last is None or not self.last.page:
            return False
        figure = self.last.columns[0]
        sums = np.reshape(figure.counts, (-1, 4)).astype(np.int64)
        self.reported = Regime(since=figure.change_point, rows=figure.n, sums=sums)
        return True

    def begin_pools(self) -> None:
        """Begin to pool."""
        self.pooled, self.pool_windows, self.pools_quiet = np.zeros_like(self.pooled), 0, 0

    def pool(self, window: LabelledWindow) -> tuple[int, np.ndarray] | None:
        """Pool a window's labels; returns the pool, its rows with a label and its sums, once enough in a row have been
        like the training data.
        """
        loss = self.loss_of(window.losses)
        self.pooled = self.pooled + window.sums
        self.pool_windows += 1
        pool = window.amount(loss, self.pooled)
        if self.pool_windows < POOL_WINDOWS or pool.rows < POOL_ROWS:
            return None
        quiet = pool.mean < loss.mean * (1 + window.tolerance / 2)
        self.pools_quiet = self.pools_quiet + 1 if quiet else 0
        sums, self.pooled, self.pool_windows = self.pooled, np.zeros_like(self.pooled), 0
        return (pool.rows, sums) if self.pools_quiet >= POOLS_QUIET else None
