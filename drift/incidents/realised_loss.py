"""Harm: the incident of a model that predicts worse than on its training data, whether or not any column has moved.

Two gates, as for columns. Evidence that the mean loss has grown (beyond the reference's bound, and half the tolerance)
opens an incident, a warning that pages nobody; once the loss since then lies above the tolerance for certain, it is
critical and pages, mostly in the same breath. An improvement never does.

An open incident lives. Loss is then held against what was told: evidence begins anew against "not worse than that by
another tolerance", and when it is spent the incident is told, and pages, again. A loss that shrinks again is told to
chats; one that is back at the training data's closes the incident, and the next one is news.
"""

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from drift.evidence.loss_detector import Risk
from drift.incidents import realised_loss_alerts
from drift.incidents.alert_ids import next_id
from drift.incidents.changed_column import POOL_ROWS, POOL_WINDOWS, POOLS_QUIET, SETTLE_ROWS
from drift.incidents.labelled_window import Labelled
from drift.incidents.loss_regime import Regime, Relief
from drift.incidents.realised_loss_alerts import Telling
from drift.performance.losses import Loss, growth
from streams.wire.records import Alert

#: Standard errors by which a loss must lie above its tolerance, over all rows since its change point: one looks window
#: after window, and two of them would be passed by chance sooner or later. The newest pool alone, by which a long small
#: harm that suddenly grows is seen, begins anew again and again, so it takes more of them.
CERTAIN, CERTAIN_OF_POOL = 3.0, 4.0


class Standing(msgspec.Struct, kw_only=True, eq=False):
    """The open incident.

    Parameters
    ----------
    metric
        The loss that it is about.
    last
        Its latest alert.
    pooled, pool_windows, pools_quiet
        Label sums since the last pool was judged, int64 [score cells, 4], their windows, and the pools in a row that
        were like the training data.
    told
        What was told last; None before anything was material.
    worst
        The worst that was told, if something better was told since. A regime grows, so it has one place here: held in
        two, it would be one before a restart and two after it.
    relief
        The stretch since when the loss has been smaller again.
    """

    metric: str
    last: Alert
    pooled: np.ndarray
    pool_windows: int = 0
    pools_quiet: int = 0
    told: Regime | None = None
    worst: Regime | None = None
    relief: Relief | None = None


