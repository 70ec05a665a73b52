"""What a group has begun to read, kept where it outlives the group's offsets.

A broker forgets the offsets of a group that has been away for ``offsets.retention.minutes`` (a week by default): the
group would look like a new one, read from the beginning and do everything again. So a group commits where it
begins, and then leaves a mark for each partition on `snapshots`, which is compacted and kept for ever: where there is
a mark and no offset, the offset is gone.
"""

from collections.abc import Iterable

import confluent_kafka as ck
import structlog

from streams import ranges
from streams.cluster import Cluster

log = structlog.get_logger("streams.begun")

_WAIT_S = 5.0

#: Topic by its logical name, and partition.
Place = tuple[str, int]


class Begun:
    """The marks of one group.

    Parameters
    ----------
    cluster
        Where.
    group
        Whose, without the prefix.
    """

    def __init__(self, cluster: Cluster, group: str) -> None:
        self._cluster = cluster
        self._group = group
        self._noted: set[Place] = set()

    def places(self) -> set[Place]:
        """Where the group has begun, by whatever process; reads all of `snapshots`, so ask where an offset is missing.

        Raises
        ------
        RangeError
            The topic is not there, or cannot be read.
        """
        keys = (key for block in ranges.read_all(self._cluster, "snapshots") for key in block.keys)
        before = self._key("")
        marks = (key.decode()[len(before) :].rpartition("/") for key in keys if key and key.startswith(before.encode()))
        return {(topic, int(partition)) for topic, _, partition in marks}

    def place(self, p: ck.TopicPartition) -> Place:
        """A partition as it is noted."""
        return self._cluster.logical(p.topic), p.partition

    def note(self, places: Iterable[Place]) -> None:
        """Leave marks for partitions whose offsets are committed. Where the broker does not answer soon there is none
        yet: whoever is assigned the partition next leaves it.
        """
        new = set(places) - self._noted
        if not new:
            return
        # A mark may come twice, so it needs no producer id, which takes half a second to get.
        producer = self._cluster.producer(None, **{"enable.idempotence": False, "linger.ms": 0})
        for topic, partition in new:
            producer.produce(self._cluster.topic("snapshots"), b"begun", self._key(f"{topic}/{partition}").encode())
        left = producer.flush(_WAIT_S)
        if left:
            log.warning("begun.not_noted", group=self._group, marks=left)
        else:
            self._noted |= new

    def _key(self, rest: str) -> str:
        return f"begun/{self._group}/{rest}"
