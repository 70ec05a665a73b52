"""What a shell tells about itself: Prometheus metrics and the status page, from one set of calls."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from prometheus_client import Counter, Gauge, Histogram

_ROWS = Counter("driftline_rows_settled", "Records whose effects are committed.", ["step"])
_TURNS = Counter("driftline_turns_settled", "Settlements committed.", ["step"])
_FAILED = Counter("driftline_turns_failed", "Turns that were rolled back and read again.", ["step"])
_FOLD = Histogram("driftline_fold_seconds", "Time a turn spends in its step.", ["step"])
_SETTLE = Histogram("driftline_settle_seconds", "Time a turn's settlement takes.", ["step"])
_LAG = Gauge("driftline_lag_seconds", "Age of the newest settled record when it was settled.", ["step"])

_RATE_OVER_MS = 10_000
#: Records of a turn whose age is kept for the percentile, at most; of a longer turn evenly spaced ones.
_AGES_MAX = 1_000


class Gauges:
    """One shell's telemetry. Time comes in as an argument, in ms."""

    def __init__(self, step: str) -> None:
        self.trouble: str | None = None
        self._step = step
        self._rows = 0
        self._lag_ms: int | None = None
        self._fold_ms = 0.0
        self._settle_ms = 0.0
        self._recent: deque[tuple[int, int, np.ndarray]] = deque()

    def folded(self, took_ms: float) -> None:
        """A turn was folded."""
        self._fold_ms = took_ms
        _FOLD.labels(self._step).observe(took_ms / 1000)

    def settled(self, times: Sequence[int], took_ms: float, now_ms: int) -> None:
        """A turn was committed; ``times`` are its records' Kafka timestamps."""
        rows = len(times)
        self.trouble = None
        self._rows += rows
        self._settle_ms = took_ms
        self._recent.append((now_ms, rows, now_ms - np.asarray(times[:: rows // _AGES_MAX + 1], np.int64)))
        _ROWS.labels(self._step).inc(rows)
        _TURNS.labels(self._step).inc()
        _SETTLE.labels(self._step).observe(took_ms / 1000)
        if rows:
            self._lag_ms = max(0, now_ms - max(times))
            _LAG.labels(self._step).set(self._lag_ms / 1000)

    def failed(self, why: str) -> None:
        """A turn was rolled back."""
        self.trouble = why
        _FAILED.labels(self._step).inc()

    def status(self, now_ms: int) -> dict[str, Any]:
        """Rows settled; over the last ten seconds their rate and the 99th percentile of their age; lag, times.

        >>> gauges = Gauges("doctest")
        >>> gauges.settled([700] * 2 + [900] * 48, 4.0, 1_000)
        >>> said = gauges.status(2_000)
        >>> said["rows_per_s"], said["lag_ms"], said["p99_ms"]
        (5.0, 100, 300)
        """
        while self._recent and self._recent[0][0] < now_ms - _RATE_OVER_MS:
            self._recent.popleft()
        return {
            "step": self._step,
            "rows": self._rows,
            "rows_per_s": sum(rows for _, rows, _ in self._recent) / (_RATE_OVER_MS / 1000),
            "lag_ms": self._lag_ms,
            "p99_ms": self._p99_ms(),
            "fold_ms": round(self._fold_ms, 3),
            "settle_ms": round(self._settle_ms, 3),
            "trouble": self.trouble,
        }

    def _p99_ms(self) -> int | None:
        """Age that 99 of 100 recent records were settled within; a kept age stands for its share of the turn."""
        ages = [kept for _, _, kept in self._recent if len(kept)]
        if not ages:
            return None
        weights = [np.full(len(kept), rows / len(kept)) for _, rows, kept in self._recent if len(kept)]
        given = np.concatenate(weights)
        return max(0, int(np.quantile(np.concatenate(ages), 0.99, weights=given, method="inverted_cdf")))
