"""Clocks of more models than an offset's metadata holds, over the real log: what is settled is found, and no more."""

import pytest

from drift.counting.event_clocks import EventClocks
from driftline.roles.event_clocks import event_clocks
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.runtime.transactions import TransactionalProducer
from streams.wire.block import Block
from streams.wire.effects import Effects

NAMES = [f"model-of-18-{n:06}" for n in range(1_000)]


@pytest.fixture
def cluster(kafka, topic_prefix) -> Cluster:
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=2, model=2))
    return cluster


def test_killed_before_and_after_its_settlement_the_count_step_finds_what_its_offset_stands_for(cluster):
    reader = cluster.consumer("count")
    transactional = TransactionalProducer(cluster, "count-0")
    other = EventClocks(0)  # of another partition, in the same topic
    clocks, memory = EventClocks(1), ""
    for turn in range(4):
        for name in NAMES[:: turn + 1]:
            clocks.reach(name, "requests/1", "v1", 1_700_000_000_000 + turn)
            other.reach(name, "requests/0", "v1", 1_800_000_000_000)
        settled = {name: dict(sources) for name, sources in event_clocks(cluster, 1, memory).maxima.items()}
        lost, (memory_then, records) = memory, clocks.to_commit()
        producer = transactional._producer  # killed between its records and their commit: nothing of it is there
        producer.begin_transaction()
        transactional._publish(records, None)
        producer.flush(30)
        producer.abort_transaction(30)
        assert event_clocks(cluster, 1, lost).maxima == settled
        group, block = reader.consumer_group_metadata(), Block.of("observations", 1, [b""], first=turn)
        transactional.commit([(block, Effects([*records, *other.to_commit()[1]], memory_then))], (), group)
        memory = memory_then
        clocks = event_clocks(cluster, 1, memory)
        assert memory == '"records"' and len(clocks.maxima) == 1_000
        assert clocks.reached(NAMES[0], "requests/1", "v1") == 1_700_000_000_000 + turn
        assert clocks.reached(NAMES[1], "requests/1", "v1") == 1_700_000_000_000
    transactional.close()
    reader.close()
