"""What a worker's models do at the moment: figures of each version over the last seconds, for the status page."""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from streams.clock import ticks_ms

#: The figures are of so long.
_OVER_MS = 10_000.0


class _Made(NamedTuple):
    """A call that was made, and when it ended, ms."""

    at_ms: float
    rows: int
    failed: int
    padding: int
    took_ms: float


class CallFigures:
    """Figures of calls, by model, version and role. One thread adds to them, others may read.

    Parameters
    ----------
    ticks
        Monotonic time, ms.

    >>> clock = iter([0.0, 5_000.0, 9_000.0])
    >>> figures = CallFigures(lambda: next(clock))
    >>> figures.add(("m", "v1", "champion"), rows=300, failed=1, padding=100, took_ms=20.0)
    >>> figures.add(("m", "v1", "champion"), rows=500, failed=0, padding=100, took_ms=30.0)
    >>> [of] = figures.status()
    >>> of["rows_per_s"], of["call_rows"], of["padding"], of["busy"], of["failed"]
    (80.0, 400.0, 0.2, 0.005, 1)
    """

    def __init__(self, ticks: Callable[[], float] = ticks_ms) -> None:
        self._ticks = ticks
        self._recent: dict[tuple[str, str, str], deque[_Made]] = {}

    def add(self, who: tuple[str, str, str], *, rows: int, failed: int, padding: int, took_ms: float) -> None:
        """Note a call.

        Parameters
        ----------
        who
            Model, version and role.
        rows, failed, padding
            Rows that were given, rows that failed, and rows that only filled batches up.
        took_ms
            How long it took.
        """
        now_ms = self._ticks()
        recent = self._recent.setdefault(who, deque())
        recent.append(_Made(now_ms, rows, failed, padding, took_ms))
        while recent[0].at_ms < now_ms - _OVER_MS:
            recent.popleft()

    def status(self) -> list[dict[str, Any]]:
        """A dict a version that was called of late: ``model``, ``version``, ``role``, ``rows_per_s``, ``call_rows``
        (rows of a call), ``row_us`` (time a row), ``padding`` (share of the computed rows that were nobody's), ``busy``
        (share of the time), ``failed`` (rows).
        """
        now_ms = self._ticks()
        return [
            _figures(*who, made)
            for who, recent in sorted(self._recent.items())
            if (made := [call for call in list(recent) if call.at_ms >= now_ms - _OVER_MS])
        ]


def _figures(model: str, version: str, role: str, made: list[_Made]) -> dict[str, Any]:
    rows, padding = sum(call.rows for call in made), sum(call.padding for call in made)
    took_ms = sum(call.took_ms for call in made)
    return {
        "model": model,
        "version": version,
        "role": role,
        "rows_per_s": rows / (_OVER_MS / 1000),
        "call_rows": rows / len(made),
        "row_us": 1000 * took_ms / max(1, rows),
        "padding": padding / max(1, rows + padding),
        "busy": took_ms / _OVER_MS,
        "failed": sum(call.failed for call in made),
    }
