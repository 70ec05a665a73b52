"""Rows of several callers meet the model together: while one batch computes, the next is gathered.

A request waits until the rows that wait fill the largest batch, or until the first of them has waited for
``limits.wait_ms_max`` of its `model.toml`; what it waited while another batch computed counts. Requests are joined
whole, in the order in which they came. A request whose caller has gone is left out.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

import msgspec
import numpy as np

from inference.backends import Fatal, Unavailable
from inference.serving.batch_facts import BatchScored, RequestWaited
from inference.serving.scorer import Scorer, Scores
from streams.clock import ticks_ms

#: Rows that may wait for a version: so many of its largest batches, but not less than a caller's micro-batch.
_BATCHES_WAITING, _ROWS_WAITING_MIN = 16, 8_192


class QueueFull(Unavailable):
    """As many rows wait as may."""


class Stopping(Unavailable):
    """The process ends, and takes no new rows."""


class _Request(msgspec.Struct, frozen=True):
    matrix: np.ndarray
    bucket: int
    future: "Future[Scores]"
    arrived_ms: float


class Batcher:
    """One version of a model, asked by many at once.

    Parameters
    ----------
    scorer
        The loaded version; called from this batcher's own thread alone.
    on_fatal
        Told that only a new process can go on; from then on nothing is taken.
    ticks
        Milliseconds that only grow.
    """

    def __init__(
        self,
        scorer: Scorer,
        on_fatal: Callable[[Fatal], object] = lambda error: None,
        ticks: Callable[[], float] = ticks_ms,
    ) -> None:
        self.package = scorer.package
        self.outputs = scorer.outputs
        self.shapes = scorer.backend.shapes
        self.rows_waiting_max = max(_BATCHES_WAITING * self.shapes.rows_max, _ROWS_WAITING_MIN)
        self._scorer, self._on_fatal, self._ticks = scorer, on_fatal, ticks
        self._wait_ms = scorer.package.limits.wait_ms_max
        self._waiting: deque[_Request] = deque()
        self._rows = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"batches-{self._name}", daemon=True)
        self._thread.start()

    @property
    def _name(self) -> str:
        return f"{self.package.name} {self.package.version}"

    def submit(self, matrix: np.ndarray, bucket: int = 0) -> "Future[Scores]":
        """Have rows scored: float32 [rows, features], at most ``rows_waiting_max`` of them.

        Parameters
        ----------
        matrix
            Belongs to the batcher until the future is done.
        bucket
            The shape that they are to be scored at; 0 leaves it to the batch.

        Returns
        -------
        Future
            `Scores` of these rows alone, or what `Scorer` raises; whoever is no longer interested cancels it.

        Raises
        ------
        QueueFull, Stopping
            Try again later, or elsewhere.
        """
        assert 0 < len(matrix) <= self.rows_waiting_max and (not bucket or bucket in self.shapes.buckets)
        request = _Request(matrix, bucket, Future(), self._ticks())
        with self._changed:
            if self._closed:
                raise Stopping(f"{self._name} takes no new rows: this process ends; ask another, or again in seconds")
            if self._rows + len(matrix) > self.rows_waiting_max:
                self._forget_the_gone()
            if self._rows + len(matrix) > self.rows_waiting_max:
                raise QueueFull(
                    f"{self._name}: {self._rows} rows wait, {self.rows_waiting_max} may, {len(matrix)} more came; "
                    "ask again later, or start another inference worker"
                )
            self._waiting.append(request)
            self._rows += len(matrix)
            self._changed.notify()
        return request.future

    def close(self) -> None:
        """Take no new rows; those that wait are still scored."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def join(self, wait_s: float) -> bool:
        """Wait until the last batch is done; returns whether it is."""
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def health(self) -> str:
        """Why it cannot score now, or an empty text; answered at once."""
        return f"{self._name} ends" if self._closed else self._scorer.backend.health()

    def _run(self) -> None:
        while batch := self._gathered():
            self._score(batch)

    def _gathered(self) -> list[_Request]:
        """The next batch, once it is full or was waited for; empty where no other comes."""
        batch: list[_Request] = []
        with self._changed:
            while not batch:
                if not self._waiting and self._closed:
                    break
                wait_ms = self._due_ms() if self._waiting else None
                if wait_ms is not None and wait_ms <= 0:
                    batch = self._taken()
                else:
                    self._changed.wait(None if wait_ms is None else wait_ms / 1000)
        return batch

    def _due_ms(self) -> float:
        if self._closed or self._rows >= self.shapes.rows_max:
            return 0.0
        return self._waiting[0].arrived_ms + self._wait_ms - self._ticks()

    def _taken(self) -> list[_Request]:
        batch: list[_Request] = []
        rows = 0
        while self._waiting and (not batch or rows + len(self._waiting[0].matrix) <= self.shapes.rows_max):
            request = self._waiting.popleft()
            self._rows -= len(request.matrix)
            if request.future.set_running_or_notify_cancel():
                batch.append(request)
                rows += len(request.matrix)
        return batch

    def _forget_the_gone(self) -> None:
        self._waiting = deque(request for request in self._waiting if not request.future.cancelled())
        self._rows = sum(len(request.matrix) for request in self._waiting)

    def _score(self, batch: list[_Request]) -> None:
        started_ms = self._ticks()
        for request in batch:
            RequestWaited(self.package.name, self.package.version, started_ms - request.arrived_ms).tell()
        try:
            scores = self._scorer(np.concatenate([request.matrix for request in batch]), buckets=_buckets(batch))
        except Exception as error:
            for request in batch:
                request.future.set_exception(error)
            if isinstance(error, Fatal):
                self._end(error)
            return
        first = 0
        for request in batch:
            request.future.set_result(scores[first : first + len(request.matrix)])
            first += len(request.matrix)
        self._tell(batch, scores, self._ticks() - started_ms)

    def _tell(self, batch: list[_Request], scores: Scores, took_ms: float) -> None:
        counts = (len(batch), len(scores.values), scores.padding, len(scores.failures))
        BatchScored(self.package.name, self.package.version, *counts, took_ms).tell()

    def _end(self, error: Fatal) -> None:
        with self._changed:
            self._closed = True
            waiting, self._waiting, self._rows = self._waiting, deque(), 0
        for request in waiting:
            if request.future.set_running_or_notify_cancel():
                request.future.set_exception(Stopping(f"{self._name} takes no new rows: {error}; ask again in seconds"))
        self._on_fatal(error)


def _buckets(batch: list[_Request]) -> np.ndarray | None:
    if not any(request.bucket for request in batch):
        return None
    return np.concatenate([np.full(len(request.matrix), request.bucket, np.int32) for request in batch])
