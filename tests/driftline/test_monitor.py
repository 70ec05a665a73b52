"""What the monitor says of a partition that has fallen silent."""

import confluent_kafka as ck
import msgspec
import pytest

from driftline import settings
from driftline.roles import monitor
from streams.kafka import ranges
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.runtime.stage import Step
from streams.runtime.transactions import TransactionalProducer
from streams.wire.effects import Publish
from streams.wire.records import CountsMessage, Route
from streams.wire.route_book import RouteBook


@pytest.fixture
def cluster(kafka, topic_prefix) -> Cluster:
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=2))
    return cluster


@pytest.fixture
def counting(cluster) -> Step:
    book = RouteBook()
    book.apply(msgspec.json.encode(Route(model="taste", epoch=1, ts=0, champion="v1")))
    step = monitor._counting(settings.load(), cluster, lambda model, version: None, book)
    for partition in (0, 1):
        step.assign("observations", partition, 0, "")
    return step


def said(step: Step, partition: int, asleep: bool = False) -> list[bool]:
    """Whether a partition is asleep, for each flag that leaves."""
    flags = (step.asleep if asleep else step.idle)("observations", partition).publish
    several = [msgspec.msgpack.decode(flag.value or b"", type=CountsMessage) for flag in flags]
    assert {(one.model, one.topic, one.partition, one.partitions) for one in several} <= {
        ("taste", "requests", partition, 2)
    }
    return [one.asleep for one in several]


def test_a_partition_whose_requests_wait_for_a_worker_is_not_idle(cluster, counting):
    """Others must not leave its rows behind; a worker that is away for long holds up nobody."""
    producer = TransactionalProducer(cluster, "client")
    producer.commit([], [Publish("requests", b"{}", partition=1)] * 3, None)
    producer.close()
    assert said(counting, 0) == [False]
    assert said(counting, 1) == []
    assert said(counting, 1, asleep=True) == [True]


def test_what_a_worker_has_settled_waits_no_more(cluster, counting):
    """Though the marker of the client's transaction lies behind it."""
    producer = TransactionalProducer(cluster, "client")
    producer.commit([], [Publish("requests", b"{}", partition=1)] * 3, None)
    producer.close()
    assert ranges.bounds(cluster, "requests")[1] == (0, 4)
    worker = cluster.consumer("score")
    worker.commit(offsets=[ck.TopicPartition(cluster.topic("requests"), 1, 2)], asynchronous=False)
    assert said(counting, 1) == []
    worker.commit(offsets=[ck.TopicPartition(cluster.topic("requests"), 1, 3)], asynchronous=False)
    worker.close()
    assert said(counting, 1) == [False]
