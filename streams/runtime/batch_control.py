"""The batching controller: how many records the next micro-batch may hold, and how long it waits for them.

It aims at a 99th percentile of request to commit, and knows no clock, no thread and no Kafka. After each commit it is
told what the micro-batch took, and chooses, from what it has learnt (`streams.runtime.service_times`):

    rows      of all sizes of which a cycle and a span fit the target (a record that has just missed a micro-batch waits
              for the next), the least that answers nearly as much as any; never what would fall behind the arrivals.
              Where more waits than can be answered within the target, what answers it soonest
    wait      only where it saves work, a fixed part of the time shared by more records, and only while the target is
              far: it leaves 30 % of it free

Both get less of the target where the last window missed it, and more again where windows meet it. Where the fixed
default, all that waits and no wait, does better, that holds (`streams.runtime.batch_guard`).
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from streams.runtime.batch_guard import NEAR, BatchGuard
from streams.runtime.service_times import ServiceTimes

_SMALLEST_ROWS = 16
#: A wait must raise what a busy second answers by this factor.
_WORTHWHILE = 1.05
#: The rate of arrivals is that of commits, which lags behind where arrivals grow.
_SPARE = 1.25
_NEARLY = 0.95
_SHARE_LESS, _SHARE_MORE, _SHARE_MIN = 0.8, 0.05, 0.5
#: Over so many ms the rate of arrivals is averaged.
_RATE_OVER_MS = 2_000.0


class BatchTarget(msgspec.Struct, frozen=True):
    """What is asked for: `limits` of a model's `model.toml`.

    Parameters
    ----------
    latency_ms_p99
        Within which 99 of 100 records are committed, from Kafka's timestamp on.
    wait_ms_max
        The longest wait of a micro-batch for further records.
    shape_rows
        The largest batch of the model: larger micro-batches hold a whole number of them.
    """

    latency_ms_p99: int
    wait_ms_max: int
    shape_rows: int


class BatchChoice(msgspec.Struct, frozen=True):
    """How the next micro-batch is read.

    Parameters
    ----------
    rows_max
        Records that it may hold.
    wait_ms
        How long it waits for further records, from the first on, while it holds less than ``rows_wanted``.
    rows_wanted
        See ``wait_ms``.
    """

    rows_max: int
    wait_ms: float = 0.0
    rows_wanted: int = 0


class Committed(msgspec.Struct, frozen=True):
    """A micro-batch that was committed.

    Parameters
    ----------
    at_ms
        When, monotonic.
    rows
        Its records.
    ages_ms
        From Kafka's timestamp to the commit, of evenly spaced ones of them, [sample].
    process_ms, commit_ms
        What processing and committing took.
    waiting_rows
        Records that were known to wait behind it.
    """

    at_ms: float
    rows: int
    ages_ms: np.ndarray
    process_ms: float
    commit_ms: float
    waiting_rows: int = 0


class BatchControl:
    """Chooses rows and wait for one target.

    Parameters
    ----------
    target
        What is asked for.
    rows_max
        Records of a micro-batch by default; it never chooses more.

    Attributes
    ----------
    choice
        How the next micro-batch is read.

    >>> control = BatchControl(BatchTarget(100, 5, 64), 5_000)
    >>> control.choice
    BatchChoice(rows_max=5000, wait_ms=0.0, rows_wanted=0)
    """

    def __init__(self, target: BatchTarget, rows_max: int) -> None:
        self._target = target
        self._default = self.choice = BatchChoice(rows_max)
        self._sizes = sizes(target.shape_rows, rows_max)
        self._times = ServiceTimes()
        self._guard = BatchGuard(target.latency_ms_p99)
        self._share = 1.0
        self._tight = self._overwhelmed = False
        self._rows_per_ms = 0.0
        self._last_ms: float | None = None

    @property
    def tuned(self) -> bool:
        """Whether its own choice holds, and not the default."""
        return self._guard.tuned

    def observe(self, committed: Committed) -> BatchChoice:
        """Learn from a micro-batch, and choose how the next one is read."""
        if committed.rows:
            self._learn(committed)
            self.choice = self._chosen(committed.waiting_rows) if self._guard.tuned else self._default
        return self.choice

    def _learn(self, committed: Committed) -> None:
        self._times.observe(committed.rows, committed.process_ms, committed.commit_ms)
        if self._last_ms is not None:
            passed_ms = max(0.1, committed.at_ms - self._last_ms)
            newest = min(1.0, passed_ms / _RATE_OVER_MS)
            self._rows_per_ms += newest * (committed.rows / passed_ms - self._rows_per_ms)
        self._last_ms = committed.at_ms
        tuned, took_ms = self._guard.tuned, committed.process_ms + committed.commit_ms
        window = self._guard.observe(committed.at_ms, committed.rows, committed.ages_ms, took_ms)
        if window is not None:
            self._tight = window.tight
            if tuned and window.missed and not self._overwhelmed:  # smaller micro-batches answer no backlog
                self._share = max(_SHARE_MIN, _SHARE_LESS * self._share)
            elif not window.missed:
                self._share = min(1.0, self._share + _SHARE_MORE)
            self._overwhelmed = False

    def _chosen(self, waiting_rows: int) -> BatchChoice:
        budget_ms = self._share * self._target.latency_ms_p99
        times = self._times
        fitting = [rows for rows in self._sizes if times.cycle_ms(rows) + times.span_ms(rows) <= budget_ms]
        rows = max(self._quickest(fitting) if fitting else self._sizes[0], self._keeping_up())
        if self._answered_ms(rows, waiting_rows) > budget_ms:
            self._overwhelmed = self._overwhelmed or waiting_rows > rows
            soonest = min(self._sizes, key=lambda size: self._answered_ms(size, waiting_rows))
            return BatchChoice(max(rows, soonest) if waiting_rows > rows else rows)
        wait_ms = 0.0 if self._tight or waiting_rows > rows else self._wait_ms(rows, NEAR * budget_ms)
        return BatchChoice(rows, wait_ms, rows if wait_ms else 0)

    def _quickest(self, fitting: Sequence[int]) -> int:
        """The smallest size that answers nearly as much as the one that answers most: it does so with less latency."""
        rates = {rows: rows / max(1e-3, self._times.cycle_ms(rows)) for rows in fitting}
        return min(rows for rows, rate in rates.items() if rate >= _NEARLY * max(rates.values()))

    def _keeping_up(self) -> int:
        """The smallest size that answers what arrives with something to spare; without any, all that waits.

        Nothing overlaps here: a size that is too large costs little, one that falls behind costs all.
        """
        wanted = _SPARE * self._rows_per_ms
        return next((rows for rows in self._sizes if rows >= wanted * self._times.span_ms(rows)), self._sizes[-1])

    def _answered_ms(self, rows: int, waiting_rows: int) -> float:
        """When the last of those that wait is committed, in micro-batches of so many rows."""
        batches = -(-waiting_rows // rows)
        last = waiting_rows - (batches - 1) * rows if batches else rows
        return max(0, batches - 1) * self._times.cycle_ms(rows) + self._times.span_ms(last)

    def _wait_ms(self, wanted: int, budget_ms: float) -> float:
        """How long to wait for so many rows; 0 where that is not worth it."""
        rate, times = self._rows_per_ms, self._times
        unhurried = 1.0
        for _ in range(8):  # so many arrive while the micro-batch before them is in hand
            unhurried = max(1.0, min(wanted, rate * times.cycle_ms(unhurried)))
        if rate <= 0 or unhurried >= wanted:
            return 0.0
        wait_ms = min(self._target.wait_ms_max, (wanted - unhurried) / rate)
        filled = min(wanted, unhurried + rate * wait_ms)
        wait_ms = min(wait_ms, budget_ms - times.cycle_ms(filled) - times.span_ms(filled))
        filled = min(wanted, unhurried + rate * wait_ms)
        worthwhile = filled * times.span_ms(unhurried) >= _WORTHWHILE * unhurried * times.span_ms(filled)
        return round(wait_ms, 1) if wait_ms > 0 and worthwhile else 0.0


def sizes(shape_rows: int, rows_max: int) -> Sequence[int]:
    """Sizes that are tried, ascending: doublings up to the model's largest batch, then whole batches of it.

    >>> sizes(64, 700)
    [16, 32, 64, 128, 192, 256, 320, 384, 512, 640, 700]
    """
    ladder, rows = {min(_SMALLEST_ROWS, rows_max), rows_max}, _SMALLEST_ROWS
    while rows < min(shape_rows, rows_max):
        ladder.add(rows)
        rows *= 2
    batches = 1
    while batches * shape_rows <= rows_max:
        ladder.add(batches * shape_rows)
        batches = max(batches + 1, batches * 4 // 3)
    return sorted(ladder)
