"""A micro-batch that waits for further records, on a real broker: what it holds, and what ends the wait."""

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager

import confluent_kafka as ck
import pytest

from streams.kafka.cluster import Cluster
from streams.runtime.batch_control import BatchChoice
from streams.runtime.consumer import BatchConsumer
from streams.runtime.limits import ConsumerLimits
from streams.runtime.microbatch import MicroBatch
from streams.runtime.stage import PerPartition

DEADLINE_S = 20.0
LONG_MS = 600_000.0


class Reader:
    """A consumer that reads as its choice says, and that is asked for it by its thread alone."""

    def __init__(self, cluster: Cluster, choice: BatchChoice | None) -> None:
        self.choice, self.asked = choice, 0
        self.batches: queue.Queue[MicroBatch] = queue.Queue()
        self.crashed: list[BaseException] = []
        self.consumer = BatchConsumer(
            cluster,
            "gatherers",
            ["feedback"],
            PerPartition(lambda topic, partition, memory: None),
            hand_over=self.batches.put,
            crash=self.crashed.append,
            limits=ConsumerLimits(rows_max=100),
            choose=self._choose,
        )

    def _choose(self) -> BatchChoice | None:
        self.asked += 1
        return self.choice

    def next(self) -> list[bytes]:
        """Values of the next micro-batch, which is committed."""
        with self.batches.get(timeout=DEADLINE_S) as batch:
            topic = self.consumer.cluster.topic
            self.consumer.commit([ck.TopicPartition(topic(b.topic), b.partition, b.last + 1) for b in batch.blocks])
            return [value for block in batch.blocks for value in block.values]

    def waits(self) -> None:
        """Until it waits for further records."""
        deadline = time.monotonic() + DEADLINE_S
        while not self.asked:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@contextmanager
def reading(cluster: Cluster, choice: BatchChoice | None) -> Iterator[Reader]:
    reader = Reader(cluster, choice)
    reader.consumer.start()
    try:
        yield reader
    finally:
        reader.consumer.stop()
        assert reader.crashed == []


def send(cluster: Cluster, *values: bytes, partition: int = 0) -> None:
    producer = cluster.producer()
    for value in values:
        producer.produce(cluster.topic("feedback"), value, partition=partition)
    assert producer.flush(DEADLINE_S) == 0


def test_it_is_handed_over_as_soon_as_it_holds_what_was_wanted(cluster):
    with reading(cluster, BatchChoice(100, LONG_MS, 3)) as reader:
        send(cluster, b"a")
        reader.waits()
        send(cluster, b"b")
        assert reader.batches.empty()
        send(cluster, b"c", partition=1)
        assert sorted(reader.next()) == [b"a", b"b", b"c"]


def test_it_is_handed_over_when_it_has_waited(cluster):
    with reading(cluster, BatchChoice(100, 200.0, 100)) as reader:
        send(cluster, b"a")
        reader.waits()
        began = time.monotonic()
        assert reader.next() == [b"a"]
        assert time.monotonic() - began > 0.1


@pytest.mark.parametrize(("choice", "most"), [(BatchChoice(2), 2), (BatchChoice(10_000), 100), (None, 100)])
def test_it_holds_no_more_than_was_chosen_nor_than_the_limits_allow(cluster, choice, most):
    send(cluster, *[b"%d" % n for n in range(250)])
    with reading(cluster, choice) as reader:
        batches = [reader.next() for _ in range(3)]
        assert max(map(len, batches)) == most
        values = [value for batch in batches for value in batch]
        assert values == [b"%d" % n for n in range(len(values))]


def test_a_wait_ends_at_once_where_it_is_stopped(cluster):
    with reading(cluster, BatchChoice(100, LONG_MS, 100)) as reader:
        send(cluster, b"a")
        reader.waits()
        began = time.monotonic()
        reader.consumer.stop()
        assert time.monotonic() - began < 5


def test_a_wait_ends_at_once_where_it_is_rewound_and_everything_is_read_again(cluster):
    with reading(cluster, BatchChoice(100, LONG_MS, 100)) as reader:
        send(cluster, b"a")
        reader.waits()
        reader.choice = BatchChoice(100)
        reader.consumer.rewind()
        assert reader.next() == [b"a"]


@pytest.mark.parametrize("more", [False, True])
def test_a_commit_outside_a_transaction_waits_neither_for_records_nor_for_the_end_of_a_wait(cluster, more):
    with reading(cluster, BatchChoice(100)) as reader:
        send(cluster, b"a")
        with reader.batches.get(timeout=DEADLINE_S) as batch:
            reader.choice, reader.asked = BatchChoice(100, LONG_MS, 100), 0
            batch.processed()
            batch.committing()  # processing took longer than any commit before: there is room for the next one
            if more:
                send(cluster, b"b")
                reader.waits()
            began = time.monotonic()
            reader.consumer.commit([ck.TopicPartition(cluster.topic("feedback"), 0, 1)])
            assert time.monotonic() - began < 5


@pytest.mark.system  # seconds, of joining
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_wait_holds_up_no_rebalance(cluster, protocol):
    cluster = Cluster(bootstrap=cluster.bootstrap, prefix=cluster.prefix, group_protocol=protocol)
    with reading(cluster, BatchChoice(100, LONG_MS, 100)) as first:
        send(cluster, b"a")
        send(cluster, b"b", partition=1)
        first.waits()
        first.choice = BatchChoice(100)  # of the next wait; the one that has begun holds
        with reading(cluster, BatchChoice(100)) as second:
            deadline = time.monotonic() + DEADLINE_S
            while not second.consumer.partitions():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert sorted([*first.next(), *second.next()]) == [b"a", b"b"]
