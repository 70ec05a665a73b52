"""The feed on a real broker: when it reads, what it carries, and that it stays a member meanwhile."""

import itertools
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from streams.cluster import Cluster
from streams.feed import Feed, FeedLimits, Turn
from streams.stage import PerPartition

DEADLINE_S = 20.0


class Reading:
    """A feed whose turns are queued with the time at which they came."""

    def __init__(self, cluster: Cluster, group: str, limits: FeedLimits) -> None:
        self.turns: queue.Queue[tuple[float, Turn]] = queue.Queue()
        self.crashed: list[BaseException] = []
        step = PerPartition(lambda topic, partition, memory: None)
        self.feed = Feed(
            cluster, group, ["feedback"], step, hand_over=self._take, crash=self.crashed.append, limits=limits
        )

    def _take(self, turn: Turn) -> None:
        self.turns.put((time.monotonic(), turn))

    def next(self, deadline_s: float = DEADLINE_S) -> tuple[float, Turn]:
        """The next turn, settled at once."""
        came = self.turns.get(timeout=deadline_s)
        self.feed.done()
        return came


@contextmanager
def reading(cluster: Cluster, group: str = "readers", **limits: int) -> Iterator[Reading]:
    reading = Reading(cluster, group, FeedLimits(**limits))
    reading.feed.start()
    try:
        yield reading
    finally:
        reading.feed.stop()
        assert reading.crashed == []


def send(cluster: Cluster, values: list[bytes], partition: int = 0) -> None:
    producer = cluster.producer()
    for value in values:
        producer.produce(cluster.topic("feedback"), value, partition=partition)
    assert producer.flush(DEADLINE_S) == 0


def members(cluster: Cluster, group: str = "readers") -> int:
    name = cluster.prefix + group
    admin = cluster.admin()  # it must outlive its futures
    return len(admin.describe_consumer_groups([name])[name].result(DEADLINE_S).members)


@pytest.mark.parametrize("every_ms", [400, 1_500])
def test_a_topic_that_is_read_again_and_again_gives_a_turn_in_so_long(cluster, every_ms):
    """What a turn sends back to its own topic is not its next turn at once."""
    with reading(cluster, turn_every_ms=every_ms) as one:
        send(cluster, [b"label"])
        came = []
        for _ in range(3):
            at, turn = one.next()
            came.append(at)
            assert [v for block in turn.blocks for v in block.values] == [b"label"]
            send(cluster, [b"label"])  # it still waits
            assert members(cluster) == 1
        gaps_ms = [(b - a) * 1000 for a, b in itertools.pairwise(came)]
        assert min(gaps_ms) >= every_ms * 0.95, gaps_ms
        assert max(gaps_ms) < every_ms + 5_000, gaps_ms


def test_a_turn_that_comes_seldom_holds_all_that_waits(cluster):
    send(cluster, [b"a"] * 700, partition=0)
    send(cluster, [b"b"] * 900, partition=1)
    with reading(cluster, turn_every_ms=1_000) as one:
        turns = []
        while sum(len(block) for turn in turns for block in turn.blocks) < 1_600:
            turns.append(one.next()[1])
        assert len(turns) <= 2  # two, where a partition comes a moment after the other


def test_a_feed_that_waits_for_its_time_stops_at_once(cluster):
    with reading(cluster, turn_every_ms=3_600_000) as one:
        began = time.monotonic()
        one.feed.stop()
        assert time.monotonic() - began < 5
