"""What we ask of a Kafka, asked of each that we run on: embedded, named in the environment, in a container.

Nothing here knows which one it talks to; what only the embedded broker promises is in `test_broker`.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from driftline.broker.config import BrokerSettings, server_properties
from driftline.broker.ports import free_port

IMAGE = "apache/kafka:4.3.0"


@pytest.fixture(
    scope="module",
    params=[
        "embedded",
        pytest.param("named", marks=pytest.mark.live),
        pytest.param("container", marks=pytest.mark.live),
    ],
)
def broker(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of one of the three."""
    if request.param == "embedded":
        yield request.getfixturevalue("embedded_kafka")
    elif request.param == "named":
        if "DRIFTLINE_TEST_KAFKA" not in os.environ:
            pytest.skip("DRIFTLINE_TEST_KAFKA names no broker")
        yield os.environ["DRIFTLINE_TEST_KAFKA"]
    else:
        request.getfixturevalue("container_engine")
        yield from in_container()


def in_container() -> Iterator[str]:
    """The same Kafka and the same settings as the embedded broker, from its own image."""
    from testcontainers.core.container import DockerContainer

    port = free_port()
    settings = BrokerSettings(
        overrides={
            "listeners": f"PLAINTEXT://:{port},CONTROLLER://:9093",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "log.dirs": "/tmp/kafka-logs",
        }
    )
    container = DockerContainer(IMAGE).with_bind_ports(port, port)
    for line in server_properties(settings, port, controller_port=9093).splitlines():
        if "=" in line:
            name, value = line.split("=", 1)
            container.with_env(f"KAFKA_{name.upper().replace('.', '_')}", value)
    with container:
        address = f"127.0.0.1:{port}"
        admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
        until(lambda: has_brokers(admin), deadline_s=60)
        yield address


def has_brokers(admin: AdminClient) -> bool:
    try:
        return bool(admin.list_topics(timeout=1).brokers)
    except KafkaException:
        return False


def until(condition, deadline_s: float = 20) -> None:
    Retrying(retry=retry_if_result(lambda met: not met), stop=stop_after_delay(deadline_s), wait=wait_fixed(0.02))(
        condition
    )


@pytest.fixture
def topic(broker: str, topic_prefix: str) -> str:
    """A new topic of four partitions."""
    name = f"{topic_prefix}requests"
    admin = AdminClient({"bootstrap.servers": broker})
    for made in admin.create_topics([NewTopic(name, 4, 1)]).values():
        made.result(timeout=20)
    return name


def producer(broker: str, **settings: Any) -> Producer:
    names = {name.replace("_", "."): value for name, value in settings.items()}
    return Producer({"bootstrap.servers": broker, "acks": "all", "linger.ms": 1, "log_level": 0} | names)


@pytest.fixture
def consumer(broker: str, topic_prefix: str) -> Iterator[Any]:
    """Makes consumers; closes them in the end."""
    made: list[Consumer] = []

    def make(**settings: Any) -> Consumer:
        names = {name.replace("_", "."): value for name, value in settings.items()}
        common = {
            "bootstrap.servers": broker,
            "group.id": f"{topic_prefix}group",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "log_level": 0,
        }
        made.append(Consumer(common | names))
        return made[-1]

    yield make
    for each in made:
        each.close()


def read(consumer: Consumer, count: int) -> list[Message]:
    """At least `count` messages; more only when more come with them."""
    messages: list[Message] = []

    def enough() -> bool:
        for message in consumer.consume(1000, timeout=0.2):
            assert message.error() is None, message.error()
            messages.append(message)
        return len(messages) >= count

    until(enough)
    return messages


def test_a_record_comes_back_as_it_was_sent(broker: str, topic: str, consumer: Any) -> None:
    sent = [
        (b"key-%d" % n, bytes([n]) * n, n % 4, 1_700_000_000_000 + n, [("ce_id", b"%d" % n), ("ce_id", b"")])
        for n in range(200)
    ]
    writer = producer(broker, enable_idempotence=True)
    for key, value, partition, timestamp, headers in sent:
        writer.produce(topic, value, key, partition, timestamp=timestamp, headers=headers)
    assert writer.flush(20) == 0
    reader = consumer()
    reader.assign([TopicPartition(topic, partition, 0) for partition in range(4)])
    came = [(m.key(), m.value(), m.partition(), m.timestamp()[1], m.headers()) for m in read(reader, len(sent))]
    # Order is a partition's; across partitions there is none.
    for partition in range(4):
        assert [record for record in came if record[2] == partition] == sent[partition::4]


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd", "snappy", "gzip"])
def test_every_codec_is_understood(broker: str, topic: str, consumer: Any, codec: str) -> None:
    writer = producer(broker, compression_type=codec)
    writer.produce(topic, b"x" * 10_000, partition=0)
    assert writer.flush(20) == 0
    reader = consumer()
    reader.assign([TopicPartition(topic, 0, 0)])
    assert [message.value() for message in read(reader, 1)] == [b"x" * 10_000]


