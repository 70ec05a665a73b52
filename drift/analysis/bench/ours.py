"""Our own engine as a contestant: evidence and the rules of incidents, as the judge has them, without its reports."""

from itertools import count

import numpy as np

from drift.evidence import Detector
from drift.incidents import EvidenceWindow, Incidents
from drift.incidents.book import Book
from drift.incidents.closed_window import MonitorContext
from drift.reference.baseline import Baseline
from streams.wire.records import MINUTE_MS, Watch


class Ours:
    """One stream of windows of one model.

    Parameters
    ----------
    baseline
        The reference.
    watch
        Budget and tolerances.

    Attributes
    ----------
    opened, paged
        Number of the window (from 0) that opened the first incident, and of the one by which it was material, so that
        a route that pages from ``watch`` on had paged; None before.
    named
        Columns that the first incident named when it opened.

    >>> import pandas as pd
    >>> from drift import Reference
    >>> baseline = Baseline(Reference.fit(pd.DataFrame({"city": ["Rome", "Oslo"] * 500})))
    >>> ours = Ours(baseline, Watch(false_alarm_every=1000))
    >>> ours.observe(np.array([200, 0, 0, 0])), ours.opened, ours.named
    (True, 0, ('city',))
    """

    def __init__(self, baseline: Baseline, watch: Watch) -> None:
        self._baseline = baseline
        self._watch = watch
        self._detector = Detector.over(baseline.contrasts, baseline.reference.expected)
        self._incidents = Incidents()
        self._book = Book(count(1).__next__)
        self._context = MonitorContext(model="bench", version="v1", epoch=0, watch=watch)
        self.log_evidence = 0.0
        self.opened: int | None = None
        self.paged: int | None = None
        self.named: tuple[str, ...] = ()

    def observe(self, counts: np.ndarray) -> bool:
        """Take a window's counts, int64 [cells of all columns]; returns whether an incident has opened by now."""
        number = self._detector.windows
        rows = int(counts[self._baseline.cells(0)].sum())
        look = self._detector.observe(self._baseline.contrasts, self._baseline.spread, counts, rows, number * MINUTE_MS)
        window = EvidenceWindow(
            context=self._context,
            start=number * MINUTE_MS,
            end=(number + 1) * MINUTE_MS,
            baseline=self._baseline,
            detector=self._detector,
            look=look,
            counts=counts,
        )
        self.log_evidence = window.log_total
        for incident, finding in self._incidents.observe(window, self._book.number):
            alert = self._book.tell(incident, window, finding)
            if self.opened is None:
                self.opened, self.named = number, tuple(column.name for column in alert.columns)
            if self.paged is None and alert.reach == "page":
                self.paged = number
        return self.opened is not None
