"""Dangling transactions: whoever takes a slot aborts what its predecessor has left open and the broker calls ended.

A coordinator ends a transaction by a marker in each of its partitions. A Kafka that has just come back may not know yet
who leads a partition; it takes the partition for deleted, writes no marker there, and calls the transaction ended. What
lies there stays open for good: readers wait before it, the group's offsets stay "unstable", and the slot's next commit,
which comes from the same producer id, would show records that were aborted. One more transaction over all that is open,
and its abort, end it.
"""

from collections.abc import Iterable
from typing import Any

import confluent_kafka as ck
from confluent_kafka import IsolationLevel
from confluent_kafka.admin import OffsetSpec
from tenacity import Retrying, stop_after_delay, wait_fixed

from streams.kafka.admin import partition_counts
from streams.kafka.cluster import Cluster

_WAIT_S = 30.0
_ASK_S = 2.0


def abort_dangling(
    cluster: Cluster, producer: ck.Producer, writes: Iterable[str], reads: str | None = None, group: str = ""
) -> None:
    """Abort what is open of a slot; what others have open stays theirs.

    Parameters
    ----------
    cluster
        Where.
    producer
        The slot's, initialised, without a transaction of its own.
    writes
        Topics that the slot may have written to.
    reads, group
        A topic that its group reads, if it does: an offset there is sent, and aborted.

    Raises
    ------
    ck.KafkaException, TopicError
        The broker does not answer.
    """
    producer.begin_transaction()
    for partition in _open(cluster, writes):
        producer.produce(partition.topic, b"", b"swept", partition.partition)  # a compacted topic wants a key
    if reads is not None:
        read = ck.TopicPartition(cluster.topic(reads), 0, 0)
        producer.send_offsets_to_transaction([read], _as_nobody(cluster, group, read), _WAIT_S)
    producer.flush(_WAIT_S)  # what the broker has not seen when the abort comes is not part of it
    producer.abort_transaction(_WAIT_S)


def _as_nobody(cluster: Cluster, group: str, read: ck.TopicPartition) -> Any:
    """Metadata of a group without a member, which asks no broker whether there is one.

    A consumer of the newer protocol has given itself a member's name before it joins. It is given once the group's
    coordinator answers: where a broker has just begun, a transaction would wait for it for ever.
    """
    nobody = cluster.consumer(group, **{"group.protocol": "classic", "isolation.level": "read_uncommitted"})
    try:
        for attempt in _patiently():
            with attempt:
                nobody.committed([read], _ASK_S)  # however unstable it is
        return nobody.consumer_group_metadata()
    finally:
        nobody.close()


def _open(cluster: Cluster, topics: Iterable[str]) -> list[ck.TopicPartition]:
    """Partitions that somebody has a transaction open in."""
    counts = partition_counts(cluster)
    places = [ck.TopicPartition(cluster.topic(topic), p) for topic in topics for p in range(counts.get(topic, 0))]
    if not places:
        return []
    stable, last = (
        _ends(cluster, places, level) for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
    )
    return [partition for partition, before, end in zip(places, stable, last, strict=True) if before < end]


def _ends(cluster: Cluster, places: list[ck.TopicPartition], level: IsolationLevel) -> list[int]:
    latest = dict.fromkeys(places, OffsetSpec.latest())
    admin = cluster.admin()  # it must outlive its futures
    for attempt in _patiently():  # a topic that was just made may have no leader yet
        with attempt:
            ends = admin.list_offsets(latest, isolation_level=level, request_timeout=_WAIT_S)
            offsets = [ends[partition].result(_WAIT_S).offset for partition in places]
    return offsets


def _patiently() -> Retrying:
    return Retrying(stop=stop_after_delay(_WAIT_S), wait=wait_fixed(0.1), reraise=True)
