"""What a shell tells about itself: Prometheus metrics and the status page, from one set of calls."""

from collections import deque
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

_ROWS = Counter("driftline_rows_settled", "Records whose effects are committed.", ["step"])
_TURNS = Counter("driftline_turns_settled", "Settlements committed.", ["step"])
_FAILED = Counter("driftline_turns_failed", "Turns that were rolled back and read again.", ["step"])
_FOLD = Histogram("driftline_fold_seconds", "Time a turn spends in its step.", ["step"])
_SETTLE = Histogram("driftline_settle_seconds", "Time a turn's settlement takes.", ["step"])
_LAG = Gauge("driftline_lag_seconds", "Age of the newest settled record when it was settled.", ["step"])

_RATE_OVER_MS = 10_000


class Gauges:
    """One shell's telemetry. Time comes in as an argument, in ms."""

    def __init__(self, step: str) -> None:
        self.trouble: str | None = None
        self._step = step
        self._rows = 0
        self._lag_ms: int | None = None
        self._fold_ms = 0.0
        self._settle_ms = 0.0
        self._recent: deque[tuple[int, int]] = deque()

    def folded(self, took_ms: float) -> None:
        """A turn was folded."""
        self._fold_ms = took_ms
        _FOLD.labels(self._step).observe(took_ms / 1000)

    def settled(self, rows: int, newest_ms: int | None, took_ms: float, now_ms: int) -> None:
        """A turn was committed."""
        self.trouble = None
        self._rows += rows
        self._settle_ms = took_ms
        self._recent.append((now_ms, rows))
        _ROWS.labels(self._step).inc(rows)
        _TURNS.labels(self._step).inc()
        _SETTLE.labels(self._step).observe(took_ms / 1000)
        if newest_ms is not None:
            self._lag_ms = max(0, now_ms - newest_ms)
            _LAG.labels(self._step).set(self._lag_ms / 1000)

    def failed(self, why: str) -> None:
        """A turn was rolled back."""
        self.trouble = why
        _FAILED.labels(self._step).inc()

    def status(self, now_ms: int) -> dict[str, Any]:
        """Rows settled, rate over the last ten seconds, lag, times.

        >>> gauges = Gauges("doctest")
        >>> gauges.settled(50, 900, 4.0, 1_000)
        >>> gauges.status(2_000)["rows_per_s"], gauges.status(2_000)["lag_ms"]
        (5.0, 100)
        """
        while self._recent and self._recent[0][0] < now_ms - _RATE_OVER_MS:
            self._recent.popleft()
        return {
            "step": self._step,
            "rows": self._rows,
            "rows_per_s": sum(rows for _, rows in self._recent) / (_RATE_OVER_MS / 1000),
            "lag_ms": self._lag_ms,
            "fold_ms": round(self._fold_ms, 3),
            "settle_ms": round(self._settle_ms, 3),
            "trouble": self.trouble,
        }
