"""Records whose own time is older than their topic keeps: Kafka deletes them, read or not.

Its retention goes by the time that the client stamped (``CreateTime``), unless the topic goes by arrival
(``LogAppendTime``). A mirror, a backfill, or a client with a wrong clock stamps old times.
"""

from collections.abc import Iterable

import confluent_kafka as ck
import msgspec
from confluent_kafka.admin import ConfigResource, ResourceType

from streams.clock import now_ms
from streams.kafka import ranges
from streams.kafka.cluster import Cluster

#: Newest records of each partition that are looked at.
_RECORDS_MAX = 100
_ASK_S = 5.0


class Outdated(msgspec.Struct, frozen=True):
    """A topic to which records came of late that are older than it keeps them: ``name`` on the cluster, its
    ``retention_ms``, and the oldest of their times, ``oldest_ms``."""

    name: str
    retention_ms: int
    oldest_ms: int


def outdated(cluster: Cluster, topics: Iterable[str]) -> list[Outdated]:
    """Look at the newest records of topics, by their logical names.

    Those that go by arrival, keep for ever, or whose settings we may not read are left out.

    Raises
    ------
    RangeError, confluent_kafka.KafkaException
        A topic cannot be read.
    """
    names = {cluster.topic(topic): topic for topic in topics}
    admin = cluster.admin(log_level=2)  # it must outlive its futures
    wanted = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    futures = admin.describe_configs(wanted, request_timeout=_ASK_S) if wanted else {}
    topics_outdated = []
    for resource, future in futures.items():
        try:
            config = {name: entry.value for name, entry in future.result(_ASK_S).items()}
        except ck.KafkaException:
            continue
        retention_ms = int(config["retention.ms"])
        if config["message.timestamp.type"] == "CreateTime" and "delete" in config["cleanup.policy"]:
            oldest_ms = _oldest_ms(cluster, names[resource.name])
            if retention_ms >= 0 and oldest_ms is not None and oldest_ms < now_ms() - retention_ms:
                topics_outdated.append(Outdated(resource.name, retention_ms, oldest_ms))
    return topics_outdated


def _oldest_ms(cluster: Cluster, topic: str) -> int | None:
    times = [
        time
        for partition, (low, end) in ranges.bounds(cluster, topic).items()
        for block in ranges.read(cluster, topic, partition, max(low, end - _RECORDS_MAX), end)
        for time in block.times
        if time >= 0
    ]
    return min(times, default=None)
