"""The only place that reads a clock; everything else is handed the time."""

import time


def now_ms() -> int:
    """Wall-clock time in ms since 1970, UTC."""
    return time.time_ns() // 1_000_000


def ticks_ms() -> float:
    """Monotonic time in ms, for durations."""
    return time.perf_counter() * 1000
