"""Partitions that are assigned and cannot begin yet, while the others go on.

Their topic is not there (it was deleted, and may be made again), or a topic that must have as many partitions as this
one has fewer. They are looked at again and again.
"""

from collections.abc import Callable, Sequence

import confluent_kafka as ck

from streams.clock import ticks_ms
from streams.kafka.admin import TopicError, partition_counts
from streams.kafka.cluster import Cluster
from streams.kafka.topic_ids import topic_ids
from streams.runtime.facts import PartitionHeldBack
from streams.runtime.offset_marks import Place

_COUNTS_S = 5.0
_LOOK_MS = 2_000


class HeldBack:
    """The partitions of one consumer that are held back.

    Parameters
    ----------
    cluster
        Where their topics are.
    alike
        Topics of ours that must have as many partitions as the one that is read.
    clock
        Monotonic time, ms.
    """

    def __init__(self, cluster: Cluster, alike: Sequence[str] = (), clock: Callable[[], float] = ticks_ms) -> None:
        self._cluster = cluster
        self._alike = alike
        self._clock = clock
        self._held: dict[Place, tuple[ck.TopicPartition, str]] = {}  # and why
        self._looked_ms = 0.0

    def reasons(self) -> dict[Place, str]:
        """Why each is held back; may be asked from any thread."""
        return {topic_partition: why for topic_partition, (_, why) in self._held.copy().items()}

    def due(self) -> list[ck.TopicPartition]:
        """Those that should be looked at again now."""
        if self._clock() - self._looked_ms < _LOOK_MS:
            return []
        return [p for p, _ in self._held.values()]

    def forget(self, topic_partition: Place) -> bool:
        """Whether a partition was held back; it is no longer."""
        return self._held.pop(topic_partition, None) is not None

    def clear(self) -> None:
        """Hold nothing back."""
        self._held.clear()

    def fit(self, partitions: list[ck.TopicPartition]) -> list[ck.TopicPartition]:
        """Partitions that can begin; the others are held back, which is logged once."""
        self._looked_ms = self._clock()
        reasons = self._reasons(partitions)
        for p in partitions:
            topic_partition, why = (
                (self._cluster.logical(p.topic), p.partition),
                reasons.get((p.topic, p.partition), ""),
            )
            if why and self._held.get(topic_partition, (p, ""))[1] != why:
                PartitionHeldBack(f"{p.topic}/{p.partition}", why).tell()
            if why:
                self._held[topic_partition] = (ck.TopicPartition(p.topic, p.partition), why)
            else:
                self._held.pop(topic_partition, None)
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
