"""Realised loss: the incident of a model that predicts worse than on its training data, whatever its columns do.

Two gates, as for columns. Evidence that the mean loss has grown (beyond the reference's bound, and half the tolerance)
opens an incident, a warning that pages nobody; once the loss since then lies above the tolerance for certain, it is
critical and pages, mostly in the same breath. An improvement never does.

An open incident lives. Loss is then held against what was told: evidence begins anew against "not worse than that by
another tolerance", and when it is spent the incident is told, and pages, again. A loss that shrinks again is told to
chats; one that is back at the training data's closes the incident, and the next one is news.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
import numpy as np

from drift.evidence.loss_detector import Risk
from drift.incidents import loss_findings as findings
from drift.incidents.book import Finding
from drift.incidents.changed_column import SETTLED_ROWS
from drift.incidents.labelled_window import LabelledWindow
from drift.incidents.loss_findings import CERTAIN, CERTAIN_OF_POOL, certain
from drift.incidents.loss_incident import LossIncident
from drift.incidents.loss_regime import Regime, Relief
from drift.incidents.loss_stretch import LossStretch
from drift.performance.losses import Loss, growth
from streams.wire.records import Alert


class RealisedLoss(msgspec.Struct, kw_only=True, eq=False):
    """What is known of a model version's loss: the evidence, and the incident while one is open.

    A window is observed once, when its labels have had their time:

    1. The evidence for a larger mean loss grows or shrinks; at the budget it opens an incident.
    2. Until an open one is material, every window asks whether the loss is above its tolerance for certain.
    3. From then on the evidence is about a further tolerance above what was told, and tells of it.
    4. A loss that has shrunk for long enough is told, and closes the incident if it is like the training data's; so
       does pool after pool of rows that are back within half the tolerance. Evidence then begins anew.
    """

    risk: Risk
    open: LossIncident | None = None

    @classmethod
    def begin(cls, losses: Sequence[Loss], cells: int) -> "RealisedLoss":
        """Begin with nothing staked, for label sums of so many score cells."""
        return cls(risk=Risk.over(len(losses), len(losses[0].bets), cells))

    @property
    def last(self) -> Alert | None:
        """The latest alert of the open incident."""
        return None if self.open is None else self.open.last

    @last.setter
    def last(self, alert: Alert | None) -> None:
        if alert is None:
            self.open, self.risk = None, self.risk.restarted()
        elif self.open is not None:
            self.open.last = alert

    def observe(self, window: LabelledWindow) -> Iterator[Finding]:
        """Take a window; each finding is to be told before the next is asked for."""
        if window.labelled <= 0:
            return
        incident = self.open
        if incident is not None and incident.recover():
            self.risk = self.risk.restarted()  # Its evidence was against the training data.
        if incident is None or incident.reported is None:
            self._bet(window, window.losses)
            yield from self._open(window) if incident is None else self._page(window, incident)
        else:
            yield from self._live(window, incident, incident.reported)

    def _bet(self, window: LabelledWindow, losses: Sequence[Loss]) -> int:
        """Take the window as evidence against these losses; returns the place of the one with the most."""
        made = np.stack([growth(window.reference, loss, window.sums) for loss in losses])
        self.risk.observe(made, window.rows, window.sums, window.start)
        return int(self.risk.by_loss.argmax())

    def _open(self, window: LabelledWindow) -> list[Finding]:
        at = int(self.risk.by_loss.argmax())
        alarming = window.context.opens and window.alarming(self.risk.log_evidence)
        if not alarming or self._improved(window, window.losses, at):
            return []
        page = certain(window, window.losses[at], self.risk.stretch(at)[1], CERTAIN)
        stretch = self._stretch(window, at)
        self.open = LossIncident(metric=stretch.loss.metric, pooled=np.zeros_like(window.sums))
        if page:
            self._report(self.open, stretch)
        return [findings.opening(stretch, "open", page)]

    def _page(self, window: LabelledWindow, incident: LossIncident) -> list[Finding]:
        """Page for an incident that has not, once its loss is above the tolerance for certain."""
        at = int(self.risk.by_loss.argmax())
        if self._improved(window, window.losses, at):
            return self._rest(window, incident)
        since = ((self.risk.stretch(at)[1], CERTAIN), (incident.pooled + window.sums, CERTAIN_OF_POOL))
        if not any(certain(window, window.losses[at], sums, errors) for sums, errors in since):
            return self._rest(window, incident)
        stretch = self._stretch(window, at)
        incident.metric = stretch.loss.metric
        self._report(incident, stretch)
        return [findings.opening(stretch, "update", page=True)]

    def _live(self, window: LabelledWindow, incident: LossIncident, reported: Regime) -> Iterator[Finding]:
        """Go on with an incident that was told: it grows by another tolerance, shrinks, ends, or stays."""
        assert incident.last is not None
        losses = reported.losses(window)
        at = self._bet(window, losses)
        loss, was = incident.loss_of(window.losses), incident.loss_of(losses)
        relief = incident.relief = incident.relief or Relief.none(window)
        relief.observe(window, loss, was)
        if relief.settled(window, loss, was) and (ended := relief.back(window, loss)) is not None:
            same = not reported.settled and not relief.certain(window, loss, was)
            yield from self._better(
                window, incident, reported, relief, "back" if ended else "same" if same else "nearer"
            )
            return
        further = certain(window, losses[at], self.risk.stretch(at)[1], CERTAIN)
        if not window.alarming(self.risk.log_evidence) or not further or self._improved(window, losses, at):
            joins = self.risk.newest and relief.windows <= 1
            if reported.observe(window, joins):
                yield from self._correct(window, incident, reported)
            yield from self._rest(window, incident)
            return
        stretch = self._stretch(window, at)
        incident.metric = stretch.loss.metric
        finding = findings.further(stretch, incident.last, reported, incident.worst or reported)
        self._report(incident, stretch)
        yield finding

    def _correct(self, window: LabelledWindow, incident: LossIncident, reported: Regime) -> list[Finding]:
        """Say how a loss that was told of few rows stands now, if that is another by more than the tolerance."""
        assert incident.last is not None
        stretch = self._of(window, incident, reported.since, reported.rows, reported.sums)
        told_mean = stretch.loss.mean * (1 + incident.last.columns[0].effect)
        if abs(stretch.mean(reported.sums) - told_mean) <= window.tolerance * told_mean:
            return []
        return [findings.settled(stretch, incident.last)]

    def _better(
        self,
        window: LabelledWindow,
        incident: LossIncident,
        reported: Regime,
        relief: Relief,
        outcome: Literal["same", "nearer", "back"],
    ) -> list[Finding]:
        """Tell of a loss that has shrunk, and close the incident if that ended it. It is the ``same`` where it was told
        of few rows, when it looked worst.
        """
        assert incident.last is not None
        if outcome == "same":
            reported.absorb(relief.rows, relief.sums)
            incident.relief = None
            return self._correct(window, incident, reported)
        stretch, worst = self._of(window, incident, relief.since, relief.rows, relief.sums), incident.worst or reported
        if outcome == "back":
            return [findings.back(stretch, incident.last, worst)]
        finding = findings.better(stretch, incident.last, reported, worst)
        self._report(incident, stretch)
        return [finding]

    def _rest(self, window: LabelledWindow, incident: LossIncident) -> list[Finding]:
        """Pool this window's labels; close if pool after pool has been like the reference."""
        assert incident.last is not None
        pool = incident.pool(window)
        if pool is None:
            return []
        rows, sums = pool
        stretch = self._of(window, incident, window.start, rows, sums)
        return [findings.back(stretch, incident.last, incident.worst or incident.reported)]

    def _stretch(self, window: LabelledWindow, at: int) -> LossStretch:
        """The stretch that the evidence of one loss speaks of."""
        (since, low, high), (rows, sums) = self.risk.change_point(at), self.risk.stretch(at)
        return LossStretch(window, at, since, (low, high), rows, sums, self.risk.log_evidence)

    def _of(
        self, window: LabelledWindow, incident: LossIncident, since: int, rows: int, sums: np.ndarray
    ) -> LossStretch:
        """A stretch of the loss that an incident is about."""
        at = [loss.metric for loss in window.losses].index(incident.loss_of(window.losses).metric)
        return LossStretch(window, at, since, (since, since), rows, sums, self.risk.log_evidence)

    def _report(self, incident: LossIncident, stretch: LossStretch) -> None:
        """Hold the loss against what is told now from here on: the evidence begins anew."""
        worst = incident.worst or incident.reported
        is_worst = worst is None or stretch.mean(stretch.sums) > stretch.mean(worst.sums)
        incident.worst = None if is_worst else worst
        settled = stretch.rows >= SETTLED_ROWS
        incident.reported = Regime(since=stretch.since, rows=stretch.rows, sums=stretch.sums, settled=settled)
        incident.relief = None
        incident.begin_pools()
        self.risk = self.risk.restarted()

    def _improved(self, window: LabelledWindow, losses: Sequence[Loss], at: int) -> bool:
        """Whether predictions are no more often wrong than in the baseline, whatever their probabilities."""
        headline = losses[0]
        return window.amount(headline, self.risk.stretch(at)[1]).mean <= headline.mean
