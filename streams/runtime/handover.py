"""Turns: what a feed reads at once, and what its thread and the shell say to each other while turns are in flight."""

import math
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import chain
from typing import Any, NamedTuple

import confluent_kafka as ck
import msgspec

from streams.clock import ticks_ms
from streams.wire.block import Block

_COMMIT_S = 30.0
_OVERLAP_FROM = 0.6


class Dropped(RuntimeError):
    """A commit came too late: its turn has been dropped, or the feed has stopped. It is read again."""


class Stuck(RuntimeError):
    """The broker answers others, and a commit of ours does not return: only a new process can go on."""


class Silence(NamedTuple):
    """A partition that has said nothing for so long, and has nothing more to read after the offset ``last``.

    What a step says of it is settled with that offset, which was settled before: so the group fences a member that
    says it of a partition that has gone to another.
    """

    topic: str
    partition: int
    after_ms: int
    last: int


class Turn(msgspec.Struct, frozen=True):
    """Blocks that were waiting, and partitions that have fallen silent. A turn of an older epoch is dropped.

    ``membership`` is the group metadata that a transaction sends with the turn's offsets.
    """

    blocks: list[Block]
    idle: list[Silence]
    epoch: int
    membership: Any

    def times(self) -> list[int]:
        """Kafka's timestamps of all records, ms."""
        return list(chain.from_iterable(block.times for block in self.blocks))


class Turns:
    """The turns in flight, under one lock. The shell asks; the feed's thread, whose consumer it is, does.

    Parameters
    ----------
    commit
        Commits offsets; called in the feed's thread alone, while it waits.
    """

    def __init__(self, commit: Callable[[list[ck.TopicPartition]], None]) -> None:
        self.epoch = 0
        self.stopping = False
        self.rewinding = False
        self._commit = commit
        self._asked: deque[tuple[list[ck.TopicPartition], Future[None]]] = deque()
        self._in_flight = 0
        self._changes = 0
        self._began_ms = 0.0
        self._settling_ms: float | None = None  # since when
        self._fold_ms = self._settle_ms = 0.0  # what it took last
        self._changed = threading.Condition()

    # The shell's side.

    def folded(self) -> None:
        """The newest turn is folded."""
        with self._changed:
            self._fold_ms = ticks_ms() - self._began_ms

    def settling(self) -> None:
        """The oldest turn begins to settle."""
        with self._changed:
            self._settling_ms = ticks_ms()
            self._tell()

    def done(self) -> None:
        """One turn has left the shell, settled or dropped."""
        with self._changed:
            self._in_flight -= 1
            assert self._in_flight >= 0, self._in_flight
            if self._settling_ms is not None:
                self._settle_ms, self._settling_ms = ticks_ms() - self._settling_ms, None
            self._tell()

    def _tell(self) -> None:
        self._changes += 1
        self._changed.notify_all()

    def rewind(self) -> None:
        """Drop every turn in flight; the feed then reads again from what is committed."""
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
            The turns in flight have been dropped: their partitions may be another's by now.
        """
        done: Future[None] = Future()
        with self._changed:
            if self.stopping:
                raise Dropped("the feed has stopped")
            self._asked.append((offsets, done))
            self._changed.notify_all()
        done.result(_COMMIT_S)

    def stop(self) -> None:
        """End every wait."""
        with self._changed:
            self.stopping = True
            self._changed.notify_all()

    # The feed's side.

    def began(self) -> None:
        """One turn is about to be handed over."""
        with self._changed:
            self._in_flight += 1
            self._began_ms = ticks_ms()

    def rewound(self) -> None:
        """The feed has gone back."""
        with self._changed:
            self.rewinding = False

    def wait_for_room(self, turns_max: int, not_before_ms: float, wait_s: float) -> bool:
        """Wait until another turn may be read; False where that takes longer, or there is something else to do."""
        deadline = ticks_ms() + wait_s * 1000
        while not (self.rewinding or self.stopping):
            news = self._news()  # first, so that none is missed
            due, now = max(not_before_ms, self._due_ms(turns_max)), ticks_ms()
            if now >= due:
                return True
            # Whoever comes back without room pauses the consumer, which throws away what it has prefetched.
            if now >= deadline:
                return False
            self._wait(news, (min(deadline, due) - now) / 1000)
        return False

    def _news(self) -> Callable[[], bool]:
        seen = self._changes
        return lambda: self._changes != seen or self.rewinding or self.stopping

    def _due_ms(self, turns_max: int) -> float:
        """When the next turn should be read.

        While folding takes much less time than settling, after the settlement: a turn that is read sooner only grows
        old, and a transaction on another's heels takes longer. Else so that it is folded by the time that the one
        before it has settled. As long as that one is being folded itself there is no hurry.
        """
        with self._changed:
            if self._in_flight == 0:
                return 0.0
            overlaps = self._fold_ms > _OVERLAP_FROM * self._settle_ms
            if self._in_flight >= turns_max or self._settling_ms is None or not overlaps:
                return math.inf
            return self._settling_ms + max(0.0, self._settle_ms - self._fold_ms)

    def drain(self, wait_ms: float | None = None) -> bool:
        """Wait until no turn is in flight."""
        return self._wait(lambda: self._in_flight == 0 or self.stopping, None if wait_ms is None else wait_ms / 1000)

    def _wait(self, until: Callable[[], bool], wait_s: float | None) -> bool:
        """Wait for a condition, and meanwhile do the commits that are asked for: what we wait for may need them."""
        deadline = None if wait_s is None else ticks_ms() + wait_s * 1000
        while True:
            left = None if deadline is None else max(0.0, deadline - ticks_ms()) / 1000
            with self._changed:
                self._changed.wait_for(lambda: until() or bool(self._asked), left)
                asked = list(self._asked)
                self._asked.clear()
            for offsets, done in asked:
                self._answer(offsets, done)
            if until():
                return True
            if deadline is not None and ticks_ms() >= deadline:
                return False

    def _answer(self, offsets: list[ck.TopicPartition], done: "Future[None]") -> None:
        try:
            if self.rewinding:
                raise Dropped("the turn was dropped")
            self._commit(offsets)
        except Exception as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    def close(self) -> None:
        """Nobody will commit any more: say so to those who wait for it."""
        self.stop()
        with self._changed:
            for _, done in self._asked:
                done.set_exception(Dropped("the feed has stopped"))
            self._asked.clear()