def test_what_was_aborted_is_never_read(broker: str, topic: str, consumer: Any) -> None:
    writer = producer(broker, transactional_id=topic)
    writer.init_transactions(20)
    for value, settle in [
        (b"first", writer.commit_transaction),
        (b"aborted", writer.abort_transaction),
        (b"second", writer.commit_transaction),
    ]:
        writer.begin_transaction()
        writer.produce(topic, value, partition=0)
        assert writer.flush(20) == 0
        settle(20)
    reader, careless = consumer(), consumer(isolation_level="read_uncommitted")
    for each in (reader, careless):
        each.assign([TopicPartition(topic, 0, 0)])
    committed = read(reader, 2)
    assert [message.value() for message in committed] == [b"first", b"second"]
    # Each marker and each aborted record takes an offset: first 0, marker, aborted 2, marker, second 4.
    assert [message.offset() for message in committed] == [0, 4]
    assert [message.value() for message in read(careless, 3)] == [b"first", b"aborted", b"second"]


def test_offsets_and_their_metadata_are_committed_with_the_outputs(
    broker: str, topic: str, topic_prefix: str, consumer: Any
) -> None:
    metadata = '{"maximum": 1700000000000}' + " " * 4000  # The limit is 4096 bytes.
    reader = consumer()
    reader.assign([TopicPartition(topic, 0, 0)])
    writer = producer(broker, transactional_id=topic)
    writer.init_transactions(20)

    def settle(offset: int, end: Any) -> None:
        writer.begin_transaction()
        writer.produce(topic, b"output", partition=1)
        offsets = [TopicPartition(topic, 0, offset, metadata)]
        writer.send_offsets_to_transaction(offsets, reader.consumer_group_metadata(), 20)
        end(20)

    settle(7, writer.commit_transaction)
    settle(9, writer.abort_transaction)
    (committed,) = consumer().committed([TopicPartition(topic, 0)], timeout=20)
    assert (committed.offset, committed.metadata) == (7, metadata)


def test_a_new_worker_fences_the_one_that_had_its_slot(broker: str, topic: str) -> None:
    zombie = producer(broker, transactional_id=topic)
    zombie.init_transactions(20)
    zombie.begin_transaction()
    zombie.produce(topic, b"too late", partition=0)
    assert zombie.flush(20) == 0
    producer(broker, transactional_id=topic).init_transactions(20)
    with pytest.raises(KafkaException) as refused:
        zombie.commit_transaction(20)
    assert refused.value.args[0].fatal()


def test_times_find_the_first_record_at_or_after_them(broker: str, topic: str, consumer: Any) -> None:
    writer = producer(broker)
    for timestamp in (1_700_000_000_000, 1_700_000_000_010, 1_700_000_000_020):
        writer.produce(topic, b"", partition=0, timestamp=timestamp)
        assert writer.flush(20) == 0
    reader = consumer()

    def offset_at(time_ms: int) -> int:
        (found,) = reader.offsets_for_times([TopicPartition(topic, 0, time_ms)], timeout=20)
        return int(found.offset)

    assert [offset_at(1_700_000_000_000 + after) for after in (-5, 0, 1, 10, 20)] == [0, 0, 1, 1, 2]
    assert offset_at(1_700_000_000_021) == OFFSET_END == -1


def test_members_share_a_topic_and_take_over_from_each_other(broker: str, topic: str, consumer: Any) -> None:
    first, second = (consumer(group_protocol="consumer", auto_offset_reset="earliest") for _ in range(2))
    for member in (first, second):
        member.subscribe([topic])

    def parts() -> tuple[set[int], ...]:
        for member in (first, second):
            member.poll(0.05)
        return tuple({part.partition for part in member.assignment()} for member in (first, second))

    def shared_evenly() -> bool:
        one, other = parts()
        return len(one) == len(other) == 2 and one | other == {0, 1, 2, 3}

    until(shared_evenly)
    second.unsubscribe()
    until(lambda: parts() == ({0, 1, 2, 3}, set()))


def test_a_large_block_passes_and_a_larger_one_is_refused(broker: str, topic: str) -> None:
    outcomes: list[str] = []

    def on_delivery(error: KafkaError | None, _: Message) -> None:
        outcomes.append(error.name() if error else "kept")

    writer = producer(broker, message_max_bytes=4_000_000)
    # Random bytes, which no codec makes smaller.
    writer.produce(topic, os.urandom(900_000), partition=0, on_delivery=on_delivery)
    writer.produce(topic, os.urandom(1_200_000), partition=1, on_delivery=on_delivery)
    assert writer.flush(20) == 0
    assert sorted(outcomes) == ["MSG_SIZE_TOO_LARGE", "kept"]
