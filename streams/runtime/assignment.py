"""The assignment: the partitions that a consumer holds; how they come, begin and go.

                   topic not there, or others too small
    assigned ──────────────────────────▶ held back          `streams.runtime.held_back`
       │   ◀───────────────────────────────┘ it fits now
       ▼
    coming       paused, at its start offset, until nothing is in flight
       │
       ▼
    beginning    its stage is restored in a thread of its own, which may take long; the group is served meanwhile
       │
       ▼
    reading ──▶ idle ──▶ asleep                             `streams.runtime.silences`
       │ ▲        └────────┘ a record comes
       ▼ │
    rewinding    something failed: back to what is committed, as soon as nothing is in flight

    any of them ──▶ revoked    once what is in flight is committed, or dropped because that takes too long
                ──▶ lost       what is in flight is dropped

A stage begins and is forgotten only while no micro-batch is in flight. So the group's callbacks only take down what
comes, and `begin` does the rest between two micro-batches; a beginning is in flight itself. A micro-batch that is
dropped for one partition held records of others, which stay ours: so whatever is dropped, everything is read again from
what is committed.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial

import confluent_kafka as ck

from streams.away import patiently
from streams.clock import ticks_ms
from streams.kafka.cluster import Cluster
from streams.runtime.facts import PartitionsAssigned, PartitionsLost, StageAwaits
from streams.runtime.handover import HandOver
from streams.runtime.held_back import HeldBack
from streams.runtime.limits import ConsumerLimits
from streams.runtime.offset_marks import OffsetMarks, Place
from streams.runtime.positions import Positions
from streams.runtime.silences import Silences
from streams.runtime.stage import Step
from streams.runtime.start_offsets import StartOffsets

_POLL_MS = 200

_Callback = Callable[["Assignment", ck.Consumer, list[ck.TopicPartition]], None]


def _legible(callback: _Callback) -> _Callback:
    """confluent-kafka mangles a KafkaException that leaves a callback into something that no `except` catches: the
    consumer's thread would end without a word."""

    def called(self: "Assignment", client: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        try:
            callback(self, client, partitions)
        except ck.KafkaException as error:
            raise RuntimeError(f"{callback.__name__}: {error.args[0].str()}") from error

    return called


class Assignment:
    """The partitions of one member of a group.

    Parameters
    ----------
    cluster, group
        For topic names, and whose member this is.
    step
        Told which partitions come and go.
    start_offsets
        Where a partition begins.
    in_flight
        The hand-over of micro-batches.
    limits
        How long a partition that is taken away waits for what is in flight, and when one is idle.
    alike
        Topics of ours that must have as many partitions as the one that is read.
    clock
        Monotonic time, ms.

    Attributes
    ----------
    changes
        Counts what came and went.
    awaited
        What is away that stages need to begin; empty where there is nothing.
    held_back
        Partitions that cannot begin yet.
    positions, silences
        Of the partitions that are read.
    """

    def __init__(
        self,
        cluster: Cluster,
        group: str,
        step: Step,
        start_offsets: StartOffsets,
        in_flight: HandOver,
        limits: ConsumerLimits,
        alike: Sequence[str] = (),
        clock: Callable[[], float] = ticks_ms,
    ) -> None:
        self.changes = 0
        self.awaited = ""
        self.held_back = HeldBack(cluster, alike, clock)
        self.positions = Positions(cluster, clock)
        self.silences = Silences(self.positions, limits.idle_after_ms, limits.asleep_after_ms, clock)
        self._marks = OffsetMarks(cluster, group)
        self._step = step
        self._start_offsets = start_offsets
        self._in_flight = in_flight
        self._revoke_wait_ms_max = limits.revoke_wait_ms_max
        self._coming: dict[Place, tuple[ck.TopicPartition, int]] = {}  # in which epoch; their stages have not begun

    @property
    def due(self) -> bool:
        """Whether `begin` is to be called."""
        return bool(self._coming) or self._in_flight.rewinding

    # The group's callbacks, in the consumer's thread.

    @_legible
    def assigned(self, client: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        """Partitions come: each begins at its committed offset."""
        self.changes += 1
        fit = self.held_back.fit(partitions)
        starts = self._starts(client, fit)
        client.incremental_assign(starts)
        self._coming |= {self._marks.place(p): (p, self._in_flight.epoch) for p in starts}
        if starts:
            client.pause(starts)
            PartitionsAssigned([f"{p.topic}/{p.partition}" for p in starts]).tell()

    @_legible
    def revoked(self, client: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        """Partitions go, in order: what is in flight is committed, or dropped."""
        if not self._in_flight.drain(self._revoke_wait_ms_max):
            self._in_flight.rewind()
        self._forget(client, partitions)

    @_legible
    def lost(self, client: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        """Partitions have gone to somebody else: what is in flight can no longer be committed."""
        PartitionsLost([f"{p.topic}/{p.partition}" for p in partitions]).tell()
        self._in_flight.rewind()
        self._forget(client, partitions)

    def let_go(self) -> None:
        """Forget whatever is still held: the client is closed."""
        self.changes += 1
        for topic_partition in {*self.silences.places(), *self._coming}:
            self._step.revoke(*topic_partition)
        self._coming.clear()
        for held in (self.held_back, self.positions, self.silences):
            held.clear()

    def take_up(self, client: ck.Consumer) -> None:
        """Begin what was held back and can begin now."""
        partitions = self.held_back.due()
        if partitions and (fit := self.held_back.fit(partitions)):
            self.assigned(client, fit)

    def _starts(self, client: ck.Consumer, partitions: list[ck.TopicPartition]) -> list[ck.TopicPartition]:
        return self._start_offsets.of(client, partitions, self._marks, lambda: self._in_flight.stopping)

    def _forget(self, client: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        """Let go of what the group has taken; what was held back is not assigned, and no stage of it has begun."""
        self._release(client, [p for p in partitions if not self.held_back.forget(self._marks.place(p))])

    def _release(self, client: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        self.changes += 1
        for topic_partition in map(self._marks.place, partitions):
            self._coming.pop(topic_partition, None)
            self.positions.forget(topic_partition)
            self.silences.forget(topic_partition)
            self._step.revoke(*topic_partition)
        if gone := [p for p in partitions if p in client.assignment()]:
            client.incremental_unassign(gone)

    # Between two micro-batches.

    def begin(self, client: ck.Consumer, poll: Callable[[], None]) -> None:
        """Begin what has come, at its start; after a rewind begin everything, at what is committed.

        ``poll`` serves the group meanwhile, and pauses whatever is assigned.
        """
        self._drain(poll)
        # One that has come since the last rewind is there already: it need not, and may not yet, be sought.
        starts = {
            topic_partition: p for topic_partition, (p, epoch) in self._coming.items() if epoch == self._in_flight.epoch
        }
        self._coming = {}
        if self._in_flight.rewinding:
            self._in_flight.rewound()
            starts |= self._rewound(client, starts)
        if not starts or self._in_flight.stopping:
            return
        changes = self.changes
        beginning = self._begin_stages(starts)
        self._drain(poll)
        if not beginning.done():  # the consumer stops
            return
        beginning.result()
        if changes != self.changes:  # one of them may have gone and come again while its stage began
            for topic_partition in starts.keys() - set(map(self._marks.place, client.assignment())):
                self._step.revoke(*topic_partition)
                del starts[topic_partition]
        self.positions.begin({topic_partition: p.offset for topic_partition, p in starts.items()})
        self.silences.begin(starts)

    def _drain(self, poll: Callable[[], None]) -> None:
        while not self._in_flight.drain(_POLL_MS):
            poll()

    def _rewound(self, client: ck.Consumer, new: dict[Place, ck.TopicPartition]) -> dict[Place, ck.TopicPartition]:
        """Seek all but what is new to what is committed; lets go of what cannot begin again now."""
        older = [p for p in client.assignment() if self._marks.place(p) not in new]
        fit = self.held_back.fit(older)
        if gone := [p for p in older if p not in fit]:
            self._release(client, gone)
        starts = self._starts(client, fit)
        for p in starts:
            _seek(client, p)
        return {self._marks.place(p): p for p in starts}

    def _begin_stages(self, starts: dict[Place, ck.TopicPartition]) -> "Future[None]":
        """Begin stages in a thread of their own, in flight like a micro-batch. Where something that one needs is away,
        it begins when that is back."""
        stages_ready: Future[None] = Future()
        in_flight = self._in_flight.begin()

        def begin() -> None:
            with in_flight:
                try:
                    for topic_partition, p in starts.items():
                        assign = partial(self._step.assign, *topic_partition, p.offset, p.metadata or "")
                        patiently(assign, self._await, lambda: self._in_flight.stopping)
                except BaseException as error:
                    stages_ready.set_exception(error)
                else:
                    stages_ready.set_result(None)

        threading.Thread(target=begin, name="begin", daemon=True).start()
        return stages_ready

    def _await(self, why: str) -> None:
        if why and why != self.awaited:
            StageAwaits(why).tell()
        self.awaited = why


def _seek(client: ck.Consumer, p: ck.TopicPartition) -> None:
    """Read a partition from an offset on; one whose topic was made again is no longer fetched, and is assigned anew."""
    try:
        client.seek(p)
    except ck.KafkaException as error:
        if error.args[0].code() != ck.KafkaError._STATE:
            raise
        client.incremental_unassign([p])
        client.incremental_assign([p])
        client.pause([p])
