"""How far another group is: what it has settled, and what it has still before it."""

from collections.abc import Iterator

import confluent_kafka as ck

from streams import ranges
from streams.block import Block
from streams.cluster import Cluster

_ASK_S = 15.0


def committed(cluster: Cluster, group: str, topic: str) -> dict[int, int]:
    """Per partition the offset that a group reads next, the first one where it has never committed."""
    bounds = ranges.bounds(cluster, topic)
    asker = cluster.reader(**{"group.id": cluster.prefix + group})
    try:
        asked = [ck.TopicPartition(cluster.topic(topic), partition) for partition in bounds]
        found = {p.partition: p.offset for p in asker.committed(asked, _ASK_S)}
    finally:
        asker.close()
    return {partition: max(low, found[partition]) for partition, (low, _) in bounds.items()}


def unread(cluster: Cluster, group: str, topic: str, partition: int | None = None) -> Iterator[Block]:
    """Blocks that a group has not settled yet, up to what is committed now; of all partitions, or of one."""
    ends = ranges.bounds(cluster, topic)
    for place, start in committed(cluster, group, topic).items():
        if partition in (None, place):
            yield from ranges.read(cluster, topic, place, start, ends[place][1])
