"""Peers: the detectors that people use, each over all columns, told of the same budget as far as it can be told.

===============  ==============================================================  ====================================
peer             what it asks                                                     its share of the budget
===============  ==============================================================  ====================================
KS + Bonferroni  every window, every column: SciPy's two-sample test of the        ``p < 1 / (c columns)``
                 window against the reference (levels: chi-squared)
PSI              every window, every column: deciles, levels, and null             its threshold is calibrated
ADWIN            River's, on every value of every column, one after the other      ``delta = clock / (c rows columns)``
Page-Hinkley     likewise                                                          its threshold is calibrated
===============  ==============================================================  ====================================

River's detectors see a number in units of the reference's standard deviation, a level as whether it is the most
frequent one, and pass over what is missing or infinite; they have seen rows of the reference before the stream begins.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numba import njit

from drift.cells.cells import Cells
from drift.statistics.chi2 import chi2
from drift.statistics.divergences import psi

#: Rows of the reference that the detectors of streams have seen.
WARM_UP_ROWS = 2_000
#: River's defaults.
FORGETTING, SLACK, VALUES_MIN = 1 - 0.0001, 0.005, 30
DECILES = np.arange(0.1, 1.0, 0.1)


class Window(NamedTuple):
    """A window: counts over all cells, flat, and each column's values: float32 numbers, or the cells of levels."""

    counts: np.ndarray
    values: Sequence[np.ndarray]


class Known(NamedTuple):
    """The reference as peers know it: its columns, and each one's values."""

    columns: Sequence[Cells]
    values: Sequence[np.ndarray]

    def present(self, column: int, values: np.ndarray) -> np.ndarray:
        """Values of a column that are there, and finite."""
        return _present(self.columns[column], values)


class Peer(Protocol):
    """A detector over all columns."""

    def observe(self, window: Window) -> float:
        """Take a window; returns the statistic in thresholds: above 1 it is an alarm."""
        ...


class KsBonferroni:
    """Two-sample tests, window by window, at a level that is shared by all columns."""

    def __init__(self, known: Known, every: float) -> None:
        self._known = known
        self._level = 1 / (every * len(known.columns))
        self._values = [np.sort(known.present(k, v)) for k, v in enumerate(known.values)]
        self._counts = [
            np.bincount(v, minlength=c.size) if c.kind != "numeric" else None for c, v in zip(*known, strict=True)
        ]

    def observe(self, window: Window) -> float:
        """Largest distance, in critical ones; of levels, the p-value's logarithm, in those of the level."""
        return max(self._of(k, values) for k, values in enumerate(window.values))

    def _of(self, column: int, values: np.ndarray) -> float:
        counts = self._counts[column]
        if counts is not None:
            p = chi2(counts, np.bincount(values, minlength=len(counts))).p_value
            return float(np.log(max(p, 1e-300)) / np.log(self._level))
        was, now = self._values[column], np.sort(self._known.present(column, values))
        if not len(was) or not len(now):
            return 0.0
        return distance(was, now) / critical_distance(self._level, len(was), len(now))


def distance(was: np.ndarray, now: np.ndarray) -> float:
    """Kolmogorov and Smirnov's distance of two sorted samples.

    >>> distance(np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.5, 3.5]))
    0.5
    """
    below, until = (np.searchsorted(was, now, side) / len(was) for side in ("left", "right"))
    first, last = (np.searchsorted(now, now, side) / len(now) for side in ("left", "right"))
    return float(max((last - until).max(), (below - first).max()))


@lru_cache(maxsize=4096)
def critical_distance(level: float, was: int, now: int) -> float:
    """Distance at which SciPy's ``ks_2samp(method="asymp")`` has a p-value of ``level``.

    Parameters
    ----------
    level
        p-value, 0 to 1.
    was, now
        Rows of the two samples.
    """
    from scipy.stats import kstwo

    return float(kstwo.isf(level, np.round(was * now / (was + now))))


class Psi:
    """Population stability index over deciles of the reference, with half a count in every cell."""

    def __init__(self, known: Known, threshold: float = 1.0) -> None:
        self._known = known
        self._threshold = threshold
        self._edges = [
            np.unique(np.quantile(there, DECILES))
            if c.kind == "numeric" and len(there := known.present(k, v))
            else None
            for k, (c, v) in enumerate(zip(*known, strict=True))
        ]
        self._counts = [self._cells(k, v) for k, v in enumerate(known.values)]

    def observe(self, window: Window) -> float:
        """Largest index of a column, in thresholds."""
        return max(psi(self._counts[k], self._cells(k, v)) for k, v in enumerate(window.values)) / self._threshold

    def _cells(self, column: int, values: np.ndarray) -> np.ndarray:
        cells, edges = self._known.columns[column], self._edges[column]
        if cells.kind != "numeric":
            return np.bincount(values, minlength=cells.size)
        edges = np.zeros(0) if edges is None else edges
        index = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="right"))
        return np.bincount(index, minlength=len(edges) + 2)


