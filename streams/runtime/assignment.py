"""Holdings: the partitions that a feed holds; how they come, begin, fall silent and go.

A stage changes hands (assignment, rewind) only while nothing is in flight, and may take long to be restored: longer
than the group waits for a member that does not poll. So the group's word is only taken down; what has come begins
afterwards, in a thread of its own, while the feed goes on polling with everything paused. A beginning is in flight as
a micro-batch is. A partition that is taken away waits a bounded time for what is in flight. A micro-batch that is
dropped for it held records of other partitions too, which stay ours: so whatever is dropped, everything is read again
from what is committed.

A partition that cannot begin yet is held back, and the others go on: its topic is not there (it was deleted, and may be
made again), or a topic that must have as many partitions as this one has fewer. It is looked at again and again.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

import confluent_kafka as ck
import structlog

from streams.away import patiently
from streams.clock import ticks_ms
from streams.kafka.admin import TopicError, partition_counts
from streams.kafka.cluster import Cluster
from streams.kafka.topic_ids import topic_ids
from streams.runtime.handover import HandOver
from streams.runtime.microbatch import Silence
from streams.runtime.offset_marks import OffsetMarks, Place
from streams.runtime.stage import Step
from streams.runtime.start_offsets import StartOffsets
from streams.wire.block import Block

log = structlog.get_logger("streams.runtime.assignment")

_ASK_S = 0.5
_POLL_MS = 200
_COUNTS_S = 5.0
_HELD_LOOK_MS = 2_000

_Word = Callable[["Holdings", ck.Consumer, list[ck.TopicPartition]], None]


def _plainly(take: _Word) -> _Word:
    """confluent-kafka mangles a KafkaException that leaves a callback into something that no `except` catches: the
    feed's thread would end without a word."""

    def taken(self: "Holdings", consumer: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        try:
            take(self, consumer, partitions)
        except ck.KafkaException as error:
            raise RuntimeError(f"{take.__name__}: {error.args[0].str()}") from error

    return taken


class _Quiet(NamedTuple):
    """When a partition spoke last, how many lengths of its silence were told, when it was last looked at, and where
    all partitions of its topic ended when it was told.
    """

    spoke_ms: float
    told: int = 0
    looked_ms: float = 0.0
    ends: tuple[int, ...] = ()


class Holdings:
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
    revoke_wait_ms_max
        How long a partition that is taken away waits for what is in flight.
    alike
        Topics of ours that must have as many partitions as the one that is read.

    Attributes
    ----------
    changes
        Counts what came and went.
    awaited
        What is away that stages need to begin; empty where there is nothing.
    """

    def __init__(
        self,
        cluster: Cluster,
        group: str,
        step: Step,
        start_offsets: StartOffsets,
        in_flight: HandOver,
        revoke_wait_ms_max: int,
        alike: Sequence[str] = (),
    ) -> None:
        self.changes = 0
        self.awaited = ""
        self._alike = alike
        self._held_back: dict[Place, tuple[ck.TopicPartition, str]] = {}  # and why
        self._looked_ms = 0.0
        self._cluster = cluster
        self._marks = OffsetMarks(cluster, group)
        self._step = step
        self._start_offsets = start_offsets
        self._in_flight = in_flight
        self._revoke_wait_ms_max = revoke_wait_ms_max
        self._coming: dict[Place, tuple[ck.TopicPartition, int]] = {}  # in which epoch; their stages have not begun
        self._next: dict[Place, int] = {}  # the offset behind all that was handed over
        self._spoke: dict[Place, _Quiet] = {}  # of the partitions held

    def places(self) -> list[Place]:
        """Partitions held, by logical topic; may be asked from any thread."""
        return sorted(self._spoke.copy())

    @property
    def due(self) -> bool:
        """Whether `begin` is to be called."""
        return bool(self._coming) or self._in_flight.rewinding

    def held_back(self) -> dict[Place, str]:
        """Partitions that cannot begin yet, each with the reason; may be asked from any thread."""
        return {place: why for place, (_, why) in self._held_back.copy().items()}

    # The group's word, in the feed's thread.

    @_plainly
    def assigned(self, consumer: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        """Partitions come: each begins at its committed offset."""
        self.changes += 1
        fit = self._fit(partitions)
        starts = self._start_offsets.of(consumer, fit, self._marks, lambda: self._in_flight.stopping)
        consumer.incremental_assign(starts)
        self._coming |= {self._marks.place(p): (p, self._in_flight.epoch) for p in starts}
        if starts:
            consumer.pause(starts)
            log.info("holdings.assigned", partitions=[f"{p.topic}/{p.partition}" for p in starts])

    @_plainly
    def revoked(self, consumer: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        """Partitions go, in order: what is in flight is committed, or dropped."""
        if not self._in_flight.drain(self._revoke_wait_ms_max):
            self._in_flight.rewind()
        self._forget(consumer, partitions)

    @_plainly
    def lost(self, consumer: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        """Partitions have gone to somebody else: what is in flight can no longer be committed."""
        log.warning("holdings.lost", partitions=[f"{p.topic}/{p.partition}" for p in partitions])
        self._in_flight.rewind()
        self._forget(consumer, partitions)

    def let_go(self) -> None:
        """Forget whatever is still held: the client is closed."""
        self.changes += 1
        for place in self._spoke.keys() | self._coming.keys():
            self._step.revoke(*place)
        for held in (self._held_back, self._coming, self._next, self._spoke):
            held.clear()

    def take_up(self, consumer: ck.Consumer) -> None:
        """Begin what was held back and can begin now."""
        if not self._held_back or ticks_ms() - self._looked_ms < _HELD_LOOK_MS:
            return
        partitions = [p for p, _ in self._held_back.values()]
        if fit := self._fit(partitions):
            self.assigned(consumer, fit)

    def _fit(self, partitions: list[ck.TopicPartition]) -> list[ck.TopicPartition]:
        """Partitions that can begin; the others are held back, which is told once."""
        self._looked_ms = ticks_ms()
        reasons = self._reasons(partitions)
        for p in partitions:
            place, why = self._marks.place(p), reasons.get((p.topic, p.partition), "")
            if why and self._held_back.get(place, (p, ""))[1] != why:
                log.warning("holdings.held_back", partition=f"{p.topic}/{p.partition}", why=why)
            if why:
                self._held_back[place] = (ck.TopicPartition(p.topic, p.partition), why)
            else:
                self._held_back.pop(place, None)
        return [p for p in partitions if (p.topic, p.partition) not in reasons]

    def _reasons(self, partitions: list[ck.TopicPartition]) -> dict[tuple[str, int], str]:
        """Why partitions cannot begin; where the broker does not answer, the start itself waits for it."""
        try:
            there = topic_ids(self._cluster, {p.topic for p in partitions})
            counts = partition_counts(self._cluster, _COUNTS_S) if self._alike and partitions else {}
        except (ck.KafkaException, TopicError):
            return {}
        reasons = {}
        for p in partitions:
            if p.topic not in there:
                reasons[p.topic, p.partition] = f"topic {p.topic} is not there"
            elif small := [name for name in self._alike if counts.get(name, 0) <= p.partition]:
                names = " and ".join(f"{self._cluster.topic(name)} has {counts.get(name, 0)}" for name in small)
                reasons[p.topic, p.partition] = (
                    f"{names} partitions, one for each is needed; `driftline topics create` adds them"
                )
        return reasons

    def _forget(self, consumer: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        self.changes += 1
        for place in map(self._marks.place, partitions):
            self._coming.pop(place, None)
            self._next.pop(place, None)
            self._spoke.pop(place, None)
            if self._held_back.pop(place, None) is None:
                self._step.revoke(*place)
        if gone := [p for p in partitions if p in consumer.assignment()]:  # what was held back is not assigned
            consumer.incremental_unassign(gone)

    # Between two micro-batches.

    def begin(self, consumer: ck.Consumer, poll: Callable[[], None]) -> None:
        """Begin what has come, at its start; after a rewind begin everything, at what is committed.

        ``poll`` serves the group meanwhile, and pauses whatever is assigned.
        """
        while not self._in_flight.drain(_POLL_MS):
            poll()
        # One that has come since the last rewind is there already: it need not, and may not yet, be sought.
        starts = {place: p for place, (p, epoch) in self._coming.items() if epoch == self._in_flight.epoch}
        self._coming = {}
        if self._in_flight.rewinding:
            self._in_flight.rewound()
            older = [p for p in consumer.assignment() if self._marks.place(p) not in starts]
            older = self._drop_unfit(consumer, older)
            for p in self._start_offsets.of(consumer, older, self._marks, lambda: self._in_flight.stopping):
                _seek(consumer, p)
                starts[self._marks.place(p)] = p
        if not starts or self._in_flight.stopping:
            return
        changes = self.changes
        beginning = self._begin(starts)
        while not self._in_flight.drain(_POLL_MS):
            poll()
        if not beginning.done():  # the feed stops
            return
        beginning.result()
        if changes != self.changes:  # one of them may have gone and come again while its stage began
            for place in starts.keys() - set(map(self._marks.place, consumer.assignment())):
                self._step.revoke(*place)
                del starts[place]
        self._next |= {place: p.offset for place, p in starts.items()}
        self._spoke |= dict.fromkeys(starts, _Quiet(ticks_ms()))

    def _drop_unfit(self, consumer: ck.Consumer, partitions: list[ck.TopicPartition]) -> list[ck.TopicPartition]:
        """Let go of partitions whose topic has gone; they are held back until it is there again, or the group takes
        them."""
        fit = self._fit(partitions)
        if gone := [p for p in partitions if p not in fit]:
            held_back = {place: self._held_back[place] for place in map(self._marks.place, gone)}
            self._held_back = {place: held for place, held in self._held_back.items() if place not in held_back}
            self._forget(consumer, gone)
            self._held_back |= held_back
        return fit

    def _begin(self, starts: dict[Place, ck.TopicPartition]) -> "Future[None]":
        """Begin stages in a thread of their own, in flight like a micro-batch. Where something that one needs is away,
        it begins when that is back."""
        started: Future[None] = Future()
        in_flight = self._in_flight.begin()

        def begin() -> None:
            with in_flight:
                try:
                    for place, p in starts.items():
                        assign = partial(self._step.assign, *place, p.offset, p.metadata or "")
                        patiently(assign, self._await, lambda: self._in_flight.stopping)
                except BaseException as error:
                    started.set_exception(error)
                else:
                    started.set_result(None)

        threading.Thread(target=begin, name="begin", daemon=True).start()
        return started

    def _await(self, why: str) -> None:
        if why and why != self.awaited:
            log.warning("holdings.awaits", why=why)
        self.awaited = why

    def next_offset(self, place: Place) -> int:
        """Offset that the step has not been given yet; 0 where it has been given nothing."""
        return max(0, self._next.get(place, 0))

    # Silence and lag.

    def fallen_silent(self, consumer: ck.Consumer, blocks: Sequence[Block], after_ms: Sequence[int]) -> list[Silence]:
        """Partitions that are read to their end and spoke last so long ago.

        A silence is told once for each length. It is told again, every first length, while other partitions of the
        topic go on: where all were silent and one wakes, the others are awaited until they speak or are told silent
        anew (`drift.windows.windows.Source`).
        """
        now = ticks_ms()
        for block in blocks:
            place = (block.topic, block.partition)
            self._spoke[place], self._next[place] = _Quiet(now), block.last + 1
        silent: list[Silence] = []
        ends: dict[str, tuple[int, ...]] = {}
        for place, quiet in self._spoke.items():
            longer = quiet.told < len(after_ms) and now - quiet.spoke_ms > after_ms[quiet.told]
            if not longer and not (quiet.told and now - quiet.looked_ms > after_ms[0]):
                continue
            if place[0] not in ends:
                ends[place[0]] = self._topic_ends(consumer, place[0])
            moved = ends[place[0]] != quiet.ends and bool(ends[place[0]])
            if (longer or moved) and self._at_end(consumer, place):
                told = quiet.told + longer
                silent.append(Silence(*place, after_ms[told - 1], self._next[place] - 1))
                self._spoke[place] = _Quiet(quiet.spoke_ms, told, now, ends[place[0]])
            else:
                self._spoke[place] = quiet._replace(looked_ms=now)
        return silent

    def _topic_ends(self, consumer: ck.Consumer, topic: str) -> tuple[int, ...]:
        """Where the partitions of a topic end, those of other members too; empty if the broker does not say."""
        name = self._cluster.topic(topic)
        try:
            known = consumer.list_topics(name, timeout=_ASK_S).topics[name].partitions
            partition_ends = [ck.TopicPartition(name, partition, ck.OFFSET_END) for partition in sorted(known)]
            answers = consumer.offsets_for_times(partition_ends, timeout=_ASK_S)
        except ck.KafkaException:
            return ()
        return () if any(where.error for where in answers) else tuple(where.offset for where in answers)

    def _at_end(self, consumer: ck.Consumer, place: Place) -> bool:
        """Whether nothing more is there, by the broker's word: what this process knows may be as old as its sleep."""
        where = ck.TopicPartition(self._cluster.topic(place[0]), place[1])
        _, known = consumer.get_watermark_offsets(where, cached=True)
        at = max(self._next[place], consumer.position([where])[0].offset)  # it knows of markers, or of nothing
        if not 0 <= known <= at:
            return False
        try:
            return bool(consumer.get_watermark_offsets(where, timeout=_ASK_S)[1] <= at)
        except ck.KafkaException:
            return False

    def lag_rows(self, consumer: ck.Consumer, ask: bool) -> int:
        """Offsets between the position and the end, over the partitions held.

        The end is what the last fetch told; ``ask`` the broker where nothing is fetched meanwhile.

        Raises
        ------
        ck.KafkaException
            Asked, the broker does not answer.
        """
        total = 0
        places = consumer.position(consumer.assignment())
        for where, high in zip(places, _ends(consumer, places, ask), strict=True):
            at = max(self._next.get(self._marks.place(where), -1), where.offset)  # it knows of markers, or of nothing
            if at >= 0:
                total += max(0, high - at)
        return total


def _seek(consumer: ck.Consumer, p: ck.TopicPartition) -> None:
    """Read a partition from an offset on; one whose topic was made again is no longer fetched, and is assigned anew."""
    try:
        consumer.seek(p)
    except ck.KafkaException as error:
        if error.args[0].code() != ck.KafkaError._STATE:
            raise
        consumer.incremental_unassign([p])
        consumer.incremental_assign([p])
        consumer.pause([p])


def _ends(consumer: ck.Consumer, places: list[ck.TopicPartition], ask: bool) -> list[int]:
    """Offsets at which partitions end."""
    if not ask:
        return [consumer.get_watermark_offsets(where, cached=True)[1] for where in places]
    # All at once: each question waits behind a fetch that waits for records, and meanwhile nothing is committed.
    asked = [ck.TopicPartition(where.topic, where.partition, ck.OFFSET_END) for where in places]
    found = consumer.offsets_for_times(asked, timeout=_ASK_S) if asked else []
    for where in found:
        if where.error:
            raise ck.KafkaException(where.error)
    return [where.offset for where in found]
