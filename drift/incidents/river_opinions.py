"""River opinions: what River's detectors find in the error or the score, told beside an alert as named evidence.

They open, close and page nothing, for none of them keeps to the budget of false alarms; but their names are known, and
a detector that sees a change, too, is worth a clause. River's detectors cannot be serialised, so none is kept. A
`MeanSeries` keeps the last windows as plain numbers, and new detectors are fed with it whenever an alert is written:
the same windows give the same opinions, in whichever process, and a window costs three numbers.

===============  ==========================================================  ========================================
detector         what it is fed with                                         settings, where they are not River's own
===============  ==========================================================  ========================================
ADWIN            each window's mean                                          every window is looked at: ``clock`` and
                                                                             ``min_window_length`` 1
Page-Hinkley     each window's mean                                          half a standard deviation of slack, and 8
                                                                             to alarm: by chance once in 9,500
                                                                             windows (Siegmund's formula)
KSWIN            each window's mean, the last 30 of 100; never each row      a fixed seed
HDDM-A           wrong or right, row by row: where a class is predicted      none
===============  ==========================================================  ========================================

A mean is given in standard deviations, times the root of its rows, for windows differ in size. That deviation is taken
from the steps between neighbours before the change (their median size), so no setting knows of the unit of a loss or of
a score. Order within a window is not known: wrong rows are spread evenly, the calmest order
that there is, which makes HDDM-A rather late than wrong.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from operator import itemgetter
from statistics import median
from typing import Any, Literal

import msgspec

from drift.incidents.book import extended
from drift.incidents.closed_window import ClosedWindow
from drift.incidents.text import Text, joined, names, since, text
from streams.wire.records import Alert, Opinion

Of = Literal["error", "score"]
#: Windows that a series keeps: four hours of minutes.
WINDOWS_MAX = 256
#: Row by row so many of the newest are used, so many rows at most (12 us each); of more, all are thinned alike.
DEALT_WINDOWS_MAX, DEALT_ROWS_MAX = 48, 8_000
#: What is usual is learnt from the windows before the change if there are so many, else from all.
USUAL_WINDOWS_MIN = 30
#: Median size of the difference of two normal values, in standard deviations.
_STEP = 0.9539


class MeanSeries(msgspec.Struct, kw_only=True, eq=False):
    """How a mean went: the newest windows' starts (ms), rows, and means.

    They are what was judged: a row or a label that comes later restates its report, as it does for all evidence.

    >>> series = MeanSeries()
    >>> series.observe(0, 200, 0.25)
    >>> series.starts, series.rows, series.means
    ([0], [200], [0.25])
    """

    starts: list[int] = []
    rows: list[int] = []
    means: list[float] = []

    def observe(self, start: int, rows: int, mean: float) -> None:
        """Take a window; the oldest leaves where there are too many. A window without rows is left out.

        Parameters
        ----------
        start
            Its event time, ms.
        rows, mean
            Its rows, and their mean.
        """
        if rows <= 0:
            return
        for kept, value in ((self.starts, start), (self.rows, rows), (self.means, mean)):
            kept.append(value)  # type: ignore[arg-type]
            del kept[:-WINDOWS_MAX]


def with_river(alert: Alert, window: ClosedWindow, series: MeanSeries, of: Of, binary: bool = False) -> Alert:
    """Add to an alert of predictions or performance what River's detectors find since its change point.

    Parameters
    ----------
    alert
        The alert.
    window
        Its window.
    series, of
        The mean error or the mean score, the alert's window included, and which of them it is.
    binary
        Whether each row was either wrong or right.
    """
    if alert.kind not in ("prediction", "performance") or alert.event == "close":
        return alert
    since_ms = alert.later[-1] if alert.later else alert.change_point_low
    several = opinions(series, of, binary, since_ms)
    return extended(alert, clause(several), window.spell, opinions=several)


def opinions(series: MeanSeries, of: Of, binary: bool, since_ms: int) -> list[Opinion]:
    """What each detector finds: the start of the first window, from an event time on, at which it saw a change.

    Parameters
    ----------
    series, of, binary
        As of `with_river`.
    since_ms
        The event time.

    Returns
    -------
    An opinion a detector, with None where it saw no change; nothing where River is not installed (the extra
    `detectors`).
    """
    try:
        from river.drift import ADWIN, KSWIN, PageHinkley  # Loads scikit-learn, and takes a second.
        from river.drift.binary import HDDMA
    except ImportError:
        return []
    means = list(zip(series.starts, _standard(series, since_ms), strict=False))  # Nothing where they do not vary.
    inputs: list[tuple[str, Any, Iterable[tuple[int, float]]]] = [
        ("ADWIN", ADWIN(clock=1, min_window_length=1), means),
        ("Page-Hinkley", PageHinkley(delta=0.5, threshold=8.0), means),
        ("KSWIN", KSWIN(seed=0), means),
    ]
    if binary:
        inputs.append(("HDDM-A", HDDMA(), _dealt(series)))
    return [Opinion(name, of, _first(detector, values, since_ms)) for name, detector, values in inputs]


def clause(several: list[Opinion]) -> Text:
    """Say which detectors see a change, since when; empty where none does.

    >>> from drift.incidents.text import plain, spelled
    >>> several = [Opinion("ADWIN", "error", 7), Opinion("KSWIN", "error", None), Opinion("HDDM-A", "error", 7)]
    >>> plain(spelled(clause([*several, Opinion("Page-Hinkley", "error", 9)]), str))
    "; River's detectors see the mean error change, too: ADWIN and HDDM-A since 7, Page-Hinkley since 9"
    """
    dates = sorted((opinion.since, opinion.detector) for opinion in several if opinion.since is not None)
    if not dates:
        return ()
    groups = [(date, [name for _, name in group]) for date, group in groupby(dates, key=itemgetter(0))]
    dated = joined([text(names(detectors), since(date)) for date, detectors in groups], ", ")
    return text(f"; River's detectors see the mean {several[0].of} change, too: ", dated)


def _standard(series: MeanSeries, since: int) -> list[float]:
    """Means in standard deviations from what was usual before ``since``; empty where they do not vary."""
    before = bisect_left(series.starts, since)
    for usual in (before if before >= USUAL_WINDOWS_MIN else 0, len(series.starts)):
        if usual < 2:
            continue
        middle = median(series.means[:usual])
        values = [(mean - middle) * math.sqrt(rows) for mean, rows in zip(series.means, series.rows, strict=True)]
        spread = median(abs(after - before) for before, after in pairwise(values[:usual])) / _STEP
        if spread > 0:
            return [value / spread for value in values]
    return []


def _dealt(series: MeanSeries) -> Iterator[tuple[int, float]]:
    """Wrong (1) and right (0) rows of the newest windows, those of a window spread evenly over it."""
    newest = slice(-DEALT_WINDOWS_MAX, None)
    kept = min(1.0, DEALT_ROWS_MAX / max(1, sum(series.rows[newest])))
    rows = wrong = 0.0
    for start, count, mean in zip(series.starts[newest], series.rows[newest], series.means[newest], strict=True):
        rows_before, wrong_before = round(rows), round(wrong)
        rows, wrong = rows + count * kept, wrong + count * kept * mean
        more, faults = round(rows) - rows_before, round(wrong) - wrong_before
        for n in range(more):
            yield start, float((n + 1) * faults // more - n * faults // more)


def _first(detector: Any, values: Iterable[tuple[int, float]], since: int) -> int | None:
    """Start of the first window from ``since`` on at which a detector finds a change."""
    for start, value in values:
        detector.update(value)
        if detector.drift_detected and start >= since:
            return start
    return None
