"""A worker of ours, small: consumer, pipeline, producer without Faust around them, for faults that need many processes.

``python small_worker.py BOOTSTRAP PREFIX SLOT PROTOCOL [HANG_AT]`` copies requests to predictions, one for one,
and logs its partitions. With HANG_AT it hangs within a transaction, before its commit, once it has copied so many.
"""

import asyncio
import faulthandler
import queue
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from streams.kafka.cluster import Cluster
from streams.runtime.consumer import BatchConsumer
from streams.runtime.limits import ConsumerLimits
from streams.runtime.microbatch import MicroBatch
from streams.runtime.pipeline import Pipeline
from streams.runtime.stage import Step
from streams.runtime.transactions import Processed, TransactionalProducer
from streams.wire.block import Block
from streams.wire.effects import Effects, Publish


class Copy(Step):
    """Each request is its own prediction; holds nothing."""

    def __init__(self) -> None:
        self.copied = 0

    def process(self, blocks: Sequence[Block]) -> list[Effects]:
        self.copied += sum(len(block) for block in blocks)
        return [Effects([Publish("predictions", v, partition=b.partition) for v in b.values]) for b in blocks]


class Hanging(TransactionalProducer):
    """Hangs where everything is sent and nothing committed."""

    hang = False

    def commit(self, *args: Any) -> None:
        if self.hang:
            real = self._producer

            class Producer:
                def __getattr__(self, name: str) -> Any:
                    return getattr(real, name)

                def commit_transaction(self, *_: Any) -> None:
                    real.flush()
                    sys.stdout.write("open\n")
                    sys.stdout.flush()
                    time.sleep(600)

            self._producer = Producer()
        super().commit(*args)


def main(bootstrap: str, prefix: str, slot: str, protocol: Any, hang_at: int | None) -> None:
    cluster = Cluster(
        bootstrap=bootstrap,
        prefix=prefix,
        group_protocol=protocol,
        session_timeout_ms=3_000,
        transaction_timeout_ms=6_000 if hang_at else 2_000,
    )
    told: queue.SimpleQueue[MicroBatch | None] = queue.SimpleQueue()
    crashed: list[BaseException] = []

    def crash(error: BaseException) -> None:
        crashed.append(error)
        told.put(None)

    faulthandler.register(signal.SIGUSR1)  # where is it? kill -USR1 tells
    signal.signal(signal.SIGTERM, lambda *_: told.put(None))
    step, producer = Copy(), Hanging(cluster, f"score-{slot}")
    limits = ConsumerLimits(rows_max=40)
    options = {"heartbeat.interval.ms": 500} if protocol == "classic" else {}
    consumer = BatchConsumer(
        cluster, "score", ["requests"], step, hand_over=told.put, crash=crash, limits=limits, consumer_options=options
    )

    def commit(processed: Sequence[Processed], membership: Any) -> None:
        producer.hang = hang_at is not None and step.copied >= hang_at
        producer.commit(processed, [], membership)

    async def batches() -> AsyncIterator[MicroBatch]:
        while (batch := await asyncio.to_thread(told.get)) is not None:
            yield batch

    consumer.start()
    asyncio.run(Pipeline("score", step).run(batches(), commit))
    consumer.stop()
    if crashed:
        raise crashed[0]


if __name__ == "__main__":
    boot, before, number, kind, *more = sys.argv[1:]
    main(boot, before, number, kind, int(more[0]) if more else None)
