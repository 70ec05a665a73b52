"""How far event time has come, as the count step has left it: beside its offsets, or on `snapshots`."""

from collections.abc import Iterator

from drift.counting.event_clocks import TOPIC, EventClocks
from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.wire.block import Block


def event_clocks(cluster: Cluster, partition: int, memory: str) -> EventClocks:
    """The clocks that the count step's last commit of a partition of observations left.

    Records that others are about to commit beside them are awaited: ours may lie behind them.

    Parameters
    ----------
    partition
        Of observations.
    memory
        What the commit left beside the offset; it may say that the clocks are on `snapshots`.
    """

    def records() -> Iterator[Block]:
        for number, (low, high) in ranges.bounds(cluster, TOPIC, committed=False).items():
            yield from ranges.read(cluster, TOPIC, number, low, high)

    return EventClocks(partition, memory, records)
