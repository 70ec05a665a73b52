"""The feed: one librdkafka consumer in one thread, which reads turns and hands them over.

A *turn* is all that waits, a block a partition. At most two turns are in flight, one being folded and one being
settled; the next is cut when one of them is done, so blocks grow with the backlog: small and quick at low load, large
and cheap at high load.

The stages change hands (assignment, rewind) only while no turn is in flight, in this thread.

The consumer is touched by this thread alone. confluent-kafka lets one call at a time into a consumer, and a second
caller starves behind a polling loop; so each turn carries its group metadata, and commits are handed in.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

import confluent_kafka as ck
import msgspec
import structlog

from streams.block import Block
from streams.clock import ticks_ms
from streams.cluster import Cluster
from streams.offsets import Gap, Starts
from streams.stage import Step

log = structlog.get_logger("streams.feed")

_WAIT_S = 0.05
_POLL_S = 0.2
_COMMIT_S = 30.0
_LAG_EVERY_MS = 1_000


class FeedLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed may hold, and how long it waits.

    Parameters
    ----------
    rows_max
        Records of one turn.
    turns_in_flight_max
        One is folded while one is settled.
    revoke_wait_ms_max
        How long a partition that is taken away waits for its turn to settle; then the turn is dropped and redone there.
    idle_after_ms
        When a partition with nothing more to read counts as idle; None never asks.
    quiet_turn_ms
        After this long without a turn an empty one is handed over, for those who settle by time; None never.
    turn_every_ms
        At most one turn in so long, for topics that are read again and again: what a turn sends back to its own topic
        would else be its next turn at once. None reads as fast as it can.
    """

    rows_max: int = 5_000
    turns_in_flight_max: int = 2
    revoke_wait_ms_max: int = 5_000
    idle_after_ms: int | None = None
    quiet_turn_ms: int | None = None
    turn_every_ms: int | None = None


class Turn(msgspec.Struct, frozen=True):
    """Blocks that were waiting, and partitions that have just fallen silent. A turn of an older epoch is dropped.

    ``membership`` is the group metadata that a transaction sends with the turn's offsets.
    """

    blocks: list[Block]
    idle: list[tuple[str, int]]
    epoch: int
    membership: Any


