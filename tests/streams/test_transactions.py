"""Commits on a real broker: together, or not at all."""

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import NewPartitions

from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.runtime.transactions import Aborted, Fenced, TransactionalProducer
from streams.wire.block import Block
from streams.wire.dead_letters import KEPT_BYTES_MAX, dead_letter, letters
from streams.wire.effects import Effects, Publish
from streams.wire.refusals import Refusal

REQUESTS = Block.of("requests", 0, [b"one", b"two"], first=40)


def committed(cluster: Cluster, group: str = "scores") -> tuple[int, str]:
    """Offset and metadata that a group holds on requests/0."""
    reader = cluster.consumer(group)
    (at,) = reader.committed([ck.TopicPartition(cluster.topic("requests"), 0)], timeout=15)
    reader.close()
    return at.offset, at.metadata or ""


def values(cluster: Cluster, topic: str) -> list[bytes | None]:
    return [value for block in ranges.read_all(cluster, topic) for value in block.values]


@pytest.fixture
def group(cluster):
    reader = cluster.consumer("scores")
    yield reader.consumer_group_metadata()
    reader.close()


@pytest.fixture
def producer(cluster):
    producer = TransactionalProducer(cluster, "worker-0")
    yield producer
    producer.close()


def test_effects_and_offsets_are_committed_together(cluster, producer, group, eventually):
    effects = Effects([Publish("predictions", b"answer", key=b"k", partition=1, headers=[("h", b"v")])], "what I knew")
    producer.commit([(REQUESTS, effects)], [Publish("alerts", b"extra")], group)
    eventually(lambda: values(cluster, "predictions"), [b"answer"])
    (answer,) = ranges.read_all(cluster, "predictions")
    assert (answer.partition, answer.keys, answer.values, answer.headers) == (1, [b"k"], [b"answer"], [[("h", b"v")]])
    eventually(lambda: values(cluster, "alerts"), [b"extra"])
    eventually(lambda: committed(cluster), (42, "what I knew"))


def test_the_last_block_of_a_partition_decides_its_offset(cluster, producer, group, eventually):
    later = Block.of("requests", 0, [b"three"], first=50)
    producer.commit([(REQUESTS, Effects(memory="old")), (later, Effects(memory="new"))], [], group)
    eventually(lambda: committed(cluster), (51, "new"))


def test_an_abort_shows_nothing_and_the_producer_goes_on(cluster, producer, group, eventually):
    effects = [Publish("predictions", b"lost", partition=0), Publish("predictions", b"nowhere", partition=99)]
    with pytest.raises(Aborted):
        producer.commit([(REQUESTS, Effects(effects))], [], group)
    assert values(cluster, "predictions") == []
    assert committed(cluster)[0] == ck.OFFSET_INVALID

    producer.commit([(REQUESTS, Effects([Publish("predictions", b"again", partition=0)]))], [], group)
    eventually(lambda: values(cluster, "predictions"), [b"again"])
    eventually(lambda: committed(cluster)[0], 42)


def test_a_younger_producer_of_the_same_slot_fences_the_older(cluster, producer, group, eventually):
    younger = TransactionalProducer(cluster, "worker-0")
    with pytest.raises(Fenced):
        producer.commit([(REQUESTS, Effects([Publish("predictions", b"zombie")]))], [], group)
    younger.commit([(REQUESTS, Effects([Publish("predictions", b"alive")]))], [], group)
    younger.close()
    eventually(lambda: values(cluster, "predictions"), [b"alive"])


@pytest.mark.parametrize(("at", "value", "offset"), [(None, b"one", b"40"), (1, b"two", b"41")])
def test_an_effect_too_large_for_kafka_becomes_the_dead_letter_of_what_it_answers(
    cluster, producer, group, eventually, at, value, offset
):
    effects = Effects([Publish("predictions", b"x" * 1_100_000, partition=1, at=at), Publish("predictions", b"small")])
    producer.commit([(REQUESTS, effects)], [], group)
    eventually(lambda: values(cluster, "predictions"), [b"small"])
    eventually(lambda: values(cluster, "dead-letters"), [value])
    (letter,) = ranges.read_all(cluster, "dead-letters")
    said = dict(letter.headers[0])
    assert (said["driftline-reason"], said["driftline-stage"]) == (b"oversize", b"predictions")
    assert (said["driftline-topic"], said["driftline-offset"]) == (b"requests", offset)
    assert b"1100000 bytes" in said["driftline-detail"]
    eventually(lambda: committed(cluster)[0], 42)


def test_a_dead_letter_too_large_for_kafka_is_cut_and_committed(cluster, producer, group, eventually):
    headers = [("big", b"h" * 200_000)]
    large = Block("requests", 0, [40], [7], [None], [b"x" * 900_000], [headers])
    refused = dead_letter(large, Refusal(0, "wrong_type", "$", ""), "score")
    answer = Publish("predictions", b"x" * 1_100_000, at=0)  # its letter is too large as well
    producer.commit([(large, Effects([refused, answer]))], [], group)
    eventually(lambda: [len(value) for value in values(cluster, "dead-letters")], [KEPT_BYTES_MAX] * 2)
    found = [letter for block in ranges.read_all(cluster, "dead-letters") for letter in letters(block)]
    assert [(letter.source, letter.reason, letter.size) for letter in found] == [
        ("requests/0/40", "wrong_type", 900_000),
        ("requests/0/40", "oversize", 900_000),
    ]
    eventually(lambda: committed(cluster)[0], 41)


def test_what_is_announced_leaves_with_its_offset_and_metadata_or_not_at_all(cluster, producer, group, eventually):
    """A letter too large for Kafka is cut: it must not hold up what is announced with it for ever."""
    large = Block("requests", 0, [40], [7], [None], [b"x" * 900_000], [[("big", b"h" * 200_000)]])
    letter = dead_letter(large, Refusal(0, "undecodable", "$", ""), "sink")
    at = ck.TopicPartition(cluster.topic("requests"), 0, 40, metadata="intent")
    with pytest.raises(Aborted):
        producer.announce([Publish("dead-letters", b"nowhere", partition=99), letter], at, group)
    assert values(cluster, "dead-letters") == []
    assert committed(cluster)[0] == ck.OFFSET_INVALID
    producer.announce([letter, Publish("dead-letters", b"small")], at, group)
    eventually(lambda: [len(value) for value in values(cluster, "dead-letters")], [KEPT_BYTES_MAX, 5])
    eventually(lambda: committed(cluster), (40, "intent"))


def test_what_goes_to_a_partition_that_is_new_is_committed_at_once(cluster, producer, group, eventually):
    def commit(offset: int, partition: int) -> None:
        block = Block.of("requests", 0, [b"one"], first=offset)
        producer.commit([(block, Effects([Publish("predictions", b"answer", partition=partition)]))], [], group)

    commit(40, 1)
    topic = cluster.topic("predictions")
    admin = cluster.admin()
    partitions = len(admin.list_topics(topic, 15).topics[topic].partitions)
    for added in admin.create_partitions([NewPartitions(topic, partitions + 2)]).values():
        added.result(15)
    eventually(lambda: len(admin.list_topics(topic, 15).topics[topic].partitions), partitions + 2)
    commit(41, partitions + 1)  # librdkafka itself would ask again five minutes later
    eventually(lambda: committed(cluster)[0], 42)


def test_what_goes_to_a_partition_that_is_not_there_is_rolled_back(producer, group):
    with pytest.raises(Aborted):
        producer.commit([(REQUESTS, Effects([Publish("predictions", b"nowhere", partition=99)]))], [], group)
