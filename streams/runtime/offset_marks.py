"""Offset marks: where a group has begun to read, kept where it outlives the group's offsets.

A broker forgets the offsets of a group that has been away for ``offsets.retention.minutes`` (a week by default): the
group would look like a new one, read from the beginning and do everything again. So a group commits where it
begins, and then leaves a mark for each partition on `snapshots`, which is compacted and kept for ever: where there is
a mark and no offset, the offset is gone.

A mark also keeps the id of its topic. A topic that was deleted and made again has another one: its offsets went with
the old topic, and its records are all new.
"""

from collections.abc import Iterable, Mapping

import confluent_kafka as ck
import structlog

from streams.kafka import ranges
from streams.kafka.cluster import Cluster

log = structlog.get_logger("streams.runtime.offset_marks")

_WAIT_S = 5.0
_MARK = b"begun"
_DIGITS_MAX = 10

#: Topic by its logical name, and partition.
Place = tuple[str, int]


class OffsetMarks:
    """The marks of one group.

    Parameters
    ----------
    cluster, group
        Where, and whose, without the prefix.

    Attributes
    ----------
    noted
        Ids of the topics of partitions that this process has left marks for; empty text where the broker tells none.
    """

    def __init__(self, cluster: Cluster, group: str) -> None:
        self.cluster = cluster
        self.noted: dict[Place, str] = {}
        self.group = group

    def read(self) -> dict[Place, str]:
        """Where the group has begun, by whatever process, with the topic's id then; empty text where it was not kept.

        Reads all of `snapshots`, so ask where an offset is missing.

        Raises
        ------
        RangeError
            The topic is not there, or cannot be read.
        """
        before = self._key("").encode()
        marks = {}
        for block in ranges.read_all(self.cluster, "snapshots"):
            for key, value in zip(block.keys, block.values, strict=True):
                if key and key.startswith(before):
                    topic, _, partition = key[len(before) :].decode("utf-8", "replace").rpartition("/")
                    if partition.isdecimal() and len(partition) < _DIGITS_MAX:  # anybody may have written it
                        mark = (value or b"").removeprefix(_MARK).strip()
                        marks[topic, int(partition)] = mark.decode("utf-8", "replace")
        return marks | self.noted

    def place(self, p: ck.TopicPartition) -> Place:
        """A partition as it is noted."""
        return self.cluster.logical(p.topic), p.partition

    def note(self, places: Iterable[Place], ids: Mapping[str, str]) -> None:
        """Leave marks for partitions whose offsets are committed. Where the broker does not answer soon there is none
        yet: whoever is assigned the partition next leaves it.

        Parameters
        ----------
        ids
            Of the topics, by logical name.
        """
        wanted = {topic_partition: ids.get(topic_partition[0], "") for topic_partition in places}
        new = {
            topic_partition: id_ for topic_partition, id_ in wanted.items() if self.noted.get(topic_partition) != id_
        }
        if not new:
            return
        # A mark may come twice, so it needs no producer id, which takes half a second to get.
        producer = self.cluster.producer(None, **{"enable.idempotence": False, "linger.ms": 0})
        for (topic, partition), id_ in new.items():
            mark = b" ".join([_MARK, id_.encode()]).strip()
            producer.produce(self.cluster.topic("snapshots"), mark, self._key(f"{topic}/{partition}").encode())
        left = producer.flush(_WAIT_S)
        if left:
            log.warning("offset_marks.not_noted", group=self.group, marks=left)
        else:
            self.noted |= new

    def _key(self, rest: str) -> str:
        return f"begun/{self.group}/{rest}"
