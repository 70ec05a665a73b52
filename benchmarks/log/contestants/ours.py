"""Our worker: the score step in its agent, under Faust.

``python -m benchmarks.log.contestants.ours BOOTSTRAP PREFIX RUN REGISTRY [--at-least-once]``
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.log.arena import cluster_at
from driftline.broker.ports import free_port
from inference import Registry, Score, Serving
from streams.clock import now_ms
from streams.kafka.cluster import Cluster
from streams.routes import read_book
from streams.runtime.app import Role
from streams.runtime.consumer import BatchConsumer
from streams.runtime.pipeline import Commit
from streams.runtime.transactions import TransactionalProducer
from streams.wire.block import Block
from streams.wire.effects import Effects


class AtLeastOnce(TransactionalProducer):
    """The same messages without a transaction: delivered first, then the offsets are committed."""

    def __init__(self, cluster: Cluster, consumer: BatchConsumer) -> None:
        self._cluster = cluster
        self._producer = cluster.producer()
        self._names = {}
        self._consumer = consumer

    def commit(self, processed: Sequence[tuple[Block, Effects]], group: Any) -> None:  # noqa: ARG002
        """Publish, wait for the deliveries, commit."""
        for block, effects in processed:
            self._publish(effects.publish, block)
        assert self._producer.flush(30) == 0, "messages are undelivered"
        self._consumer.commit(self._offsets(processed))


def main(bootstrap: str, prefix: str, run: str, registry: str, *flags: str) -> None:
    """Run until SIGTERM."""
    cluster = cluster_at(bootstrap, prefix)
    packages = Registry(registry)
    serving = Serving(lambda name, version: packages.load(name, version, "cpu"))
    book = read_book(cluster)
    for route in book.routes.values():
        serving.follow(route)

    def at_least_once(consumer: BatchConsumer, producer: object) -> Commit:  # noqa: ARG001
        return AtLeastOnce(cluster, consumer).commit

    with tempfile.TemporaryDirectory() as folder:
        role = Role(cluster, "worker", run, free_port(), folder=Path(folder))
        role.follow_models(book, serving.follow)
        commit = at_least_once if "--at-least-once" in flags else None
        # The group is the run's own, so that every run begins at the first request; workers of one run share it.
        group = f"score-{run.partition('.')[0]}"
        writes = ["predictions", "observations", "dead-letters"]
        role.add_agent(group, cluster, ["requests"], Score(serving, clock=now_ms), writes=writes, commit=commit)
        role.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
