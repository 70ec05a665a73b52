"""Dangling transactions: whoever takes a slot ends what its predecessor has left open and the broker calls ended.

A coordinator ends a transaction by a marker in each of its partitions. A Kafka that has just come back may not know yet
who leads a partition; it takes the partition for deleted, writes no marker there, and calls the transaction ended. What
lies there stays open for good: readers wait before it, the group's offsets stay "unstable", and the slot's next commit,
which comes from the same producer id, would show it. One more transaction over all that is open ends it, the way that
the coordinator had decided: some of the partitions may have their markers. A commit's outputs would else be seen and
its offsets be lost, and its records processed twice.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any

import confluent_kafka as ck
from confluent_kafka import IsolationLevel
from confluent_kafka.admin import ConfigResource, OffsetSpec, ResourceType
from tenacity import Retrying, stop_after_delay, wait_fixed

from streams.clock import ticks_ms
from streams.kafka.admin import partition_counts
from streams.kafka.cluster import Cluster
from streams.logs import logger
from streams.runtime.transaction_log import Outcome, last_outcome
from streams.wire.block import SWEPT

#: A topic that no group of ours reads; every deployment has it.
_NOT_READ = "models"
_WAIT_S = 30.0
_ASK_S = 2.0
_UNSTABLE_S, _LOOK_S = 3.0, 0.2


def end_dangling(
    cluster: Cluster,
    producer: ck.Producer,
    slot: str,
    writes: Iterable[str],
    reads: Sequence[str] = (),
    group: str = "",
) -> None:
    """End what is open of a slot; what others have open stays theirs.

    Where it is committed, an empty record with the key `SWEPT` is what it takes in each partition of ``writes`` that
    is open; and an offset of a topic that the group does not read.

    Parameters
    ----------
    cluster
        Where.
    producer
        The slot's, initialised, without a transaction of its own.
    slot
        Its transactional id.
    writes
        Topics that the slot may have written to.
    reads, group
        Topics that its group reads, if it does.

    Raises
    ------
    ck.KafkaException, TopicError
        The broker does not answer.
    """
    partitions = _open(cluster, writes)
    commits = False
    if partitions or _unstable(cluster, group, reads):
        outcome = last_outcome(cluster, slot)
        commits = outcome is not None and outcome.commits and verifies(cluster)
        if commits:
            assert outcome is not None
            partitions = _left_open(cluster, partitions, outcome)
    producer.begin_transaction()
    for partition in partitions:
        producer.produce(partition.topic, b"", SWEPT, partition.partition)  # a compacted topic wants a key
    if reads:
        at = ck.TopicPartition(cluster.topic(_NOT_READ if commits else reads[0]), 0, 0)
        producer.send_offsets_to_transaction([at], _as_nobody(cluster, group, at), _WAIT_S)
    producer.flush(_WAIT_S)  # what the broker has not seen when the end comes is not part of it
    (producer.commit_transaction if commits else producer.abort_transaction)(_WAIT_S)
    if commits:
        why = "a broker that was killed had committed it in part"
        logger("streams.runtime.dangling").warning("transactions.ended", slot=slot, why=why)


def verifies(cluster: Cluster) -> bool:
    """Whether brokers ask a transaction's coordinator before they take a record of it, as Kafka does since 3.6. Then
    what is open and called ended is of the transaction that was decided last, and of none that was never decided.
    """
    try:
        admin = cluster.admin()
        broker = ConfigResource(ResourceType.BROKER, str(next(iter(admin.list_topics(timeout=_ASK_S).brokers))))
        (answer,) = admin.describe_configs([broker], request_timeout=_ASK_S).values()
        entry = answer.result(_ASK_S).get("transaction.partition.verification.enable")
    except ck.KafkaException:  # it may not be read: the default holds
        return True
    return entry is None or entry.value != "false"


def _unstable(cluster: Cluster, group: str, topics: Sequence[str]) -> bool:
    """Whether offsets of a group belong to a transaction that has no end; commits under way end in a moment."""
    if not (partitions := _partitions(cluster, topics)):
        return False
    nobody = cluster.consumer(group, **{"group.protocol": "classic", "isolation.level": "read_committed"})
    try:
        for attempt in Retrying(stop=stop_after_delay(_UNSTABLE_S), wait=wait_fixed(0.1), reraise=True):
            with attempt:
                for partition in nobody.committed(partitions, _ASK_S):
                    if partition.error:
                        raise ck.KafkaException(partition.error)
    except ck.KafkaException:
        return True
    finally:
        nobody.close()
    return False


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
    if not (places := _partitions(cluster, topics)):
        return []
    stable, last = (
        _ends(cluster, places, level) for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
    )
    return [partition for partition, before, end in zip(places, stable, last, strict=True) if before < end]


def _partitions(cluster: Cluster, topics: Iterable[str]) -> list[ck.TopicPartition]:
    """Partitions of topics, by their names on the cluster."""
    if not (names := list(topics)):
        return []
    counts = partition_counts(cluster)
    return [ck.TopicPartition(cluster.topic(name), p) for name in names for p in range(counts.get(name, 0))]


def _left_open(cluster: Cluster, several: Sequence[ck.TopicPartition], outcome: Outcome) -> list[ck.TopicPartition]:
    """Of some open partitions those that a transaction is of, and that stay open at one place: others are in use."""
    still = [open_one for open_one in several if (open_one.topic, open_one.partition) in outcome.partitions]
    if not still:
        return []
    began = _ends(cluster, still, IsolationLevel.READ_COMMITTED)
    until = ticks_ms() + 1000 * _UNSTABLE_S
    while still and ticks_ms() < until:
        time.sleep(_LOOK_S)
        now = _ends(cluster, still, IsolationLevel.READ_COMMITTED)
        kept = [(partition, at) for partition, at, before in zip(still, now, began, strict=True) if at == before]
        still, began = [partition for partition, _ in kept], [at for _, at in kept]
    return still


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
