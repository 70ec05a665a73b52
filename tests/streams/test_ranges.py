"""Closed ranges of a real topic, with transactions' markers and aborted records inside."""

from threading import Timer

import confluent_kafka as ck
import pytest

from streams.kafka import ranges
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.kafka.unpacked import WHY
from streams.runtime.transactions import Aborted, TransactionalProducer
from streams.wire.effects import Publish


def write(cluster, eventually):
    """Offsets of requests/0: 0-2 and a marker at 3, 4 aborted and its marker at 5, 6-7 and a marker at 8."""
    transactional = TransactionalProducer(cluster, "writer")
    transactional.commit([], [Publish("requests", b"%d" % n, partition=0) for n in (0, 1, 2)], None)
    transaction = transactional._producer
    transaction.begin_transaction()
    transaction.produce(cluster.topic("requests"), b"aborted", partition=0)
    transaction.flush(15)
    transaction.abort_transaction(15)
    transactional.commit([], [Publish("requests", b"%d" % n, partition=0) for n in (6, 7)], None)
    transactional.close()
    eventually(lambda: ranges.bounds(cluster, "requests")[0], (0, 9))
    return cluster


@pytest.fixture(scope="module")
def written(module_cluster, eventually):
    """Written once: no test writes to it."""
    return write(module_cluster, eventually)


def records(cluster, start, end, **more):
    blocks = ranges.read(cluster, "requests", 0, start, end, **more)
    return [(offset, value) for block in blocks for offset, value in zip(block.offsets, block.values, strict=True)]


ALL = [(0, b"0"), (1, b"1"), (2, b"2"), (6, b"6"), (7, b"7")]


def test_bounds_count_the_markers(written):
    assert ranges.bounds(written, "requests") == {0: (0, 9), 1: (0, 0)}


@pytest.mark.parametrize("rows_max", [1, 2, 5_000])
@pytest.mark.parametrize(("start", "end"), [(0, 9), (0, 3), (1, 7), (2, 6), (3, 6), (4, 5), (6, 8), (7, 9), (5, 5)])
def test_a_range_holds_the_committed_records_within_it(written, start, end, rows_max):
    assert records(written, start, end, rows_max=rows_max) == [r for r in ALL if start <= r[0] < end]


def test_read_all_reads_every_partition(cluster, eventually):
    write(cluster, eventually)
    transactional = TransactionalProducer(cluster, "writer")
    transactional.commit([], [Publish("requests", b"other", partition=1)], None)
    transactional.close()
    eventually(lambda: ranges.bounds(cluster, "requests")[1], (0, 2))
    found = [(block.partition, v) for block in ranges.read_all(cluster, "requests") for v in block.values]
    assert found == [(0, value) for _, value in ALL] + [(1, b"other")]


def test_a_time_is_an_offset_and_beyond_the_last_is_the_end(written):
    times = [time for block in ranges.read(written, "requests", 0, 0, 9) for time in block.times]
    assert ranges.at_time(written, "requests", times[0]) == {0: 0, 1: 0}
    assert ranges.at_time(written, "requests", times[-1] + 60_000) == {0: 9, 1: 0}


def test_an_open_transaction_within_the_range_is_waited_for(cluster):
    producer = cluster.producer("slow")
    producer.init_transactions(15)
    producer.begin_transaction()
    producer.produce(cluster.topic("requests"), b"late", partition=0)
    producer.flush(15)
    assert ranges.bounds(cluster, "requests")[0] == (0, 0)
    commit = Timer(0.5, producer.commit_transaction, [15])
    commit.start()
    assert records(cluster, 0, 1) == [(0, b"late")]
    commit.join()


def test_a_topic_that_is_not_there_is_named(cluster):
    with pytest.raises(ranges.RangeError, match=r"\.nowhere"):
        ranges.bounds(cluster, "nowhere")


def test_an_abort_leaves_an_empty_range(cluster):
    transactional = TransactionalProducer(cluster, "writer")
    with pytest.raises(Aborted):
        transactional.commit(
            [], [Publish("requests", b"lost", partition=0), Publish("requests", b"x", partition=99)], None
        )
    transactional.close()
    assert list(ranges.read_all(cluster, "requests")) == []


def bomb(cluster, topic):
    """Write a record of 120 MB of spaces between two small ones, in one batch of a few kilobytes, and then a good one.

    Clients unpack 100 MB at the most.
    """
    producer = ck.Producer(
        {"bootstrap.servers": cluster.bootstrap, "compression.codec": "zstd", "message.max.bytes": 1_000_000_000,
         "batch.size": 500_000_000, "linger.ms": 2_000, "queue.buffering.max.kbytes": 2_000_000}
    )  # fmt: skip
    for value in (b"a", b" " * 120_000_000, b"b"):
        producer.produce(cluster.topic(topic), value, partition=0)
    assert producer.flush(60) == 0
    producer.produce(cluster.topic(topic), b"behind", partition=0)
    assert producer.flush(60) == 0


@pytest.fixture(scope="module")
def bombed(kafka, module_prefix, eventually):
    """What `written` has, and behind it a batch that does not unpack."""
    cluster = Cluster(bootstrap=kafka, prefix=f"{module_prefix}bombed.")
    create(cluster, Layout(requests=2))
    bomb(write(cluster, eventually), "requests")
    return cluster


@pytest.mark.parametrize(("start", "end", "rows_max"), [(0, 13, 5_000), (0, 13, 2), (9, 11, 5_000), (10, 13, 1)])
def test_a_batch_that_does_not_unpack_is_records_without_a_value(bombed, start, end, rows_max):
    blocks = list(ranges.read(bombed, "requests", 0, start, end, rows_max=rows_max))
    found = [(at, value) for block in blocks for at, value in zip(block.offsets, block.values, strict=True)]
    wanted = [*ALL, (9, None), (10, None), (11, None), (12, b"behind")]
    assert found == [record for record in wanted if start <= record[0] < end]
    assert all(h and h[0][0] == WHY for b in blocks for h, v in zip(b.headers, b.values, strict=True) if v is None)
