"""Harm: the incident of a model that predicts worse than on its training data, whether or not any column has moved.

Two gates, as for columns. Evidence that the mean loss has grown (beyond the reference's bound, and half the tolerance)
opens an incident, a warning that pages nobody; once the loss since then lies above the tolerance for certain, it is
critical and pages, mostly in the same breath. An improvement never does.
"""

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from drift.evidence.risk import Risk
from drift.incidents import harm_alerts
from drift.incidents.labelled import Labelled
from drift.incidents.moved import POOL_ROWS, POOL_WINDOWS, POOLS_QUIET
from drift.performance.losses import Loss, growth
from streams.records import Alert

#: Standard errors by which a loss must lie above its tolerance, over all rows since its change point: one looks window
#: after window, and two of them would be passed by chance sooner or later. The newest pool alone, by which a long small
#: harm that suddenly grows is seen, begins anew again and again, so it takes more of them.
CERTAIN, CERTAIN_OF_POOL = 3.0, 4.0


class Standing(msgspec.Struct, kw_only=True, eq=False):
    """The open incident: the loss that it is about, its latest alert, and the label sums that may close it."""

    metric: str
    last: Alert
    pooled: np.ndarray
    pool_windows: int = 0
    pools_quiet: int = 0


class Harm(msgspec.Struct, kw_only=True, eq=False):
    """What is known of the harm that a model version does: the evidence, or the incident while one is open.

    A window is taken once, when its labels have had their time:

    1. The evidence for a larger mean loss grows or shrinks; at the budget it opens an incident.
    2. Until an open one pages, every window asks whether the loss is above its tolerance for certain.
    3. It closes when pool after pool of rows is back within half the tolerance; evidence then begins anew.
    """

    risk: Risk
    open: Standing | None = None

    @classmethod
    def begin(cls, losses: Sequence[Loss], cells: int) -> "Harm":
        """Begin with nothing staked, for label sums of so many score cells."""
        return cls(risk=Risk.over(len(losses), len(losses[0].bets), cells))

    def take(self, window: Labelled, number: Callable[[], int]) -> list[Alert]:
        """Take a window; returns what is to be told. ``number`` gives the next incident's number."""
        if window.labelled <= 0:
            return []
        if self.open is None or not self.open.last.page:
            made = np.stack([growth(window.reference, loss, window.sums) for loss in window.losses])
            self.risk.take(made, window.rows, window.sums, window.start)
        if self.open is not None:
            return self._page(window, self.open) + self._rest(window, self.open)
        at = int(self.risk.by_loss.argmax())
        if not window.opens or not window.alarming(self.risk.log_evidence) or self._improved(window, at):
            return []
        page = _certain(window, window.losses[at], self.risk.stretch(at)[1], CERTAIN)
        told = harm_alerts.telling(window, self.risk, at, f"{window.model}-{number()}/1", "open", page)
        self.open = Standing(metric=window.losses[at].metric, last=told, pooled=np.zeros_like(window.sums))
        return [told]

    def close(self, ts: int, why: str) -> list[Alert]:
        """Close what is open, at an event time, for a reason; evidence begins anew."""
        if self.open is None:
            return []
        told = harm_alerts.farewell(self.open.last, ts, why)
        self.open, self.risk = None, self.risk.anew()
        return [told]

    def _improved(self, window: Labelled, at: int) -> bool:
        """Whether predictions are no more often wrong than on the training data, whatever their probabilities."""
        headline = window.losses[0]
        return window.amount(headline, self.risk.stretch(at)[1]).mean <= headline.mean

    def _page(self, window: Labelled, standing: Standing) -> list[Alert]:
        """Page for an incident that has not, once its loss is above the tolerance for certain."""
        at = int(self.risk.by_loss.argmax())
        if standing.last.page or self._improved(window, at):
            return []
        since = ((self.risk.stretch(at)[1], CERTAIN), (standing.pooled + window.sums, CERTAIN_OF_POOL))
        if not any(_certain(window, window.losses[at], sums, errors) for sums, errors in since):
            return []
        standing.metric = window.losses[at].metric
        name = harm_alerts.next_id(standing.last)
        standing.last = harm_alerts.telling(window, self.risk, at, name, "update", page=True)
        return [standing.last]

    def _rest(self, window: Labelled, standing: Standing) -> list[Alert]:
        """Pool this window's labels; close if pool after pool has been like the reference."""
        loss = next((loss for loss in window.losses if loss.metric == standing.metric), window.losses[0])
        standing.pooled = standing.pooled + window.sums
        standing.pool_windows += 1
        pool = window.amount(loss, standing.pooled)
        if standing.pool_windows < POOL_WINDOWS or pool.rows < POOL_ROWS:
            return []
        quiet = pool.mean < loss.mean * (1 + window.tolerance / 2)
        standing.pools_quiet = standing.pools_quiet + 1 if quiet else 0
        standing.pooled, standing.pool_windows = np.zeros_like(standing.pooled), 0
        if standing.pools_quiet < POOLS_QUIET:
            return []
        standing.last = msgspec.structs.replace(standing.last, window_start=window.start, window_end=window.end)
        return self.close(window.end, f"{harm_alerts.name(loss)} is back, within half the tolerance")


def _certain(window: Labelled, loss: Loss, sums: np.ndarray, errors: float) -> bool:
    """Whether a loss is so many standard errors, the training data's among them, above its tolerance."""
    now, allowed = window.amount(loss, sums), 1 + window.tolerance
    reach = errors * math.hypot(now.standard_error(loss.design_effect), allowed * loss.error)
    return now.mean - reach > allowed * loss.mean
