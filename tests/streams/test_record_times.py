"""Kafka deletes by the record's own time: what clients stamp with old times is kept all the same, or named in time."""

import time

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from driftline.broker import BrokerSettings, EmbeddedBroker
from driftline.broker.record import prepare
from streams.clock import now_ms
from streams.kafka import ranges
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.kafka.record_times import outdated
from streams.kafka.topics import FOREIGN, TOPICS

#: A second after 1970 began; 0 would be "now" for the client library.
OLD_MS = 1_000
RECORDS = 20


def write(cluster: Cluster, topic: str, time_ms: int) -> None:
    producer = ck.Producer({"bootstrap.servers": cluster.bootstrap})
    for n in range(RECORDS):
        producer.produce(topic, b"%d" % n, partition=0, timestamp=time_ms)
    assert producer.flush(30) == 0


def make(cluster: Cluster, topic: str, **config: str) -> None:
    admin = cluster.admin()
    admin.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result(30)


@pytest.fixture(scope="module")
def tidy_kafka(tmp_path_factory):
    """A broker that looks for what it may delete five times a second, not every five minutes."""
    prepare()
    often = {"log.retention.check.interval.ms": "200", "log.initial.task.delay.ms": "200"}
    with EmbeddedBroker(tmp_path_factory.mktemp("tidy"), settings=BrokerSettings(overrides=often)) as broker:
        yield broker.bootstrap


@pytest.mark.system  # a broker of its own
@pytest.mark.timeout(180)
def test_what_clients_send_with_old_times_is_kept_until_it_is_read(tidy_kafka, topic_prefix):
    cluster = Cluster(bootstrap=tidy_kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=1))
    inputs = [topic.name for topic in TOPICS if topic.filled_by_clients]
    assert inputs == ["requests", "feedback"]
    for name in inputs:
        write(cluster, cluster.topic(name), OLD_MS)
    theirs = topic_prefix + "theirs"
    make(cluster, theirs)  # by the records' own time, as Kafka has it by default
    write(cluster, theirs, OLD_MS)
    deadline = time.monotonic() + 90
    while ranges.bounds(cluster, "theirs")[0] != (RECORDS, RECORDS):  # retention has been here
        assert time.monotonic() < deadline, ranges.bounds(cluster, "theirs")
        time.sleep(0.2)
    for name in inputs:
        assert ranges.bounds(cluster, name)[0] == (0, RECORDS)
        times = [at for block in ranges.read_all(cluster, name) for at in block.times]
        assert len(times) == RECORDS and min(times) > now_ms() - 180_000  # a request without `ts` is of its arrival


def test_topics_that_would_lose_records_are_named(cluster, topic_prefix):
    names = {kind: f"{topic_prefix}{kind}" for kind in ("old", "fresh", "forever", "arrival", "compacted", "empty")}
    configs = {"forever": {"retention.ms": "-1"}, "compacted": {"cleanup.policy": "compact"}}
    for kind, name in names.items():
        config = {"message.timestamp.type": "LogAppendTime"} if kind == "arrival" else configs.get(kind, {})
        make(cluster, name, **config)
        if kind == "compacted":
            producer = ck.Producer({"bootstrap.servers": cluster.bootstrap})
            producer.produce(name, b"x", b"key", timestamp=OLD_MS)
            assert producer.flush(30) == 0
        elif kind != "empty":
            write(cluster, name, now_ms() - 60_000 if kind == "fresh" else OLD_MS)
    write(cluster, cluster.topic("requests"), OLD_MS)
    foreign = Cluster(bootstrap=cluster.bootstrap, prefix="none-of-these.")
    found = outdated(foreign, [FOREIGN + name for name in names.values()])
    assert [(one.name, one.oldest_ms) for one in found] == [(names["old"], OLD_MS)]
    assert outdated(cluster, ["requests", "feedback"]) == []


def test_a_topic_of_ours_from_before_is_named_once_it_holds_old_records(cluster):
    name = cluster.topic("requests")
    entry = ConfigEntry("message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET)
    admin, resource = cluster.admin(), ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(30)
    assert outdated(cluster, ["requests"]) == []
    deadline = time.monotonic() + 30
    while not (found := outdated(cluster, ["requests"])):  # the change reaches the log a moment later
        assert time.monotonic() < deadline
        write(cluster, name, OLD_MS)
    assert [one.name for one in found] == [name]
