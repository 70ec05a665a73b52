"""The way in which librdkafka itself breaks exactly-once, and that our consumer does not go it.

A worker dies with an open transaction that holds offsets. Until that transaction is aborted, the group's offsets are
"unstable". A second worker waits for them; when a third one joins and the second must hand partitions over, librdkafka
takes "unstable" for "none", `auto.offset.reset` decides, and what was answered already is read again.
"""

from collections.abc import Callable
from contextlib import ExitStack

import confluent_kafka as ck
import pytest
from processes import Worker, wait_for_values

from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster

SENT = {b"%d" % n for n in range(1_600)}
HANG_AT = 400
TRIES = 4


@pytest.fixture
def requests(kafka: str) -> Callable[[str], Cluster]:
    def sent(prefix: str) -> Cluster:
        cluster = Cluster(bootstrap=kafka, prefix=prefix)
        create(cluster, Layout(requests=4))
        producer = cluster.producer()
        for n in range(len(SENT)):
            producer.produce(cluster.topic("requests"), b"%d" % n, partition=n % 4)
        producer.flush(15)
        return cluster

    return sent


def doubled(cluster: Cluster, start: Callable[..., Worker]) -> int:
    """Play the scene; returns how many requests were answered twice."""
    with ExitStack() as running:

        def worker(slot: int, *more: int) -> Worker:
            one = start(slot, *more)
            running.callback(one.kill)
            return one

        first = worker(1, HANG_AT)
        first.wait_for("open")
        first.kill()
        second = worker(2)
        second.wait_for("assigned")
        worker(3)
        found = wait_for_values(cluster, "predictions", SENT, 60)
    return len(found) - len(set(found))


def test_a_plain_worker_answers_twice(requests, topic_prefix):
    """The fault that we fence. Should it go away with a librdkafka to come, the fence may go as well."""
    for number in range(TRIES):
        cluster = requests(f"{topic_prefix}{number}.")
        if doubled(cluster, lambda *more, c=cluster: Worker("plain_worker.py", c.bootstrap, c.prefix, *more)):
            return
    pytest.skip(f"librdkafka {ck.libversion()[0]} kept its offsets in {TRIES} tries")


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_our_worker_answers_once(requests, topic_prefix, protocol):
    cluster = requests(topic_prefix)

    def start(slot: int, *more: int) -> Worker:
        return Worker("small_worker.py", cluster.bootstrap, cluster.prefix, slot, protocol, *more)

    assert doubled(cluster, start) == 0