class _Streaming:
    """One detector of River's for every column, fed value by value."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._centre, self._spread, self._usual = [], [], []
        for k, (cells, values) in enumerate(zip(*known, strict=True)):
            self._usual.append(int(np.bincount(values).argmax()) if cells.kind != "numeric" and len(values) else 0)
            numbers = self._numbers(k, values)
            self._centre.append(float(numbers.mean()) if len(numbers) else 0.0)
            self._spread.append(float(numbers.std()) or 1.0 if len(numbers) else 1.0)

    def _numbers(self, column: int, values: np.ndarray) -> np.ndarray:
        levels = self._known.columns[column].kind != "numeric"
        numbers = values == self._usual[column] if levels else self._known.present(column, values)
        return numbers.astype(np.float64)

    def _standard(self, column: int, values: np.ndarray) -> list[float]:
        numbers = (self._numbers(column, values) - self._centre[column]) / self._spread[column]
        listed: list[float] = numbers.tolist()
        return listed


class Adwin(_Streaming):
    """Adaptive windows (Bifet and Gavalda, 2007)."""

    def __init__(self, known: Known, every: float, rows: int) -> None:
        from river.drift import ADWIN

        super().__init__(known)
        tested = every * len(known.columns) * rows / ADWIN().clock
        self._detectors = [ADWIN(delta=min(0.5, 1 / tested)) for _ in known.columns]
        self.observe(Window(np.zeros(0), [values[-WARM_UP_ROWS:] for values in known.values]))

    def observe(self, window: Window) -> float:
        """Infinite if any column's detector has found a change in this window, else 0."""
        changed = [self._changed(k, values) for k, values in enumerate(window.values)]
        return np.inf if any(changed) else 0.0

    def _changed(self, column: int, values: np.ndarray) -> bool:
        detector, changed = self._detectors[column], False
        for x in self._standard(column, values):
            detector.update(x)
            changed = detector.drift_detected or changed
        return changed


class PageHinkley(_Streaming):
    """Cumulative sums of deviations from the running mean (Page, 1954; Hinkley, 1971), as River has them by default.

    River tells whether a threshold was passed, and not by how much, which calibration has to know: hence our own loop.
    """

    def __init__(self, known: Known, threshold: float = 1.0) -> None:
        super().__init__(known)
        self._threshold = threshold
        self._sums = np.tile([0.0, 0.0, 0.0, 0.0, np.inf, -1.0], (len(known.columns), 1))
        self.observe(Window(np.zeros(0), [values[-WARM_UP_ROWS:] for values in known.values]))

    def observe(self, window: Window) -> float:
        """Largest statistic of a column in this window, in thresholds."""
        highest = (page_hinkley(self._sums[k], np.array(self._standard(k, v))) for k, v in enumerate(window.values))
        return float(max(highest) / self._threshold)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def page_hinkley(sums: np.ndarray, values: np.ndarray) -> float:
    """Feed values; returns the largest statistic on the way.

    Parameters
    ----------
    sums
        Values so far, their mean, sums of increases and decreases, the least of those and the greatest; changed in
        place.
    """
    highest = 0.0
    for x in values:
        sums[0] += 1
        sums[1] += (x - sums[1]) / sums[0]
        apart = x - sums[1]
        sums[2] = FORGETTING * sums[2] + apart - SLACK
        sums[3] = FORGETTING * sums[3] + apart + SLACK
        sums[4] = min(sums[4], sums[2])
        sums[5] = max(sums[5], sums[3])
        if sums[0] >= VALUES_MIN:
            highest = max(highest, sums[2] - sums[4], sums[5] - sums[3])
    return highest


def threshold(highest: np.ndarray, every: float) -> float:
    """Smallest threshold that streams without drift pass once in ``every`` windows, or less.

    Parameters
    ----------
    highest
        A statistic, window by window, of such streams, float64 [streams, windows]; each is watched until it alarms.

    >>> threshold(np.array([[1.0, 2.0, 9.0, 1.0], [1.0, 3.0, 4.0, 1.0]]), every=7)
    4.0
    """
    running = np.maximum.accumulate(highest, axis=1)
    for candidate in np.unique(running):
        passed = running > candidate
        alarms = passed[:, -1].sum()
        exposed = np.where(passed[:, -1], passed.argmax(axis=1) + 1, highest.shape[1]).sum()
        if alarms * every <= exposed:
            return float(candidate)
    return float(running.max())


def _present(cells: Cells, values: np.ndarray) -> np.ndarray:
    there: np.ndarray = np.isfinite(values) if cells.kind == "numeric" else values != cells.null
    present: np.ndarray = values[there]
    return present
