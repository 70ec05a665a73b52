"""Second opinions: what River's detectors say of the error or of the score, told beside an alert as named evidence.

They open, close and page nothing, for none of them keeps to the budget of false alarms; but their names are known, and
one that sees a change, too, is worth a clause. River's detectors cannot be written down and read back, so none is held.
A `Course` keeps the last windows as plain numbers, and new detectors hear it again whenever an alert is written: the
same windows give the same opinions, in whichever process, and a window costs three numbers.

===============  ==========================================================  ========================================
detector         what it hears                                               settings, where they are not River's own
===============  ==========================================================  ========================================
ADWIN            each window's mean                                          every window is looked at: ``clock`` and
                                                                             ``min_window_length`` 1
Page-Hinkley     each window's mean                                          half a standard deviation of slack, and 8
                                                                             to alarm: by chance once in 9,500
                                                                             windows (Siegmund's formula)
KSWIN            each window's mean, the last 30 of 100; never each row      a fixed seed
HDDM-A           wrong or right, row by row: where a class is predicted      none
===============  ==========================================================  ========================================

A mean is heard in standard deviations, times the root of its rows, for windows differ in size. That deviation is taken
from the steps between neighbours before the change (their median size), so no setting knows of the unit of a loss or of
a score. Order within a window is not known: wrong rows are spread evenly, the calmest order
that there is, which makes HDDM-A rather late than wrong.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise
from statistics import median
from typing import Any, Literal

import msgspec

from drift.incidents.spelling import listed
from streams.wire.records import Alert, Opinion

#: Windows that a course keeps: four hours of minutes.
WINDOWS_MAX = 256
#: Row by row the newest of them are heard, so many rows at most (12 us each); of more, all are thinned alike.
DEALT_WINDOWS_MAX, DEALT_ROWS_MAX = 48, 8_000
#: What is usual is learnt from the windows before the change if there are so many, else from all.
USUAL_WINDOWS_MIN = 30
#: Median size of the difference of two normal values, in standard deviations.
_STEP = 0.9539


class Course(msgspec.Struct, kw_only=True, eq=False):
    """How a mean went: the newest windows' starts (ms), rows, and means.

    They are what was judged: a row or a label that comes later restates its report, as it does for all evidence.

    >>> course = Course()
    >>> course.take(0, 200, 0.25)
    >>> course.starts, course.rows, course.means
    ([0], [200], [0.25])
    """

    starts: list[int] = []
    rows: list[int] = []
    means: list[float] = []

    def take(self, start: int, rows: int, mean: float) -> None:
        """Take a window; the oldest leaves where there are too many. One without rows says nothing."""
        if rows <= 0:
            return
        for held, value in ((self.starts, start), (self.rows, rows), (self.means, mean)):
            held.append(value)  # type: ignore[arg-type]
            del held[:-WINDOWS_MAX]


def asked(
    alert: Alert, course: Course, of: Literal["error", "score"], binary: bool, say: Callable[[int], str]
) -> Alert:
    """Add to an alert of predictions or performance what River's detectors say of a change since its change point.

    Parameters
    ----------
    course
        Of the mean error or the mean score, the alert's window included.
    binary
        Whether each row was either wrong or right.
    say
        Spells an event time.
    """
    if alert.kind not in ("prediction", "performance") or alert.event == "close":
        return alert
    found = opinions(course, of, binary, alert.later[-1] if alert.later else alert.change_point_low)
    return msgspec.structs.replace(alert, opinions=found, text=alert.text + clause(found, say))


def opinions(course: Course, of: Literal["error", "score"], binary: bool, since: int) -> list[Opinion]:
    """What each detector says: the start of the first window, from an event time on, at which it found a change.

    None where it has found none; no opinion at all where River is not installed (the extra `detectors`).
    """
    try:
        from river.drift import ADWIN, KSWIN, PageHinkley  # Loads scikit-learn, and takes a second.
        from river.drift.binary import HDDMA
    except ImportError:
        return []
    means = list(zip(course.starts, _standard(course, since), strict=False))  # Nothing where they do not vary.
    heard: list[tuple[str, Any, Iterable[tuple[int, float]]]] = [
        ("ADWIN", ADWIN(clock=1, min_window_length=1), means),
        ("Page-Hinkley", PageHinkley(delta=0.5, threshold=8.0), means),
        ("KSWIN", KSWIN(seed=0), means),
    ]
    if binary:
        heard.append(("HDDM-A", HDDMA(), _dealt(course)))
    return [Opinion(name, of, _first(detector, values, since)) for name, detector, values in heard]


def clause(found: list[Opinion], say: Callable[[int], str]) -> str:
    """Say who sees a change, since when; empty where nobody does.

    >>> found = [Opinion("ADWIN", "error", 7), Opinion("KSWIN", "error", None), Opinion("HDDM-A", "error", 7)]
    >>> clause([*found, Opinion("Page-Hinkley", "error", 9)], str)
    "; River's detectors see the mean error change, too: ADWIN and HDDM-A since 7, Page-Hinkley since 9"
    """
    fired = sorted((one.since, one.detector) for one in found if one.since is not None)
    groups = [(since, [name for _, name in several]) for since, several in groupby(fired, key=lambda one: one[0])]
    if not groups:
        return ""
    dated = ", ".join(f"{listed(names)} since {say(since)}" for since, names in groups)
    return f"; River's detectors see the mean {found[0].of} change, too: {dated}"


def _standard(course: Course, since: int) -> list[float]:
    """Means in standard deviations from what was usual before ``since``; empty where they do not vary."""
    before = bisect_left(course.starts, since)
    for usual in (before if before >= USUAL_WINDOWS_MIN else 0, len(course.starts)):
        if usual < 2:
            continue
        middle = median(course.means[:usual])
        values = [(mean - middle) * math.sqrt(rows) for mean, rows in zip(course.means, course.rows, strict=True)]
        spread = median(abs(after - before) for before, after in pairwise(values[:usual])) / _STEP
        if spread > 0:
            return [value / spread for value in values]
    return []


def _dealt(course: Course) -> Iterator[tuple[int, float]]:
    """Wrong (1) and right (0) rows of the newest windows, those of a window spread evenly over it."""
    newest = slice(-DEALT_WINDOWS_MAX, None)
    kept = min(1.0, DEALT_ROWS_MAX / max(1, sum(course.rows[newest])))
    rows = wrong = 0.0
    for start, many, mean in zip(course.starts[newest], course.rows[newest], course.means[newest], strict=True):
        dealt, said = round(rows), round(wrong)
        rows, wrong = rows + many * kept, wrong + many * kept * mean
        more, faults = round(rows) - dealt, round(wrong) - said
        for place in range(more):
            yield start, float((place + 1) * faults // more - place * faults // more)


def _first(detector: Any, values: Iterable[tuple[int, float]], since: int) -> int | None:
    """Start of the first window from ``since`` on at which a detector finds a change."""
    for start, value in values:
        detector.update(value)
        if detector.drift_detected and start >= since:
            return start
    return None
