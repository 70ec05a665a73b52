"""The guard of the batching controller: where the fixed default does better, the default holds.

Time is cut into windows; each is run either by the controller or by the default. While the controller meets the target
it is let alone. Where it misses it, the default is measured for some windows; and where fewer of its records were late,
or where nearly all are late and it commits more a second, it holds, for a number of windows that doubles each time. Who
does worse than the other did gives way at once.
"""

import msgspec
import numpy as np

#: A window is at least so long, and holds at least so many records, for a 99th percentile of them.
_WINDOW_MS, _WINDOW_ROWS = 2_000.0, 200
_LATE_MAX = 0.01
#: What is older than this share of the target is near it.
NEAR = 0.7
_NEWEST_COUNTS = 0.05
#: Shares of late records that differ by less are alike.
_ALIKE = 0.005
#: With so large a share of late records on both sides throughput decides; what is within 5 % is alike.
_HOPELESS, _ALIKE_RATES = 0.5, 0.95
#: What the default gave so many windows ago is measured again, in a trial of so many, before it is compared with.
_OLD_AFTER, _TRIAL = 128, 8
_HOLD, _HOLD_MAX = 16, 128


class CommitWindow(msgspec.Struct):
    """Records that were committed within some time."""

    began_ms: float
    ended_ms: float
    rows: int = 0
    late: float = 0.0
    slow: float = 0.0

    @property
    def late_share(self) -> float:
        """Share of its records that were committed later than the target asks for."""
        return self.late / max(1, self.rows)

    @property
    def missed(self) -> bool:
        """Whether the 99th percentile of request to commit is beyond the target."""
        return self.late_share > _LATE_MAX

    @property
    def tight(self) -> bool:
        """Whether it is near the target, or beyond: there is no time to wait."""
        return self.slow > _LATE_MAX * self.rows

    @property
    def rows_per_ms(self) -> float:
        """How many records were committed."""
        return self.rows / max(1.0, self.ended_ms - self.began_ms)


class _Record(msgspec.Struct):
    """What windows under one of the two have given, the newest counting most."""

    windows: int = 0
    late_share: float = 0.0
    rows_per_ms: float = 0.0
    at: int = 0

    def add(self, window: CommitWindow, at: int) -> None:
        self.windows += 1
        share = max(1 / self.windows, _NEWEST_COUNTS)
        self.late_share += share * (window.late_share - self.late_share)
        self.rows_per_ms += share * (window.rows_per_ms - self.rows_per_ms)
        self.at = at

    def worse_than(self, other: "_Record") -> bool:
        if min(self.late_share, other.late_share) > _HOPELESS:
            return self.rows_per_ms < _ALIKE_RATES * other.rows_per_ms
        return self.late_share > other.late_share + _ALIKE


class BatchGuard:
    """Decides window by window whether the controller or the default holds. The first window is the default's.

    Parameters
    ----------
    target_ms
        Within which 99 of 100 records should be committed.

    Attributes
    ----------
    tuned
        Whether the controller holds.
    """

    def __init__(self, target_ms: float) -> None:
        self.tuned = False
        self._target_ms = target_ms
        self._window: CommitWindow | None = None
        self._windows = 0
        self._left, self._hold, self._on_trial = 1, _HOLD, False
        self._controller, self._default = _Record(), _Record()

    def observe(self, at_ms: float, rows: int, ages_ms: np.ndarray, took_ms: float) -> CommitWindow | None:
        """Note a micro-batch that was committed; returns the window that it ends, if it ends one.

        Parameters
        ----------
        at_ms
            When it was committed; monotonic.
        rows
            Of the micro-batch.
        ages_ms
            Ages of evenly spaced ones of its records at their commit, [sample].
        took_ms
            From its hand-over to its commit: the first window begins there.
        """
        if self._window is None:
            self._window = CommitWindow(at_ms - took_ms, at_ms)
        window = self._window
        window.ended_ms = at_ms
        window.rows += rows
        if len(ages_ms):
            window.late += rows * float(np.mean(ages_ms > self._target_ms))
            window.slow += rows * float(np.mean(ages_ms > NEAR * self._target_ms))
        if window.ended_ms - window.began_ms < _WINDOW_MS or window.rows < _WINDOW_ROWS:
            return None
        self._window = CommitWindow(at_ms, at_ms)
        self._windows += 1
        self._decide(window)
        return window

    def _decide(self, window: CommitWindow) -> None:
        (self._controller if self.tuned else self._default).add(window, self._windows)
        if self.tuned:
            self._judge_controller()
        else:
            self._judge_default()

    def _judge_controller(self) -> None:
        if self._controller.late_share <= _LATE_MAX:
            self._hold = _HOLD
        elif self._default.windows < _TRIAL or self._windows - self._default.at > _OLD_AFTER:
            self.tuned, self._left, self._on_trial = False, _TRIAL, True
            self._default.windows = min(self._default.windows, 1)  # what it gave long ago counts little
        elif self._controller.worse_than(self._default):
            self._fall_back()

    def _judge_default(self) -> None:
        self._left -= 1
        if self._controller.windows and self._default.worse_than(self._controller):
            self.tuned = True
        elif self._left <= 0 and self._on_trial and self._controller.worse_than(self._default):
            self._fall_back()
        elif self._left <= 0:
            self.tuned = True
            self._controller.windows = min(self._controller.windows, 1)  # it may be better now
        self._on_trial = self._on_trial and not self.tuned and self._left > 0

    def _fall_back(self) -> None:
        self.tuned, self._left, self._on_trial = False, self._hold, False
        self._hold = min(2 * self._hold, _HOLD_MAX)
