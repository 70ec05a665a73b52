"""What a step tells about itself: facts, and figures for the status page, from one set of calls."""

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from prometheus_client import Gauge

from streams.runtime.batch_tuner import BatchTuner
from streams.runtime.facts import BatchAborted, BatchCommitted, BatchFailed, BatchProcessed
from streams.runtime.transactions import Aborted

_LAG = Gauge("driftline_lag_seconds", "Age of the oldest record that is not committed; 0 where none waits.", ["step"])
_LAG_ROWS = Gauge("driftline_lag_rows", "Offsets between what is committed and the end.", ["step"])

_RATE_OVER_MS = 10_000
#: Records of a micro-batch whose age is kept for the percentile, at most; of a larger one evenly spaced ones.
_AGES_MAX = 1_000


class _Taken(NamedTuple):
    """A micro-batch that was read: how many records, and the Kafka time of the oldest, ms."""

    epoch: int
    rows: int
    oldest_ms: int | None


class Gauges:
    """One step's telemetry. Time comes in as an argument, in ms.

    The lag, in rows and in seconds, is that of records that are not committed, whether they were read or not. In
    seconds it is the age of the oldest of them by Kafka's timestamps: of those that were read; where something waits
    and none of it was read yet, of the newest that was committed, which what comes behind it is hardly older than; 0
    where nothing waits. The sink gathers before it inserts: for it a record counts as committed up to
    `CutLimits.wait_ms_max` too soon.

    Parameters
    ----------
    step
        The step's name in metrics.
    tuner
        Is told the same of micro-batches.
    """

    def __init__(self, step: str, tuner: BatchTuner | None = None) -> None:
        self._tuner = tuner
        self.trouble: str | None = None
        self._step = step
        self._rows = 0
        self._taken: deque[_Taken] = deque()
        self._newest_ms: int | None = None
        self._process_ms = 0.0
        self._commit_ms = 0.0
        self._recent: deque[tuple[int, int, np.ndarray]] = deque()

    def took(self, epoch: int, times: Sequence[int]) -> None:
        """A micro-batch was read; ``times`` are its records' Kafka timestamps. An older epoch's are read again."""
        while self._taken and self._taken[0].epoch != epoch:
            self._taken.popleft()
        self._taken.append(_Taken(epoch, len(times), min(times, default=None)))
        if self._tuner:
            self._tuner.took(epoch)

    def processed(self, took_ms: float) -> None:
        """A micro-batch was processed."""
        self._process_ms = took_ms
        BatchProcessed(self._step, took_ms).tell()
        if self._tuner:
            self._tuner.processed(took_ms)

    def committed(self, times: Sequence[int], took_ms: float, now_ms: int) -> None:
        """The oldest micro-batch was committed; ``times`` are its records' Kafka timestamps.

        Parameters
        ----------
        times
            Kafka timestamps of the records, ms.
        took_ms
            Milliseconds that the commit took.
        now_ms
            The time of the commit, ms UTC.
        """
        rows = len(times)
        if self._taken:
            self._taken.popleft()
        self.trouble = None
        self._rows += rows
        self._commit_ms = took_ms
        ages_ms = now_ms - np.asarray(times[:: rows // _AGES_MAX + 1], np.int64)
        self._recent.append((now_ms, rows, ages_ms))
        BatchCommitted(self._step, rows, took_ms).tell()
        if rows:
            self._newest_ms = max(times)
        if self._tuner:
            self._tuner.committed(rows, ages_ms, took_ms)

    def failed(self, where: str, error: Exception, failures: int) -> None:
        """A micro-batch was rolled back.

        Parameters
        ----------
        where
            ``process`` or ``commit``.
        error
            Why.
        failures
            How often in a row.
        """
        kind, why = type(error).__name__, str(error)
        self.trouble = f"{where}: {kind}: {why}"
        fact = BatchAborted if isinstance(error, Aborted) else BatchFailed
        fact(self._step, where, kind, why, failures).tell()

    def status(self, now_ms: int, epoch: int, unread: int | None) -> dict[str, Any]:
        """Rows committed; over the last ten seconds their rate and the 99th percentile of their age; lag, times.

        Parameters
        ----------
        epoch
            Of the micro-batches that may still be committed.
        unread
            Offsets between the position and the end; None where nobody has looked yet.

        >>> gauges = Gauges("doctest")
        >>> gauges.took(0, [700] * 2 + [900] * 48)
        >>> gauges.status(950, 0, 7)["lag_ms"]
        250
        >>> gauges.committed([700] * 2 + [900] * 48, 4.0, 1_000)
        >>> status = gauges.status(2_000, 0, 7)
        >>> [status[key] for key in ("rows_per_s", "lag_rows", "lag_ms", "p99_ms")]
        [5.0, 7, 1100, 300]
        """
        lag_rows, lag_ms = self._lag(now_ms, epoch, unread)
        _LAG_ROWS.labels(self._step).set(lag_rows or 0)
        _LAG.labels(self._step).set((lag_ms or 0) / 1000)
        while self._recent and self._recent[0][0] < now_ms - _RATE_OVER_MS:
            self._recent.popleft()
        return {
            "step": self._step,
            "rows": self._rows,
            "rows_per_s": sum(rows for _, rows, _ in self._recent) / (_RATE_OVER_MS / 1000),
            "lag_rows": lag_rows,
            "lag_ms": lag_ms,
            "p99_ms": self._p99_ms(),
            "fold_ms": round(self._process_ms, 3),
            "settle_ms": round(self._commit_ms, 3),
            "trouble": self.trouble,
        }

    def _lag(self, now_ms: int, epoch: int, unread: int | None) -> tuple[int | None, int | None]:
        taken = list(self._taken)
        flying = [batch for batch in taken if batch.epoch == epoch]
        rows = sum(batch.rows for batch in flying) + (unread or 0)
        if not rows:
            return (None, None) if unread is None else (0, 0)
        # What was dropped waits to be read again; it is known until it is.
        known = [batch.oldest_ms for batch in flying or taken if batch.oldest_ms is not None]
        oldest = min(known, default=self._newest_ms)
        return rows, None if oldest is None else max(0, now_ms - oldest)

    def _p99_ms(self) -> int | None:
        """Age that 99 of 100 recent records were committed within; a kept age stands for its share of a micro-batch."""
        ages = [kept for _, _, kept in self._recent if len(kept)]
        if not ages:
            return None
        weights = [np.full(len(kept), rows / len(kept)) for _, rows, kept in self._recent if len(kept)]
        given = np.concatenate(weights)
        return max(0, int(np.quantile(np.concatenate(ages), 0.99, weights=given, method="inverted_cdf")))
