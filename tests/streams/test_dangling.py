"""Transactions that nobody can end, made as a broker's slip makes them: its coordinator never hears of a write."""

import asyncio
import struct
import threading

import confluent_kafka as ck
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest, TxnOffsetCommitRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from driftline.broker import BrokerSettings, EmbeddedBroker
from streams.kafka import admin, ranges
from streams.kafka.cluster import Cluster
from streams.runtime import dangling
from streams.runtime.transaction_log import Outcome, decided, last_outcome
from streams.runtime.transactions import TransactionalProducer
from streams.wire.block import Block
from streams.wire.effects import Effects, Publish

pytestmark = pytest.mark.system  # a broker of its own

SLOT = "score-0"
_CONCURRENT = 51  # Kafka's CONCURRENT_TRANSACTIONS
BLOCK = Block.of("requests", 0, [b"one"], first=40)


@pytest.fixture(scope="module")
def credulous(tmp_path_factory):
    """A broker that does not ask its coordinator whether a transaction that writes here is there."""
    settings = BrokerSettings(overrides={"transaction.partition.verification.enable": "false"})
    with EmbeddedBroker(tmp_path_factory.mktemp("credulous"), settings=settings) as broker:
        yield broker.bootstrap


@pytest.fixture(params=["classic", "consumer"])
def cluster(request, credulous, topic_prefix):
    cluster = Cluster(bootstrap=credulous, prefix=topic_prefix, group_protocol=request.param)
    admin.create(cluster, admin.Layout(requests=2))
    return cluster


def leave_open(cluster: Cluster) -> None:
    """Write a prediction and an offset under the slot's producer id, and have its coordinator hear of neither."""

    async def leave() -> None:
        client = AIOKafkaClient(bootstrap_servers=cluster.bootstrap)
        await client.bootstrap()
        (node,) = (broker.nodeId for broker in client.cluster.brokers())
        slot, topic = cluster.prefix + SLOT, cluster.topic("predictions")
        while (name := await client.send(node, InitProducerIdRequest(slot, 10_000))).error_code == _CONCURRENT:
            await asyncio.sleep(0.02)  # the markers of the commit before are on their way
        assert name.error_code == 0
        batch = DefaultRecordBatchBuilder(
            2, 0, is_transactional=1, producer_id=name.producer_id, producer_epoch=name.producer_epoch,
            base_sequence=0, batch_size=1_000,
        )  # fmt: skip
        batch.append(0, 1_700_000_000_000, b"k", b"never settled", [])
        written = await client.send(node, ProduceRequest(slot, -1, 5_000, [(topic, [(1, bytes(batch.build()))])]))
        assert written.topics[0][1][0][1] == 0
        requests = (cluster.topic("requests"), [(0, 7, "")])
        said = TxnOffsetCommitRequest(slot, cluster.prefix + "score", name.producer_id, name.producer_epoch, [requests])
        committed = await client.send(node, said)
        assert committed.errors[0][1][0][1] == 0
        await client.close()

    asyncio.run(asyncio.wait_for(leave(), 30))


def committed(cluster: Cluster, reader: ck.Consumer) -> int:
    """Offset of requests/0; raises while it is unstable."""
    (at,) = reader.committed([ck.TopicPartition(cluster.topic("requests"), 0)], timeout=2)
    if at.error:
        raise ck.KafkaException(at.error)
    return int(at.offset)


def settled(cluster: Cluster) -> tuple[ck.Consumer, object]:
    """Commit a prediction and offset 41, as the slot; returns a reader of the group, and its metadata."""
    first = TransactionalProducer(cluster, SLOT)
    first.end_dangling(["predictions"], ["requests"], "score")  # which waits until the broker answers for groups
    reader = cluster.consumer("score")
    group = reader.consumer_group_metadata()
    first.commit([(BLOCK, Effects([Publish("predictions", b"settled", partition=1)]))], (), group)
    return reader, group


def test_what_the_broker_never_ended_is_aborted_by_the_slots_next_holder(cluster, eventually):
    reader, group = settled(cluster)
    leave_open(cluster)

    second = TransactionalProducer(
        cluster, SLOT
    )  # its producer's initialisation has nothing to abort: for the broker all is ended
    with pytest.raises(ck.KafkaException):
        committed(cluster, reader)
    second.end_dangling(["predictions", "observations"], ["requests"], "score")
    eventually(lambda: committed(cluster, reader), 41)

    effects = Effects([Publish("predictions", b"settled, too", partition=1)])
    second.commit([(Block.of("requests", 0, [b"two"], first=41), effects)], (), group)
    eventually(lambda: committed(cluster, reader), 42)
    read = [value for block in ranges.read_all(cluster, "predictions") for value in block.values]
    assert read == [b"settled", b"settled, too"]  # the commit would have shown what was open before it
    reader.close()


