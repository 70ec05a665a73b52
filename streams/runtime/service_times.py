"""Service times: how long a micro-batch is processed and committed, each as a fixed part and a part a row.

Measured times are averaged by size class, exponentially, and a line is drawn through the classes by least squares;
between classes it is interpolated, because some models are slower a row in large batches. So a quiet hour of small
micro-batches does not wash out what large ones took, and one size alone says nothing of the slope. What cannot be true
beside the newest is forgotten: that more rows take clearly less time.
"""

from bisect import bisect_right
from collections.abc import Sequence

import msgspec
import numpy as np

_NEWEST_COUNTS = 0.1
#: What counts at most, in means of its class: a broker that stumbles for a second is no property of the model.
_STUMBLE = 4.0
_STEADY_AFTER = 8
#: After so many micro-batches of other sizes a class is forgotten: the model may be another by now.
_FORGOTTEN_AFTER = 10_000
_CLEARLY = 1.25
#: What processing takes at least, as a share of committing, for two micro-batches to overlap; see `HandOver`.
_OVERLAP_FROM = 0.6


class Curve(msgspec.Struct, frozen=True):
    """Time of so many rows: interpolated between the sizes that were seen, beyond them along ``fixed + row * rows``.

    Parameters
    ----------
    fixed_ms, row_ms
        The line of least relative errors through all sizes.
    rows, ms
        Sizes that were seen, ascending, and their times.

    >>> curve = Curve(10.0, 0.5, [100.0, 200.0], [70.0, 100.0])
    >>> curve.at(50), curve.at(150), curve.at(400)
    (35.0, 85.0, 200.0)
    """

    fixed_ms: float = 0.0
    row_ms: float = 0.0
    rows: Sequence[float] = ()
    ms: Sequence[float] = ()

    def at(self, rows: float) -> float:
        """Time of so many rows, ms."""
        line = self.fixed_ms + self.row_ms * rows
        if not self.rows:
            return line
        if rows >= self.rows[-1]:
            return self.ms[-1] + self.row_ms * (rows - self.rows[-1])
        above = bisect_right(self.rows, rows)
        if above == 0:
            return min(line, self.ms[0])
        share = (rows - self.rows[above - 1]) / (self.rows[above] - self.rows[above - 1])
        return self.ms[above - 1] + share * (self.ms[above] - self.ms[above - 1])


class _Class(msgspec.Struct):
    """Micro-batches of a similar size: how many, when last, and their mean rows and times."""

    count: int = 0
    newest: int = 0
    rows: float = 0.0
    process_ms: float = 0.0
    commit_ms: float = 0.0

    def add(self, rows: int, process_ms: float, commit_ms: float, at: int) -> None:
        self.count += 1
        self.newest = at
        share = max(1 / self.count, _NEWEST_COUNTS)
        if self.count > _STEADY_AFTER:
            process_ms, commit_ms = (
                min(process_ms, _STUMBLE * self.process_ms),
                min(commit_ms, _STUMBLE * self.commit_ms),
            )
        self.rows += share * (rows - self.rows)
        self.process_ms += share * (process_ms - self.process_ms)
        self.commit_ms += share * (commit_ms - self.commit_ms)


class ServiceTimes:
    """What micro-batches take, learnt from those that were committed.

    >>> times = ServiceTimes()
    >>> for rows in (10, 100, 1_000):
    ...     times.observe(rows, 5 + 0.1 * rows, 20.0)
    >>> round(times.process.fixed_ms, 3), round(times.process.row_ms, 3), round(times.span_ms(200), 3)
    (5.0, 0.1, 45.0)
    """

    def __init__(self) -> None:
        self.process = self.commit = Curve()
        self._classes: dict[int, _Class] = {}
        self._observed = 0

    def observe(self, rows: int, process_ms: float, commit_ms: float) -> None:
        """A micro-batch of so many rows, at least one, took so long.

        Parameters
        ----------
        rows
            Of the micro-batch.
        process_ms, commit_ms
            What it took.
        """
        assert rows > 0, rows
        self._observed += 1
        same = self._classes.setdefault(rows.bit_length(), _Class())
        same.add(rows, process_ms, commit_ms, self._observed)
        for size, other in list(self._classes.items()):
            if self._observed - other.newest > _FORGOTTEN_AFTER or _contradicts(other, same):
                del self._classes[size]
        known = sorted(self._classes.values(), key=lambda c: c.rows)
        self.process = _curve([(c.rows, c.process_ms, min(c.count, _STEADY_AFTER)) for c in known])
        self.commit = _curve([(c.rows, c.commit_ms, min(c.count, _STEADY_AFTER)) for c in known])

    def span_ms(self, rows: float) -> float:
        """From the hand-over of a micro-batch to its commit, ms."""
        return self.process.at(rows) + self.commit.at(rows)

    def cycle_ms(self, rows: float) -> float:
        """From a micro-batch to the next where there is always enough to read, ms."""
        process_ms, commit_ms = self.process.at(rows), self.commit.at(rows)
        return max(process_ms, commit_ms) if process_ms > _OVERLAP_FROM * commit_ms else process_ms + commit_ms


def _contradicts(older: _Class, newest: _Class) -> bool:
    """Whether the one with more rows takes clearly less time: what the older says holds no longer."""
    few, many = sorted((older, newest), key=lambda c: c.rows)
    return few.process_ms + few.commit_ms > _CLEARLY * (many.process_ms + many.commit_ms)


def _curve(points: Sequence[tuple[float, float, float]]) -> Curve:
    """The curve through (rows, ms, weight), ascending."""
    fixed_ms, row_ms = _line(points)
    return Curve(fixed_ms, row_ms, [rows for rows, _, _ in points], [ms for _, ms, _ in points])


def _line(points: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """The line through (rows, ms, weight) with the least relative errors; neither part is below 0."""
    rows, ms, weight = np.array(points).T
    weight = weight / np.maximum(ms, 1e-3) ** 2  # what takes no time at all would count for ever
    mean_rows, mean_ms = np.average(rows, weights=weight), np.average(ms, weights=weight)
    spread = np.sum(weight * (rows - mean_rows) ** 2)
    slope = np.sum(weight * (rows - mean_rows) * (ms - mean_ms)) / spread if spread > 0 else 0.0
    if slope <= 0:
        return float(mean_ms), 0.0
    if mean_ms < slope * mean_rows:
        return 0.0, float(np.sum(weight * rows * ms) / np.sum(weight * rows * rows))
    return float(mean_ms - slope * mean_rows), float(slope)
