"""The tuner: what a pipeline tells of its micro-batches reaches the controller, and its choice the consumer's thread.

    event loop          took, processed, committed      through `streams.runtime.telemetry`
    consumer's thread   choice

Without a target there is no choice: the consumer reads as its limits say.
"""

import threading
from collections import deque
from collections.abc import Callable

import numpy as np
from prometheus_client import Gauge

from streams.clock import ticks_ms
from streams.runtime.batch_control import BatchChoice, BatchControl, BatchTarget, Committed
from streams.runtime.facts import BatchingChanged

_STEP = ["step"]
_ROWS = Gauge("driftline_batching_rows_max", "Records that a micro-batch may hold; 0 without a target.", _STEP)
_WAIT = Gauge("driftline_batching_wait_seconds", "Time that a micro-batch waits for records, at most.", _STEP)
_AGES_MAX = 100


class BatchTuner:
    """Keeps a controller for the target that holds now.

    Parameters
    ----------
    step
        The step's name in logs and metrics.
    target
        Tells what is asked for; None while nothing is.
    rows_max
        Records of a micro-batch by default.
    clock
        Monotonic time, ms.
    """

    def __init__(
        self,
        step: str,
        target: Callable[[], BatchTarget | None],
        rows_max: int,
        clock: Callable[[], float] = ticks_ms,
    ) -> None:
        self._step, self._target, self._rows_max, self._clock = step, target, rows_max, clock
        self._lock = threading.Lock()
        self._target_now: BatchTarget | None = None
        self._control: BatchControl | None = None
        self._epoch = 0
        self._process_ms: deque[float] = deque()
        self._waiting: Callable[[], int | None] = lambda: None

    def watch(self, waiting: Callable[[], int | None]) -> None:
        """Learn from here on how many records wait; None where nobody has looked yet."""
        self._waiting = waiting

    def choice(self) -> BatchChoice | None:
        """How the next micro-batch is read; None as the consumer's limits say."""
        with self._lock:
            self._follow()
            return self._control.choice if self._control else None

    def took(self, epoch: int) -> None:
        """A micro-batch was read. With a new epoch nothing of an older one is in flight."""
        with self._lock:
            if epoch != self._epoch:
                self._epoch = epoch
                self._process_ms.clear()

    def processed(self, took_ms: float) -> None:
        """A micro-batch was processed."""
        with self._lock:
            self._process_ms.append(took_ms)

    def committed(self, rows: int, ages_ms: np.ndarray, took_ms: float) -> None:
        """The oldest micro-batch that was processed is committed.

        Parameters
        ----------
        rows
            Its records.
        ages_ms
            Ages of evenly spaced ones of them, [sample].
        took_ms
            What the commit took.
        """
        with self._lock:
            process_ms = self._process_ms.popleft() if self._process_ms else 0.0
            self._follow()
            if self._control is None:
                return
            ages_ms = np.maximum(0, ages_ms[:: len(ages_ms) // _AGES_MAX + 1])  # clients' clocks may be ahead
            before = self._control.tuned
            committed = Committed(self._clock(), rows, ages_ms, process_ms, took_ms, self._waiting() or 0)
            choice = self._control.observe(committed)
            self._show(choice)
            if self._control.tuned != before:
                BatchingChanged(self._step, "default" if before else "tuned", choice.rows_max, choice.wait_ms).tell()

    def _follow(self) -> None:
        """Begin anew where another target holds: another model serves."""
        target = self._target()
        if target != self._target_now:
            self._target_now = target
            self._control = BatchControl(target, self._rows_max) if target else None
            self._show(self._control.choice if self._control else None)

    def _show(self, choice: BatchChoice | None) -> None:
        _ROWS.labels(self._step).set(choice.rows_max if choice else 0)
        _WAIT.labels(self._step).set(choice.wait_ms / 1000 if choice else 0)
