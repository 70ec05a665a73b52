"""Transactions that nobody can end, made as a broker's slip makes them: its coordinator never hears of a write."""

import asyncio

import confluent_kafka as ck
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest, TxnOffsetCommitRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from driftline.broker import BrokerSettings, EmbeddedBroker
from streams.kafka import admin, ranges
from streams.kafka.cluster import Cluster
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


def test_what_the_broker_never_ended_is_aborted_by_the_slots_next_holder(cluster, eventually):
    first = TransactionalProducer(cluster, SLOT)
    first.abort_dangling(["predictions"], "requests", "score")  # which waits until the broker answers for groups
    reader = cluster.consumer("score")
    group = reader.consumer_group_metadata()
    first.commit([(BLOCK, Effects([Publish("predictions", b"settled", partition=1)]))], (), group)
    leave_open(cluster)

    second = TransactionalProducer(
        cluster, SLOT
    )  # its producer's initialisation has nothing to abort: for the broker all is ended
    with pytest.raises(ck.KafkaException):
        committed(cluster, reader)
    second.abort_dangling(["predictions", "observations"], "requests", "score")
    eventually(lambda: committed(cluster, reader), 41)

    effects = Effects([Publish("predictions", b"settled, too", partition=1)])
    second.commit([(Block.of("requests", 0, [b"two"], first=41), effects)], (), group)
    eventually(lambda: committed(cluster, reader), 42)
    read = [value for block in ranges.read_all(cluster, "predictions") for value in block.values]
    assert read == [b"settled", b"settled, too"]  # the commit would have shown what was open before it
    reader.close()


def test_a_sweep_over_a_living_group_and_nothing_open_leaves_no_trace(cluster, eventually):
    TransactionalProducer(cluster, SLOT).abort_dangling([], "requests", "score")
    reader = cluster.consumer("score", **{"auto.offset.reset": "latest"})
    reader.subscribe([cluster.topic("requests")])
    eventually(lambda: bool(reader.poll(0.1)) or len(reader.assignment()), 2)
    transactional = TransactionalProducer(cluster, SLOT)
    transactional.commit(
        [(BLOCK, Effects([Publish("predictions", b"settled", partition=1)]))], (), reader.consumer_group_metadata()
    )
    TransactionalProducer(cluster, SLOT).abort_dangling(["predictions", "snapshots"], "requests", "score")
    eventually(lambda: committed(cluster, reader), 41)
    assert len(reader.assignment()) == 2
    counted = cluster.reader(**{"isolation.level": "read_uncommitted"})
    ends = [counted.get_watermark_offsets(ck.TopicPartition(cluster.topic("predictions"), p), 5)[1] for p in (0, 1)]
    assert ends == [0, 2]  # the commit's record and its marker
    for one in (reader, counted):
        one.close()
