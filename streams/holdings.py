"""Holdings: the partitions that a feed holds; how they come, begin, fall silent and go.

A stage changes hands (assignment, rewind) only while no turn is in flight, in the feed's thread. A partition that is
taken away waits a bounded time for its turn. A turn that is dropped for it held records of other partitions too, which
stay ours: so whatever is dropped, everything is read again from what is committed.
"""

from collections.abc import Iterable, Sequence

import confluent_kafka as ck
import structlog

from streams.block import Block
from streams.clock import ticks_ms
from streams.cluster import Cluster
from streams.offsets import Starts
from streams.stage import Step
from streams.turns import Silence, Turns

log = structlog.get_logger("streams.holdings")


class Holdings:
    """The partitions of one member of a group.

    Parameters
    ----------
    cluster
        For topic names.
    step
        Told which partitions come and go.
    starts
        Where a partition begins.
    turns
        Those in flight.
    revoke_wait_ms_max
        How long a partition that is taken away waits for its turn.

    Attributes
    ----------
    changes
        Counts what came and went.
    """

    def __init__(self, cluster: Cluster, step: Step, starts: Starts, turns: Turns, revoke_wait_ms_max: int) -> None:
        self.changes = 0
        self._cluster = cluster
        self._step = step
        self._starts = starts
        self._turns = turns
        self._revoke_wait_ms_max = revoke_wait_ms_max
        self._began: dict[tuple[str, int], int] = {}  # in which epoch
        # By partition held: when it spoke last, and how many lengths of its silence were told.
        self._spoke: dict[tuple[str, int], tuple[float, int]] = {}

    def places(self) -> list[tuple[str, int]]:
        """Partitions held, by logical topic; may be asked from any thread."""
        return sorted(self._spoke.copy())

    # The group's word, in the feed's thread.

    def assigned(self, consumer: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        """Partitions come: each begins at its committed offset."""
        self.changes += 1
        self._turns.drain()
        starts = self._starts.of(consumer, partitions, lambda: self._turns.stopping)
        consumer.incremental_assign(starts)
        self._begin(starts)
        if starts:
            log.info("holdings.assigned", partitions=[f"{p.topic}/{p.partition}" for p in starts])

    def revoked(self, consumer: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        """Partitions go, in order: what is in flight settles, or is dropped."""
        if not self._turns.drain(self._revoke_wait_ms_max):
            self._turns.rewind()
        self._forget(consumer, partitions)

    def lost(self, consumer: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        """Partitions have gone to somebody else: what is in flight can no longer settle."""
        self._turns.rewind()
        self._forget(consumer, partitions)

    def seek_back(self, consumer: ck.Consumer) -> None:
        """Every partition held begins anew at what is committed.

        One that has come since is there already, and its stage need not be restored twice.
        """
        self._turns.drain()
        self._turns.rewound()
        older = [p for p in consumer.assignment() if self._began[self._place(p)] < self._turns.epoch]
        starts = self._starts.of(consumer, older, lambda: self._turns.stopping)
        self._begin(starts)
        for p in starts:
            consumer.seek(p)

    def _begin(self, starts: list[ck.TopicPartition]) -> None:
        for p in starts:
            place = self._place(p)
            self._step.assign(*place, p.offset, p.metadata or "")
            self._began[place] = self._turns.epoch
            self._spoke[place] = (ticks_ms(), 0)

    def _forget(self, consumer: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        self.changes += 1
        for p in partitions:
            self._began.pop(self._place(p), None)
            self._spoke.pop(self._place(p), None)
            self._step.revoke(*self._place(p))
        consumer.incremental_unassign(partitions)

    def _place(self, p: ck.TopicPartition) -> tuple[str, int]:
        return self._cluster.logical(p.topic), p.partition

    # Silence and lag.

    def fallen_silent(self, consumer: ck.Consumer, blocks: Iterable[Block], after_ms: Sequence[int]) -> list[Silence]:
        """Partitions that are read to their end and spoke last so long ago; a silence is told once for each length."""
        now = ticks_ms()
        self._spoke.update({(block.topic, block.partition): (now, 0) for block in blocks})
        silent = []
        for place, (spoke, told) in self._spoke.items():
            if told < len(after_ms) and now - spoke > after_ms[told] and self._at_end(consumer, *place):
                silent.append(Silence(*place, after_ms[told]))
                self._spoke[place] = (spoke, told + 1)
        return silent

    def _at_end(self, consumer: ck.Consumer, topic: str, partition: int) -> bool:
        where = ck.TopicPartition(self._cluster.topic(topic), partition)
        _, high = consumer.get_watermark_offsets(where, cached=True)
        at: int = consumer.position([where])[0].offset
        return bool(high >= 0 and (at >= high if at >= 0 else high == 0))

    def lag_rows(self, consumer: ck.Consumer) -> int:
        """Offsets between the position and the end, over the partitions held."""
        total = 0
        for where in consumer.position(consumer.assignment()):
            _, high = consumer.get_watermark_offsets(where, cached=True)
            if high >= 0 and where.offset >= 0:
                total += max(0, high - where.offset)
        return total