class Feed:
    """Reads topics as a member of a group.

    Parameters
    ----------
    cluster, group, topics
        What to read, as whom. Topics by their logical names.
    step
        Told which partitions come and go.
    hand_over
        Called in the feed's thread with each turn; must not block for long.
    crash
        Called with what ended the thread, if it was not `stop`.
    limits
        See `FeedLimits`.
    starts
        Where a partition begins: see `streams.offsets`.
    """

    def __init__(
        self,
        cluster: Cluster,
        group: str,
        topics: Iterable[str],
        step: Step,
        *,
        hand_over: Callable[[Turn], None],
        crash: Callable[[BaseException], None],
        limits: FeedLimits | None = None,
        starts: Starts | None = None,
        consumer_options: dict[str, Any] | None = None,
    ) -> None:
        self.cluster = cluster
        self.group = group
        self.epoch = 0
        self.lag_rows: int | None = None
        self.limits = limits or FeedLimits()
        self._topics = [cluster.topic(name) for name in topics]
        self._step = step
        self._hand_over = hand_over
        self._crash = crash
        self._starts = starts or Starts()
        self._stray: list[ck.Message] = []
        self._commits: deque[tuple[list[ck.TopicPartition], Future[None]]] = deque()
        self._consumer = cluster.consumer(group, **(consumer_options or {}))
        self._in_flight = 0
        self._handed_ms = ticks_ms()
        self._lag_at_ms = 0.0
        self._changed = threading.Condition()
        self._stopping = False
        self._rewind = False
        self._held: set[tuple[str, int]] = set()
        self._spoke: dict[tuple[str, int], float | None] = {}  # None once it was called idle
        self._thread = threading.Thread(target=self._run, name=f"feed-{group}", daemon=True)

    # What the shell calls, from its own threads.

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Leave the group; waits for the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def done(self) -> None:
        """One turn has left the shell, settled or dropped."""
        with self._changed:
            self._in_flight -= 1
            assert self._in_flight >= 0, self._in_flight
            self._changed.notify_all()

    def rewind(self) -> None:
        """Forget every turn and stage, and read again from what is committed."""
        with self._changed:
            self.epoch += 1
            self._rewind = True
            self._changed.notify_all()

    def commit(self, offsets: list[ck.TopicPartition]) -> None:
        """Commit outside a transaction, for those who settle by intents; returns when the broker has it."""
        done: Future[None] = Future()
        with self._changed:
            self._commits.append((offsets, done))
            self._changed.notify_all()
        done.result(_COMMIT_S)

    def partitions(self) -> list[tuple[str, int]]:
        """Partitions held now, by logical topic."""
        return sorted(self._held)

    # The thread.

    def _run(self) -> None:
        try:
            self._consumer.subscribe(
                self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )
            while not self._stopping:
                if self._rewind:
                    self._seek_back()
                elif self._wait_for_turn():
                    self._read()
                    self._measure_lag()
                else:
                    self._keep_membership()
        except BaseException as error:
            if not self._stopping:
                self._crash(error)
        finally:
            try:
                self._consumer.close()
            except (RuntimeError, ck.KafkaException) as error:
                log.warning("feed.close", group=self.group, why=str(error))

    def _wait_for_turn(self, wait_s: float = 1.0) -> bool:
        """Wait until the next turn may be read; False where that takes long, or there is something else to do."""
        not_before = self._handed_ms + (self.limits.turn_every_ms or 0)

        def may() -> bool:
            room = self._in_flight < self.limits.turns_in_flight_max and ticks_ms() >= not_before
            return room or self._stopping or self._rewind

        left_s = (not_before - ticks_ms()) / 1000 + 0.001
        return self._wait(may, min(wait_s, left_s) if left_s > 0 else wait_s) and not (self._rewind or self._stopping)

    def _keep_membership(self) -> None:
        """Poll with everything paused: a slow model must not cost the membership."""
        self._consumer.pause(self._consumer.assignment())
        while not (self._wait_for_turn(_POLL_S) or self._rewind or self._stopping):
            spoken = self._consumer.poll(0)
            if spoken is not None:  # a partition assigned by this very poll was not paused yet
                self._stray.append(spoken)
            self._consumer.pause(self._consumer.assignment())
        self._consumer.resume(self._consumer.assignment())

    def _read(self) -> None:
        stray, self._stray = self._stray, []
        first = stray or self._consumer.consume(1, _WAIT_S)
        epoch = self.epoch
        more_s = 0 if self.limits.turn_every_ms is None else _WAIT_S  # a turn that comes seldom is a whole one
        messages = first + (self._consumer.consume(self.limits.rows_max - 1, more_s) if first else [])
        blocks = self._blocks(messages)
        idle = self._fallen_silent(blocks)
        quiet = self.limits.quiet_turn_ms
        if blocks or idle or (quiet is not None and ticks_ms() - self._handed_ms > quiet):
            self._handed_ms = ticks_ms()
            with self._changed:
                self._in_flight += 1
            self._hand_over(Turn(blocks, idle, epoch, self._consumer.consumer_group_metadata()))

    def _blocks(self, messages: list[ck.Message]) -> list[Block]:
        gathered: dict[tuple[str, int], list[ck.Message]] = {}
        for message in messages:
            error = message.error()
            if error:
                self._refuse(error, message)
                continue
            gathered.setdefault((message.topic(), message.partition()), []).append(message)
        return [
            Block.of_messages(self.cluster.logical(topic), partition, ms) for (topic, partition), ms in gathered.items()
        ]

    def _refuse(self, error: ck.KafkaError, message: ck.Message) -> None:
        if error.code() in (ck.KafkaError._PARTITION_EOF, ck.KafkaError._MAX_POLL_EXCEEDED):
            return
        if error.code() == ck.KafkaError._AUTO_OFFSET_RESET:
            raise Gap(
                f"{message.topic()}/{message.partition()}: the position is no longer in the log "
                f"({error.str()}); set kafka.accept_gap=true to go on behind it"
            )
        if error.retriable() or not error.fatal():
            log.warning("feed.error", group=self.group, why=error.str())
            return
        raise ck.KafkaException(error)

    def _fallen_silent(self, blocks: list[Block]) -> list[tuple[str, int]]:
        after = self.limits.idle_after_ms
        if after is None:
            return []
        now = ticks_ms()
        self._spoke.update({(block.topic, block.partition): now for block in blocks})
        silent = [
            held
            for held, spoke in self._spoke.items()
            if spoke is not None and now - spoke > after and self._at_end(*held)
        ]
        self._spoke.update(dict.fromkeys(silent))
        return silent

    def _measure_lag(self) -> None:
        """Offsets between the position and the end, over the partitions held."""
        if ticks_ms() - self._lag_at_ms < _LAG_EVERY_MS:
            return
        self._lag_at_ms = ticks_ms()
        total = 0
        for where in self._consumer.position(self._consumer.assignment()):
            _, high = self._consumer.get_watermark_offsets(where, cached=True)
            if high >= 0 and where.offset >= 0:
                total += max(0, high - where.offset)
        self.lag_rows = total

    def _at_end(self, topic: str, partition: int) -> bool:
        where = ck.TopicPartition(self.cluster.topic(topic), partition)
        _, high = self._consumer.get_watermark_offsets(where, cached=True)
        at: int = self._consumer.position([where])[0].offset
        return bool(high >= 0 and (at >= high if at >= 0 else high == 0))

    # Partitions come and go.

    def _on_assign(self, consumer: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        self._drain(None)
        starts = self._starts.of(consumer, partitions, lambda: self._stopping)
        consumer.incremental_assign(starts)
        self._begin(starts)
        if partitions:
            log.info("feed.assigned", group=self.group, partitions=[f"{p.topic}/{p.partition}" for p in starts])

    def _on_revoke(self, consumer: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        if not self._drain(self.limits.revoke_wait_ms_max):
            with self._changed:
                self.epoch += 1
        self._forget(partitions)
        consumer.incremental_unassign(partitions)

    def _on_lost(self, consumer: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        with self._changed:
            self.epoch += 1
        self._forget(partitions)
        consumer.incremental_unassign(partitions)

    def _forget(self, partitions: list[ck.TopicPartition]) -> None:
        gone = {(p.topic, p.partition) for p in partitions}
        self._stray = [m for m in self._stray if (m.topic(), m.partition()) not in gone]
        for p in partitions:
            held = (self.cluster.logical(p.topic), p.partition)
            self._held.discard(held)
            self._spoke.pop(held, None)
            self._step.revoke(*held)

    def _begin(self, starts: list[ck.TopicPartition]) -> None:
        for p in starts:
            held = (self.cluster.logical(p.topic), p.partition)
            self._step.assign(*held, p.offset, p.metadata or "")
            self._held.add(held)
            self._spoke[held] = ticks_ms()

    def _seek_back(self) -> None:
        self._drain(None)
        with self._changed:
            self._rewind = False
        self._stray.clear()
        starts = self._starts.of(self._consumer, self._consumer.assignment(), lambda: self._stopping)
        self._begin(starts)
        for p in starts:
            self._consumer.seek(p)

    def _drain(self, wait_ms: float | None) -> bool:
        """Wait until no turn is in flight."""
        return self._wait(lambda: self._in_flight == 0 or self._stopping, None if wait_ms is None else wait_ms / 1000)

    def _wait(self, until: Callable[[], bool], wait_s: float | None) -> bool:
        """Wait for a condition, and meanwhile do the commits that are handed in: what we wait for may need them."""
        deadline = None if wait_s is None else ticks_ms() + wait_s * 1000
        while True:
            left = None if deadline is None else max(0.0, deadline - ticks_ms()) / 1000
            with self._changed:
                self._changed.wait_for(lambda: until() or bool(self._commits), left)
                waiting = list(self._commits)
                self._commits.clear()
            for offsets, done in waiting:
                self._commit(offsets, done)
            if until():
                return True
            if deadline is not None and ticks_ms() >= deadline:
                return False

    def _commit(self, offsets: list[ck.TopicPartition], done: "Future[None]") -> None:
        try:
            for p in self._consumer.commit(offsets=offsets, asynchronous=False):
                if p.error:
                    raise ck.KafkaException(p.error)
            done.set_result(None)
        except ck.KafkaException as error:
            done.set_exception(error)
