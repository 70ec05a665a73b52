"""Positions: how far the records of each partition have been handed over, and how far that is from its end."""

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import confluent_kafka as ck

from streams.clock import ticks_ms
from streams.kafka.cluster import Cluster
from streams.runtime.offset_marks import Place
from streams.wire.block import Block

_ASK_S = 0.5
_MEASURE_EVERY_MS = 1_000


class Positions:
    """Offsets behind all that was handed over, of the partitions of one consumer.

    Parameters
    ----------
    cluster
        For topic names.
    clock
        Monotonic time, ms.

    Attributes
    ----------
    lag_rows
        Offsets between the position and the end, when it was last measured; None before.
    """

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = ticks_ms) -> None:
        self.lag_rows: int | None = None
        self._cluster = cluster
        self._clock = clock
        self._next: dict[Place, int] = {}
        self._measured_ms = -math.inf

    def begin(self, offsets: Mapping[Place, int]) -> None:
        """Partitions begin at these offsets."""
        self._next |= offsets

    def handed_over(self, blocks: Iterable[Block]) -> None:
        """Blocks are handed over."""
        self._next |= {(block.topic, block.partition): block.last + 1 for block in blocks}

    def forget(self, partition: Place) -> None:
        """A partition has gone."""
        self._next.pop(partition, None)

    def clear(self) -> None:
        """All partitions have gone."""
        self._next.clear()

    def next_offset(self, partition: Place) -> int:
        """Offset that was not handed over yet; 0 where nothing was."""
        return max(0, self._next.get(partition, 0))

    def at_end(self, client: ck.Consumer, partition: Place) -> bool:
        """Whether nothing more is there, by the broker's word: what this process knows may be as old as its sleep."""
        where = ck.TopicPartition(self._cluster.topic(partition[0]), partition[1])
        _, known = client.get_watermark_offsets(where, cached=True)
        at = max(self._next[partition], client.position([where])[0].offset)  # it knows of markers, or of nothing
        if not 0 <= known <= at:
            return False
        try:
            return bool(client.get_watermark_offsets(where, timeout=_ASK_S)[1] <= at)
        except ck.KafkaException:
            return False

    def topic_ends(self, client: ck.Consumer, topic: str) -> tuple[int, ...]:
        """Where the partitions of a topic end, those of other members too; empty if the broker does not say."""
        name = self._cluster.topic(topic)
        try:
            known = client.list_topics(name, timeout=_ASK_S).topics[name].partitions
            ends = [ck.TopicPartition(name, partition, ck.OFFSET_END) for partition in sorted(known)]
            answers = client.offsets_for_times(ends, timeout=_ASK_S)
        except ck.KafkaException:
            return ()
        return () if any(where.error for where in answers) else tuple(where.offset for where in answers)

    def measure_lag(self, client: ck.Consumer, ask: bool = False) -> None:
        """Measure ``lag_rows``, if it is time to.

        The end is what the last fetch told; ``ask`` the broker where nothing is fetched meanwhile.
        """
        if self._clock() - self._measured_ms >= _MEASURE_EVERY_MS:
            self._measured_ms = self._clock()
            with suppress(ck.KafkaException):  # the broker is away: what was seen last stands
                self.lag_rows = self._lag(client, ask)

    def _lag(self, client: ck.Consumer, ask: bool) -> int:
        total = 0
        positions = client.position(client.assignment())
        for where, high in zip(positions, _ends(client, positions, ask), strict=True):
            partition = self._cluster.logical(where.topic), where.partition
            at = max(self._next.get(partition, -1), where.offset)  # it knows of markers, or of nothing
            if at >= 0:
                total += max(0, high - at)
        return total


def _ends(client: ck.Consumer, positions: list[ck.TopicPartition], ask: bool) -> list[int]:
    """Offsets at which partitions end."""
    if not ask:
        return [client.get_watermark_offsets(where, cached=True)[1] for where in positions]
    # All at once: each question waits behind a fetch that waits for records, and meanwhile nothing is committed.
    ends = [ck.TopicPartition(where.topic, where.partition, ck.OFFSET_END) for where in positions]
    answers = client.offsets_for_times(ends, timeout=_ASK_S) if ends else []
    for where in answers:
        if where.error:
            raise ck.KafkaException(where.error)
    return [where.offset for where in answers]
