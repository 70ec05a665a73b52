"""How far another group is: what it has committed, and what it has still before it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TypeVar

import confluent_kafka as ck

from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.wire.block import Block

_ASK_S = 15.0
_T = TypeVar("_T")


class Progress:
    """How far a group is with a topic, for whoever asks often: one client is made, and kept while it gets answers.

    A client that got none is replaced: librdkafka may wait for ever for a group coordinator that it has lost. Any
    number of threads may ask; one is answered at a time.

    Parameters
    ----------
    cluster, group, topic
        Which group, and the logical name of what it reads.
    committed
        Whether the topic ends where a transaction stands open, or behind it; see `streams.kafka.ranges.bounds`.
    """

    def __init__(self, cluster: Cluster, group: str, topic: str, committed: bool = True) -> None:
        self._cluster, self._topic = cluster, topic
        self._options = {"group.id": cluster.prefix + group}
        if not committed:
            self._options["isolation.level"] = "read_uncommitted"
        self._client: ck.Consumer | None = None
        self._asking = threading.Lock()

    def committed(self) -> dict[int, int]:
        """Per partition the offset that the group reads next, the first one where it has never committed."""
        return self._ask(lambda client: self._committed(client)[0])

    def ends(self) -> dict[int, int]:
        """Where the topic ends, by partition."""
        bounds = self._ask(lambda client: ranges.bounds(self._cluster, self._topic, client=client))
        return {partition: end for partition, (_, end) in bounds.items()}

    def unread(self, partition: int | None = None) -> Iterator[Block]:
        """Blocks that the group has not committed yet, up to what is committed now; of all partitions, or of one."""
        starts, ends = self._ask(self._committed)
        for number, start in starts.items():
            if partition in (None, number):
                yield from ranges.read(self._cluster, self._topic, number, start, ends[number])

    def close(self) -> None:
        """Let the client go; the next question makes another."""
        with self._asking:
            self._drop()

    def _committed(self, client: ck.Consumer) -> tuple[dict[int, int], dict[int, int]]:
        """Where the group goes on, and where the topic ends, by partition."""
        bounds = ranges.bounds(self._cluster, self._topic, client=client)
        partitions = [ck.TopicPartition(self._cluster.topic(self._topic), partition) for partition in bounds]
        offsets = {p.partition: p.offset for p in client.committed(partitions, _ASK_S)}
        starts = {partition: max(low, offsets[partition]) for partition, (low, _) in bounds.items()}
        return starts, {partition: end for partition, (_, end) in bounds.items()}

    def _ask(self, question: Callable[[ck.Consumer], _T]) -> _T:
        with self._asking:
            if self._client is None:
                self._client = self._cluster.reader(**self._options)
            try:
                return question(self._client)
            except BaseException:
                self._drop()
                raise

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def committed(cluster: Cluster, group: str, topic: str) -> dict[int, int]:
    """Per partition the offset that a group reads next, asked once; see `Progress.committed`.

    Parameters
    ----------
    group
        Name of the consumer group, without the prefix.
    topic
        Logical name of the topic.
    """
    with closing(Progress(cluster, group, topic)) as progress:
        return progress.committed()


def unread(cluster: Cluster, group: str, topic: str) -> Iterator[Block]:
    """Blocks that a group has not committed yet, asked once; see `Progress.unread`.

    Parameters
    ----------
    group
        Name of the consumer group, without the prefix.
    topic
        Logical name of the topic.
    """
    with closing(Progress(cluster, group, topic)) as progress:
        yield from progress.unread()