class Harm(msgspec.Struct, kw_only=True, eq=False):
    """What is known of the harm that a model version does: the evidence, and the incident while one is open.

    A window is taken once, when its labels have had their time:

    1. The evidence for a larger mean loss grows or shrinks; at the budget it opens an incident.
    2. Until an open one is material, every window asks whether the loss is above its tolerance for certain.
    3. From then on the evidence is about a further tolerance above what was told, and tells of it.
    4. A loss that has shrunk for long enough is told, and closes the incident if it is like the training data's; so
       does pool after pool of rows that are back within half the tolerance. Evidence then begins anew.
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
        standing = self.open
        if standing is not None and standing.told is None and standing.last.page:
            # A snapshot from before regimes were kept; its evidence was against the training data.
            standing.told = _recalled(standing.last)
            self.risk = self.risk.anew()
        if standing is None or standing.told is None:
            self._bet(window, window.losses)
            return self._open(window, number) if standing is None else self._page(window, standing)
        return self._live(window, standing, standing.told)

    def close(self, ts: int, why: str) -> list[Alert]:
        """Close what is open, at an event time, for a reason; evidence begins anew."""
        if self.open is None:
            return []
        told = realised_loss_alerts.farewell(self.open.last, ts, why)
        self.open, self.risk = None, self.risk.anew()
        return [told]

    def _bet(self, window: Labelled, losses: Sequence[Loss]) -> int:
        """Take the window as evidence against these losses; returns the place of the one with the most."""
        made = np.stack([growth(window.reference, loss, window.sums) for loss in losses])
        self.risk.take(made, window.rows, window.sums, window.start)
        return int(self.risk.by_loss.argmax())

    def _open(self, window: Labelled, number: Callable[[], int]) -> list[Alert]:
        at = int(self.risk.by_loss.argmax())
        if not window.opens or not window.alarming(self.risk.log_evidence) or self._improved(window, window.losses, at):
            return []
        page = _certain(window, window.losses[at], self.risk.stretch(at)[1], CERTAIN)
        name = f"{window.model}-{number()}/1"
        telling = self._telling(window, at)
        told = realised_loss_alerts.opening(telling, name, "open", page)
        self.open = Standing(metric=telling.loss.metric, last=told, pooled=np.zeros_like(window.sums))
        if page:
            self._remember(self.open, telling)
        return [told]

    def _page(self, window: Labelled, standing: Standing) -> list[Alert]:
        """Page for an incident that has not, once its loss is above the tolerance for certain."""
        at = int(self.risk.by_loss.argmax())
        if self._improved(window, window.losses, at):
            return self._rest(window, standing)
        since = ((self.risk.stretch(at)[1], CERTAIN), (standing.pooled + window.sums, CERTAIN_OF_POOL))
        if not any(_certain(window, window.losses[at], sums, errors) for sums, errors in since):
            return self._rest(window, standing)
        telling = self._telling(window, at)
        standing.metric = telling.loss.metric
        standing.last = realised_loss_alerts.opening(telling, next_id(standing.last), "update", page=True)
        self._remember(standing, telling)
        return [standing.last]

    def _live(self, window: Labelled, standing: Standing, told: Regime) -> list[Alert]:
        """Go on with an incident that was told: it grows by another tolerance, shrinks, ends, or stays."""
        losses = told.losses(window)
        at = self._bet(window, losses)
        loss, was = _of(window.losses, standing.metric), _of(losses, standing.metric)
        relief = standing.relief = standing.relief or Relief.none(window)
        relief.take(window, loss, was)
        if relief.settled(window, loss, was) and (ended := relief.back(window, loss)) is not None:
            return self._better(window, standing, told, relief, ended)
        certain = _certain(window, losses[at], self.risk.stretch(at)[1], CERTAIN)
        if not window.alarming(self.risk.log_evidence) or not certain or self._improved(window, losses, at):
            return self._settle(window, standing, told, relief) + self._rest(window, standing)
        telling = self._telling(window, at)
        standing.metric = telling.loss.metric
        standing.last = realised_loss_alerts.further(telling, standing.last, told, standing.worst or told)
        self._remember(standing, telling)
        return [standing.last]

    def _settle(self, window: Labelled, standing: Standing, told: Regime, relief: Relief) -> list[Alert]:
        """Let what was told of few rows gain more, and correct it if it was off by more than the tolerance."""
        return (
            self._correct(window, standing, told) if told.take(window, self.risk.newest and relief.windows <= 1) else []
        )

    def _correct(self, window: Labelled, standing: Standing, told: Regime) -> list[Alert]:
        """Say how a loss that was told of few rows stands now, if that is another by more than the tolerance."""
        at = [loss.metric for loss in window.losses].index(_of(window.losses, standing.metric).metric)
        telling = Telling(window, at, told.since, (told.since,) * 2, told.rows, told.sums, self.risk.log_evidence)
        told_mean = telling.loss.mean * (1 + standing.last.columns[0].effect)
        if abs(telling.mean(told.sums) - told_mean) <= window.tolerance * told_mean:
            return []
        standing.last = realised_loss_alerts.settled(telling, standing.last)
        return [standing.last]

    def _better(self, window: Labelled, standing: Standing, told: Regime, relief: Relief, ended: bool) -> list[Alert]:
        """Tell of a loss that has shrunk, and close the incident if that ended it."""
        if not ended and not told.settled:  # It was told of few rows, when it looked worst.
            told.absorb(relief.rows, relief.sums)
            standing.relief = None
            return self._correct(window, standing, told)
        at = [loss.metric for loss in window.losses].index(_of(window.losses, standing.metric).metric)
        evidence = self.risk.log_evidence
        telling = Telling(window, at, relief.since, (relief.since,) * 2, relief.rows, relief.sums, evidence)
        if ended:
            alert = realised_loss_alerts.back(telling, standing.last, standing.worst or told)
            self.open, self.risk = None, self.risk.anew()
            return [alert]
        standing.last = realised_loss_alerts.better(telling, standing.last, told, standing.worst or told)
        self._remember(standing, telling)
        return [standing.last]

    def _rest(self, window: Labelled, standing: Standing) -> list[Alert]:
        """Pool this window's labels; close if pool after pool has been like the reference."""
        loss = _of(window.losses, standing.metric)
        standing.pooled = standing.pooled + window.sums
        standing.pool_windows += 1
        pool = window.amount(loss, standing.pooled)
        if standing.pool_windows < POOL_WINDOWS or pool.rows < POOL_ROWS:
            return []
        quiet = pool.mean < loss.mean * (1 + window.tolerance / 2)
        standing.pools_quiet = standing.pools_quiet + 1 if quiet else 0
        pooled, standing.pooled, standing.pool_windows = standing.pooled, np.zeros_like(standing.pooled), 0
        if standing.pools_quiet < POOLS_QUIET:
            return []
        at = list(window.losses).index(loss)
        telling = Telling(window, at, window.start, (window.start,) * 2, pool.rows, pooled, self.risk.log_evidence)
        alert = realised_loss_alerts.back(telling, standing.last, standing.worst or standing.told)
        self.open, self.risk = None, self.risk.anew()
        return [alert]

    def _telling(self, window: Labelled, at: int) -> Telling:
        """The stretch that the evidence of one loss speaks of."""
        (since, *between), (rows, sums) = self.risk.change_point(at), self.risk.stretch(at)
        return Telling(window, at, since, tuple(between), rows, sums, self.risk.log_evidence)

    def _remember(self, standing: Standing, telling: Telling) -> None:
        """Hold the loss against what was just told from here on: the evidence begins anew."""
        worst = standing.worst or standing.told
        is_worst = worst is None or telling.mean(telling.sums) > telling.mean(worst.sums)
        standing.worst = None if is_worst else worst
        standing.told = Regime(
            since=telling.since, rows=telling.rows, sums=telling.sums, settled=telling.rows >= SETTLE_ROWS
        )
        standing.relief = None
        self.risk = self.risk.anew()
        standing.pooled, standing.pool_windows = np.zeros_like(telling.sums), 0
        standing.pools_quiet = 0

    def _improved(self, window: Labelled, losses: Sequence[Loss], at: int) -> bool:
        """Whether predictions are no more often wrong than in the baseline, whatever their probabilities."""
        headline = losses[0]
        return window.amount(headline, self.risk.stretch(at)[1]).mean <= headline.mean


def _of(losses: Sequence[Loss], metric: str) -> Loss:
    return next((loss for loss in losses if loss.metric == metric), losses[0])


def _recalled(last: Alert) -> Regime:
    """The regime that an alert told of, out of what it carries."""
    figure = last.columns[0]
    return Regime(since=figure.change_point, rows=figure.n, sums=np.reshape(figure.counts, (-1, 4)).astype(np.int64))


def _certain(window: Labelled, loss: Loss, sums: np.ndarray, errors: float) -> bool:
    """Whether a loss is so many standard errors, its baseline's among them, above its tolerance."""
    now, allowed = window.amount(loss, sums), 1 + window.tolerance
    if not now.rows:
        return False
    reach = errors * math.hypot(now.standard_error(loss.design_effect), allowed * loss.error)
    return now.mean - reach > allowed * loss.mean
