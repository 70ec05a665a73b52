"""Our own engine as a contestant: evidence and the rules of incidents, as the judge has them, without its reports."""

from itertools import count

import numpy as np

from drift.evidence import Detector
from drift.incidents import Incidents, Scene
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
    >>> ours.take(np.array([200, 0, 0, 0])), ours.opened, ours.named
    (True, 0, ('city',))
    """

    def __init__(self, baseline: Baseline, watch: Watch) -> None:
        self._baseline = baseline
        self._watch = watch
        self._detector = Detector.over(baseline.asked, baseline.reference.expected)
        self._incidents = Incidents()
        self._numbers = count(1).__next__
        self.log_evidence = 0.0
        self.opened: int | None = None
        self.paged: int | None = None
        self.named: tuple[str, ...] = ()

    def take(self, window: np.ndarray) -> bool:
        """Take a window's counts, int64 [cells of all columns]; returns whether an incident has opened by now."""
        number = self._detector.windows
        rows = int(window[self._baseline.cells(0)].sum())
        look = self._detector.take(self._baseline.asked, self._baseline.spread, window, rows, number * MINUTE_MS)
        scene = Scene(
            model="bench",
            version="v1",
            segment="",
            epoch=0,
            baseline=self._baseline,
            watch=self._watch,
            detector=self._detector,
            look=look,
            start=number * MINUTE_MS,
            end=(number + 1) * MINUTE_MS,
            window=window,
        )
        self.log_evidence = scene.log_total
        for alert in self._incidents.take(scene, self._numbers):
            if self.opened is None:
                self.opened, self.named = number, tuple(column.name for column in alert.columns)
            if self.paged is None and alert.reach == "page":
                self.paged = number
        return self.opened is not None
