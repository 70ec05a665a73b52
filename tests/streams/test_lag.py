"""Lag in rows and seconds: what is not committed, read or unread, and how old the oldest of it is."""

import threading

import pytest
from prometheus_client import generate_latest

from streams.away import Away
from streams.clock import now_ms
from streams.kafka.cluster import Cluster
from streams.runtime.consumer import BatchConsumer
from streams.runtime.limits import ConsumerLimits
from streams.runtime.microbatch import MicroBatch
from streams.runtime.stage import PerPartition
from streams.runtime.telemetry import Gauges
from streams.wire.effects import Effects


def lag(gauges: Gauges, now: int, epoch: int, unread: int | None):
    said = gauges.status(now, epoch, unread)
    return said["lag_rows"], said["lag_ms"]


def test_the_lag_is_that_of_records_that_are_not_committed():
    gauges = Gauges("by-hand")
    assert lag(gauges, 1_000, 0, None) == (None, None)  # nobody has looked
    assert lag(gauges, 1_000, 0, 0) == (0, 0)
    gauges.took(0, [400, 300, 500])
    gauges.took(0, [600, 700])
    assert lag(gauges, 1_000, 0, 10) == (3 + 2 + 10, 1_000 - 300)
    gauges.committed([400, 300, 500], 1.0, 1_000)
    assert lag(gauges, 1_500, 0, 10) == (2 + 10, 1_500 - 600)
    gauges.committed([600, 700], 1.0, 1_600)
    assert lag(gauges, 2_000, 0, 10) == (10, 2_000 - 700)  # unread, and no older than what came before
    assert lag(gauges, 2_000, 0, 0) == (0, 0)
    text = generate_latest().decode()
    assert 'driftline_lag_rows{step="by-hand"} 0.0' in text
    lag(gauges, 3_200, 0, 4)
    assert 'driftline_lag_seconds{step="by-hand"} 2.5' in generate_latest().decode()


def test_a_batch_that_is_dropped_waits_until_it_is_read_again():
    gauges = Gauges("dropped")
    gauges.took(0, [100, 200])
    gauges.failed("commit", Away("the store"), 1)
    assert lag(gauges, 5_000, 1, 2) == (2, 4_900)  # rewound, and not read again yet
    gauges.took(1, [100])
    assert lag(gauges, 6_000, 1, 1) == (2, 5_900)
    gauges.committed([100], 1.0, 6_000)
    gauges.took(1, [200])
    gauges.committed([200], 1.0, 6_000)
    assert lag(gauges, 7_000, 1, 0) == (0, 0)


def test_a_partition_that_goes_takes_its_lag_along():
    gauges = Gauges("gone")
    gauges.took(0, [100, 200])
    assert lag(gauges, 5_000, 1, 0) == (0, 0)


@pytest.mark.timeout(60)
def test_a_step_that_stands_still_sees_what_comes_meanwhile(cluster: Cluster, eventually):
    """Its consumer is paused, so what it has fetched tells nothing: the broker is asked."""
    producer, topic, old = cluster.producer(), cluster.topic("observations"), now_ms() - 60_000
    for n in range(10):
        producer.produce(topic, b"%d" % n, partition=0, timestamp=old)
    producer.flush(10)
    gauges, taken = Gauges("slow"), threading.Event()
    held: list[MicroBatch] = []

    def hand_over(batch: MicroBatch) -> None:
        gauges.took(batch.epoch, batch.times())
        held.append(batch)  # and nobody commits it
        taken.set()

    step = PerPartition(lambda topic, partition, memory: None, lambda *_: Effects())
    consumer = BatchConsumer(cluster, "slow", ["observations"], step, hand_over=hand_over, crash=lambda error: None,
                limits=ConsumerLimits(batches_in_flight_max=1))  # fmt: skip
    consumer.start()
    try:
        assert taken.wait(20)
        for n in range(7):
            producer.produce(topic, b"%d" % n, partition=1)
        producer.flush(10)
        eventually(lambda: gauges.status(now_ms(), consumer.epoch, consumer.lag_rows)["lag_rows"], 17)
        assert 60_000 <= gauges.status(now_ms(), consumer.epoch, consumer.lag_rows)["lag_ms"] < 90_000
    finally:
        with held[0]:
            consumer.stop()