def test_a_sweep_over_a_living_group_and_nothing_open_leaves_no_trace(cluster, eventually):
    TransactionalProducer(cluster, SLOT).end_dangling([], ["requests"], "score")
    reader = cluster.consumer("score", **{"auto.offset.reset": "latest"})
    reader.subscribe([cluster.topic("requests")])
    eventually(lambda: bool(reader.poll(0.1)) or len(reader.assignment()), 2)
    transactional = TransactionalProducer(cluster, SLOT)
    transactional.commit(
        [(BLOCK, Effects([Publish("predictions", b"settled", partition=1)]))], (), reader.consumer_group_metadata()
    )
    TransactionalProducer(cluster, SLOT).end_dangling(["predictions", "snapshots"], ["requests"], "score")
    eventually(lambda: committed(cluster, reader), 41)
    assert len(reader.assignment()) == 2
    counted = cluster.reader(**{"isolation.level": "read_uncommitted"})
    ends = [counted.get_watermark_offsets(ck.TopicPartition(cluster.topic("predictions"), p), 5)[1] for p in (0, 1)]
    assert ends == [0, 2]  # the commit's record and its marker
    for one in (reader, counted):
        one.close()


@pytest.fixture
def partly_committed(monkeypatch):
    """Take the broker for one that verifies: then what is open is of the transaction that was decided last."""
    monkeypatch.setattr(dangling, "verifies", lambda cluster: True)


def test_a_commit_that_the_broker_never_finished_is_finished(cluster, eventually, partly_committed):
    reader, _ = settled(cluster)
    leave_open(cluster)

    second = TransactionalProducer(cluster, SLOT)
    with pytest.raises(ck.KafkaException):
        committed(cluster, reader)
    second.end_dangling(["predictions", "observations"], ["requests"], "score")
    eventually(lambda: committed(cluster, reader), 7)  # what was open, and not the offset before it
    read = [value for block in ranges.read_all(cluster, "predictions") for value in block.values]
    assert read == [b"settled", b"never settled"]  # what ended it is in no block
    plain = cluster.reader()
    plain.assign([ck.TopicPartition(cluster.topic("predictions"), 1, 0)])
    seen = [message for message in plain.consume(10, 5) if message.error() is None]
    assert [(m.key(), m.value()) for m in seen][2:] == [(b"driftline-swept", b"")]
    plain.close()
    reader.close()


def test_an_abort_that_the_broker_never_finished_is_finished(cluster, eventually, partly_committed):
    reader, _ = settled(cluster)
    TransactionalProducer(cluster, SLOT).end_dangling([], ["requests"], "score")  # an abort is decided last
    leave_open(cluster)
    TransactionalProducer(cluster, SLOT).end_dangling(["predictions"], ["requests"], "score")
    eventually(lambda: committed(cluster, reader), 41)
    assert [value for block in ranges.read_all(cluster, "predictions") for value in block.values] == [b"settled"]
    reader.close()


def test_what_was_decided_last_is_read_from_the_coordinators_log(cluster):
    assert last_outcome(cluster, SLOT) is None
    producer = TransactionalProducer(cluster, SLOT)
    assert last_outcome(cluster, SLOT) is None
    producer.commit([], [Publish("predictions", b"one", partition=1), Publish("models", b"two", partition=0)], None)
    topics = {(cluster.topic("predictions"), 1), (cluster.topic("models"), 0)}
    assert last_outcome(cluster, SLOT) == Outcome(True, frozenset(topics))
    assert last_outcome(cluster, "score-1") is None
    TransactionalProducer(cluster, SLOT).end_dangling([], ["requests"], "score")
    assert not last_outcome(cluster, SLOT).commits
    assert not dangling.verifies(cluster)  # this broker was told not to


def test_the_plain_spelling_of_the_log_is_read_too():
    topics = struct.pack(">ih4si2i", 1, 4, b"seen", 2, 7, 8)
    assert decided(struct.pack(">hqhib", 0, 90, 3, 5_000, 3) + topics) == Outcome(
        False, frozenset({("seen", 7), ("seen", 8)})
    )
    for value in (None, b"", b"\0", struct.pack(">hqhib", 1, 90, 3, 5_000, 2) + b"\xff\xff"):
        assert decided(value, Outcome(True)) == Outcome(True)


def test_partitions_that_others_write_to_are_none_of_ours(cluster, eventually, partly_committed):
    """Another slot has a transaction open in a partition that ours has committed to: nothing is written there."""
    ours, theirs = TransactionalProducer(cluster, SLOT), cluster.producer("score-1")
    ours.commit([], [Publish("predictions", b"ours", partition=1)], None)
    theirs.init_transactions(30)
    stop, committed_to = threading.Event(), []

    def write() -> None:
        while not stop.is_set():
            theirs.begin_transaction()
            theirs.produce(cluster.topic("predictions"), b"theirs", b"k", 1)
            theirs.flush(10)
            theirs.commit_transaction(30)
            committed_to.append(1)

    writing = threading.Thread(target=write)
    writing.start()
    try:
        eventually(lambda: len(committed_to) > 2, True)
        TransactionalProducer(cluster, SLOT).end_dangling(["predictions"], [], "")
    finally:
        stop.set()
        writing.join(30)
    read = [value for block in ranges.read_all(cluster, "predictions") for value in block.values]
    assert set(read) == {b"ours", b"theirs"}
