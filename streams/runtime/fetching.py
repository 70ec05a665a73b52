"""Fetching: what waits behind a first message, as blocks."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

import confluent_kafka as ck

from streams.kafka.cluster import Cluster
from streams.kafka.unpacked import does_not_unpack, empty_records
from streams.runtime.facts import BatchUnreadable
from streams.runtime.limits import ConsumerLimits
from streams.runtime.positions import Positions
from streams.wire.block import Block

_SELDOM_WAIT_S = 0.05


class Gathering(NamedTuple):
    """How a micro-batch is gathered.

    Parameters
    ----------
    rows_max
        Records that it may hold.
    rows_wanted
        With fewer of them it is waited for more,
    more
        as long as this, which waits a moment, says so.
    """

    rows_max: int
    rows_wanted: int = 0
    more: Callable[[], bool] = lambda: False


class Fetcher:
    """Reads messages of some topics, and makes a block a partition of them.

    Parameters
    ----------
    cluster, group, topics
        What is read, as whom; topics by their names on the cluster.
    limits
        How much at once.
    positions
        Where each partition goes on.
    refuse
        Called with what came instead of a record.
    """

    def __init__(
        self,
        cluster: Cluster,
        group: str,
        topics: Sequence[str],
        limits: ConsumerLimits,
        positions: Positions,
        refuse: Callable[[ck.KafkaError, ck.Message], None],
    ) -> None:
        self._cluster = cluster
        self._group = group
        self._topics = topics
        self._limits = limits
        self._positions = positions
        self._refuse = refuse

    def blocks(self, client: ck.Consumer, first: list[ck.Message], gathering: Gathering | None = None) -> list[Block]:
        """Blocks of the first messages and of what waits behind them, as far as one micro-batch may hold it.

        Parameters
        ----------
        client
            That reads.
        first
            What it has read already; without any there are no blocks.
        gathering
            How many may come, and whether they are waited for; by default as the limits say.
        """
        messages = self._fill(client, first, gathering or Gathering(self._limits.rows_max)) if first else []
        passed: dict[tuple[str, int], Block] = {}
        if any(map(ck.Message.error, messages)):
            for message in filter(does_not_unpack, messages):
                if (message.topic(), message.partition()) not in passed:
                    passed[message.topic(), message.partition()] = self._pass_over(client, message)
            messages = [message for message in messages if not self._refused(message)]
        blocks = {
            topic_partition: Block.of_messages(self._cluster.logical(topic_partition[0]), topic_partition[1], run)
            for topic_partition, run in self._by_partition(messages).items()
        }
        for topic_partition, block in passed.items():
            blocks[topic_partition] = (
                Block.joined([blocks[topic_partition], block]) if topic_partition in blocks else block
            )
        return [block for block in blocks.values() if len(block)]

    def _fill(self, client: ck.Consumer, messages: list[ck.Message], gathering: Gathering) -> list[ck.Message]:
        messages = self._taken(client, messages, gathering.rows_max)
        while len(messages) < gathering.rows_wanted and not self._full(messages) and gathering.more():
            messages = self._taken(client, messages, gathering.rows_max)
        return messages

    def _full(self, messages: list[ck.Message]) -> bool:
        return sum(map(len, messages)) >= self._limits.bytes_max

    def _taken(self, client: ck.Consumer, messages: list[ck.Message], rows_max: int) -> list[ck.Message]:
        bytes_max = self._limits.bytes_max
        more_s = 0 if self._limits.batch_every_ms is None else _SELDOM_WAIT_S  # one that comes seldom is a whole one
        size, wanted, more = sum(map(len, messages)), 0, messages
        while len(more) >= wanted and len(messages) < rows_max and size < bytes_max:
            fit = max(1, (bytes_max - size) * len(messages) // max(1, size))  # if the next are like these
            wanted = min(rows_max - len(messages), fit)
            more = client.consume(wanted, more_s)
            messages, size = messages + more, size + sum(map(len, more))
        return messages

    def _by_partition(self, messages: list[ck.Message]) -> dict[tuple[str, int], list[ck.Message]]:
        # Messages come in runs of one partition, so this asks each of them in C.
        gathered: dict[tuple[str, int], list[ck.Message]] = {}
        of_one_topic = len(self._topics) == 1
        runs = [(self._topics[0], messages)] if of_one_topic else groupby(messages, ck.Message.topic)
        for topic, same in runs:
            for partition, run in groupby(same, ck.Message.partition):
                gathered.setdefault((topic, partition), []).extend(run)
        return gathered

    def _pass_over(self, client: ck.Consumer, message: ck.Message) -> Block:
        """Read on behind a batch that does not unpack; each of its records is one without a value."""
        topic_partition = (self._cluster.logical(message.topic()), message.partition())
        start = self._positions.next_offset(topic_partition)
        block = empty_records(self._cluster, message, start, self._limits.rows_max)
        BatchUnreadable(self._group, block.place(0), len(block), message.error().str()).tell()
        client.seek(ck.TopicPartition(message.topic(), message.partition(), block.last + 1))
        return block

    def _refused(self, message: ck.Message) -> bool:
        error = message.error()
        if error and not does_not_unpack(message):
            self._refuse(error, message)
        return bool(error)
