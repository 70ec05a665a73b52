"""A consumer that is held keeps its partitions and reads nothing; let go, it begins where it would have."""

import queue
import time

from streams.kafka.cluster import Cluster
from streams.runtime.consumer import BatchConsumer
from streams.runtime.microbatch import MicroBatch
from streams.runtime.stage import PerPartition

DEADLINE_S = 20.0


def test_what_is_held_has_its_partitions_and_reads_when_it_is_let_go(cluster: Cluster) -> None:
    batches: queue.Queue[MicroBatch] = queue.Queue()
    crashed: list[BaseException] = []
    why: list[str] = ["no route yet"]
    consumer = BatchConsumer(
        cluster,
        "held",
        ["feedback"],
        PerPartition(lambda topic, partition, memory: None),  # type: ignore[arg-type,return-value]
        hand_over=batches.put,
        crash=crashed.append,
        hold=lambda: why[0] if why else None,
    )
    producer = cluster.producer()
    producer.produce(cluster.topic("feedback"), b"first", partition=0)
    assert producer.flush(DEADLINE_S) == 0
    consumer.start()
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not consumer.partitions() or consumer.lag_rows != 1:  # it looks at what waits, and takes nothing
            assert time.monotonic() < deadline and not crashed
            time.sleep(0.02)
        assert consumer.held() == "no route yet" and batches.empty()
        why.clear()
        with batches.get(timeout=DEADLINE_S) as batch:
            assert [value for block in batch.blocks for value in block.values] == [b"first"]
    finally:
        consumer.stop()
    assert crashed == []
