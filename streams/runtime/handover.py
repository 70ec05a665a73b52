"""The hand-over: what the consumer's thread and the event loop tell each other about what is in flight.

consumer's thread              event loop
-----------------              ----------
wait_for_room
hand_over        ──▶           MicroBatch.__enter__
                               prepared, computing, computed  where a step leaves its work to somebody else
                               processed, committing
(commits offsets) ◀──          commit                    outside a transaction
wait_for_room    ◀──           MicroBatch.__exit__       by whatever way
drain, rewound   ◀──           rewind                    everything in flight is dropped
"""

import math
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import confluent_kafka as ck

from streams.clock import ticks_ms
from streams.fatal import Fatal
from streams.runtime.microbatch import Flight, MicroBatch, Silence
from streams.wire.block import Block

_COMMIT_S = 30.0
_OVERLAP_FROM = 0.6
#: The next micro-batch is begun by the time that this share of the computing is over: a device must not wait for it.
_READY_AT = 0.8


class Dropped(RuntimeError):
    """A commit came too late: its micro-batch was dropped, or the consumer has stopped. It is read again."""


class Stuck(Fatal):
    """The broker answers others, and a commit of ours does not return: only a new process can go on."""


class HandOver:
    """What is in flight, under one lock. The event loop asks; the thread whose consumer it is does.

    Parameters
    ----------
    commit
        Commits offsets; called in the consumer's thread alone, while it waits.
    clock
        Monotonic time, ms.
    """

    def __init__(
        self, commit: Callable[[list[ck.TopicPartition]], None], clock: Callable[[], float] = ticks_ms
    ) -> None:
        self.epoch = 0
        self.stopping = False
        self.rewinding = False
        self._commit = commit
        self._clock = clock
        self._requests: deque[tuple[list[ck.TopicPartition], Future[None]]] = deque()
        self._in_flight = 0
        self._changes = 0
        self._computing_ms: float | None = None  # since when
        self._committing_ms: float | None = None
        self._newest_computes = False
        self._begin_ms = self._compute_ms = self._process_ms = self._commit_ms = 0.0  # what it took last
        self._changed = threading.Condition()

    # The event loop's side.

    def prepared(self, since_ms: float) -> None:
        """A micro-batch, in flight since then, is begun; what is left is to compute it and to finish it."""
        with self._changed:
            self._begin_ms = self._clock() - since_ms

    def computing(self) -> None:
        """The newest micro-batch computes now."""
        with self._changed:
            self._computing_ms, self._newest_computes = self._clock(), True
            self._notify()

    def computed(self) -> None:
        """What computed is computed."""
        with self._changed:
            if self._computing_ms is not None:
                self._compute_ms, self._computing_ms = self._clock() - self._computing_ms, None
            self._newest_computes = False

    def processed(self, since_ms: float) -> None:
        """A micro-batch that has been in flight since then is processed."""
        with self._changed:
            self._process_ms = self._clock() - since_ms

    def committing(self) -> None:
        """The oldest micro-batch begins to commit."""
        with self._changed:
            self._committing_ms = self._clock()
            self._notify()

    def left(self) -> None:
        """One thing is no longer in flight, committed or dropped."""
        with self._changed:
            self._in_flight -= 1
            assert self._in_flight >= 0, self._in_flight
            if self._committing_ms is not None:
                self._commit_ms, self._committing_ms = self._clock() - self._committing_ms, None
            self._notify()

    def _notify(self) -> None:
        self._changes += 1
        self._changed.notify_all()

    def rewind(self) -> None:
        """Drop everything in flight; the consumer then reads again from what is committed."""
        with self._changed:
            self.epoch += 1
            self.rewinding = True
            self._changed.notify_all()

    def commit(self, offsets: list[ck.TopicPartition]) -> None:
        """Commit outside a transaction; returns when the broker has it.

        Raises
        ------
        TimeoutError
            The broker has not answered for long.
        Dropped
            What was in flight has been dropped: its partitions may be another's by now.
        """
        done: Future[None] = Future()
        with self._changed:
            if self.stopping:
                raise Dropped("the consumer has stopped")
            self._requests.append((offsets, done))
            self._changed.notify_all()
        done.result(_COMMIT_S)

    def stop(self) -> None:
        """End every wait."""
        with self._changed:
            self.stopping = True
            self._changed.notify_all()

    # The consumer's side.

    def begin(self) -> Flight:
        """Something is in flight from now on that is no micro-batch: a stage that is being restored."""
        self._count_in()
        return Flight(self)

    def hand_over(
        self, blocks: list[Block], idle: list[Silence] | None = None, epoch: int | None = None, membership: Any = None
    ) -> MicroBatch:
        """Make a micro-batch, which is in flight from now on.

        Parameters
        ----------
        blocks, idle, membership
            See `MicroBatch`.
        epoch
            In which it was read; by default that of now.
        """
        since_ms = self._count_in()
        return MicroBatch(self, blocks, idle or [], self.epoch if epoch is None else epoch, membership, since_ms)

    def _count_in(self) -> float:
        with self._changed:
            self._in_flight += 1
            self._newest_computes = False
            return self._clock()

    def rewound(self) -> None:
        """The consumer has gone back."""
        with self._changed:
            self.rewinding = False

    def wait_for_room(self, batches_max: int, not_before_ms: float, wait_s: float) -> bool:
        """Wait until another micro-batch may be read; False where that takes longer, or there is something else to do.

        Parameters
        ----------
        batches_max
            How many may be in flight; one more while the newest of them computes.
        not_before_ms
            By the clock, however much room there is.
        wait_s
            How long to wait for it.
        """
        deadline = self._clock() + wait_s * 1000
        while not (self.rewinding or self.stopping):
            news = self._news()  # first, so that none is missed
            due, now = max(not_before_ms, self._due_ms(batches_max)), self._clock()
            if now >= due:
                self._wait(lambda: True, 0.0)  # commits that are requested come first: nothing may come to be read
                return True
            # Whoever comes back without room pauses the consumer, which throws away what it has prefetched.
            if now >= deadline:
                return False
            self._wait(news, (min(deadline, due) - now) / 1000)
        return False

    def linger(self, wait_s: float) -> bool:
        """Wait while more is gathered; False at once where that is over: by a rewind, or the end."""
        return not self._wait(lambda: self.rewinding or self.stopping, wait_s)

    def _news(self) -> Callable[[], bool]:
        seen = self._changes
        return lambda: self._changes != seen or self.rewinding or self.stopping

    def _due_ms(self, batches_max: int) -> float:
        """When the next micro-batch should be read.

        While processing takes much less time than committing, after the commit: what is read sooner only grows old,
        and a transaction that begins right behind another takes longer. Else so that it is processed by the time that
        the one before it is committed. As long as that one is being processed itself there is no hurry, unless it is
        computed elsewhere: then so that the next one is begun before its computing is over.
        """
        with self._changed:
            if self._in_flight == 0:
                return 0.0
            if self._newest_computes and self._computing_ms is not None and self._in_flight <= batches_max:
                return self._computing_ms + max(0.0, _READY_AT * self._compute_ms - self._begin_ms)
            overlaps = self._process_ms > _OVERLAP_FROM * self._commit_ms
            if self._in_flight >= batches_max or self._committing_ms is None or not overlaps:
                return math.inf
            return self._committing_ms + max(0.0, self._commit_ms - self._process_ms)

    def drain(self, wait_ms: float | None = None) -> bool:
        """Wait until nothing is in flight."""
        return self._wait(lambda: self._in_flight == 0 or self.stopping, None if wait_ms is None else wait_ms / 1000)

    def _wait(self, until: Callable[[], bool], wait_s: float | None) -> bool:
        """Wait for a condition, and do the commits that are requested meanwhile: the condition may depend on them."""
        deadline = None if wait_s is None else self._clock() + wait_s * 1000
        while True:
            left_s = None if deadline is None else max(0.0, deadline - self._clock()) / 1000
            with self._changed:
                self._changed.wait_for(lambda: until() or bool(self._requests), left_s)
                requests = list(self._requests)
                self._requests.clear()
            for offsets, done in requests:
                self._answer(offsets, done)
            if until():
                return True
            if deadline is not None and self._clock() >= deadline:
                return False

    def _answer(self, offsets: list[ck.TopicPartition], done: "Future[None]") -> None:
        try:
            if self.rewinding:
                raise Dropped("the micro-batch was dropped")
            self._commit(offsets)
        except Exception as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    def close(self) -> None:
        """Nothing will be committed any more: say so to those who wait for it."""
        self.stop()
        with self._changed:
            for _, done in self._requests:
                done.set_exception(Dropped("the consumer has stopped"))
            self._requests.clear()
