"""The feed on a real broker: when it reads, what it carries, and that it stays a member meanwhile."""

import itertools
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from unittest.mock import Mock

import confluent_kafka as ck
import msgspec
import pytest

from streams.cluster import Cluster
from streams.feed import Feed, FeedLimits
from streams.stage import PerPartition
from streams.turns import Dropped, Turn

DEADLINE_S = 20.0


class Reading:
    """A feed whose turns are queued with the time at which they came."""

    def __init__(self, cluster: Cluster, limits: FeedLimits, options: dict[str, int]) -> None:
        self.turns: queue.Queue[tuple[float, Turn]] = queue.Queue()
        self.crashed: list[BaseException] = []
        step = PerPartition(lambda topic, partition, memory: None)
        self.feed = Feed(
            cluster,
            "readers",
            ["feedback"],
            step,
            hand_over=self._take,
            crash=self.crashed.append,
            limits=limits,
            consumer_options=options,
        )

    def _take(self, turn: Turn) -> None:
        self.turns.put((time.monotonic(), turn))

    def settle_next(self, deadline_s: float = DEADLINE_S) -> list[bytes]:
        """What a shell does: a turn of an older epoch is dropped, else its offsets are committed."""
        _, turn = self.turns.get(timeout=deadline_s)
        try:
            if turn.epoch != self.feed.epoch:
                return []
            topic = self.feed.cluster.topic
            self.feed.commit([ck.TopicPartition(topic(b.topic), b.partition, b.last + 1) for b in turn.blocks])
            return [value for block in turn.blocks for value in block.values]
        finally:
            self.feed.done()

    def next(self, deadline_s: float = DEADLINE_S) -> tuple[float, Turn]:
        """The next turn, settled at once."""
        came = self.turns.get(timeout=deadline_s)
        self.feed.done()
        return came


@contextmanager
def reading(cluster: Cluster, options: dict[str, int] | None = None, **limits: int) -> Iterator[Reading]:
    reading = Reading(cluster, FeedLimits(**limits), options or {})
    reading.feed.start()
    try:
        yield reading
    finally:
        reading.feed.stop()
        assert reading.crashed == []


def until(true, deadline_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def send(cluster: Cluster, values: list[bytes], partition: int = 0) -> None:
    producer = cluster.producer()
    for value in values:
        producer.produce(cluster.topic("feedback"), value, partition=partition)
    assert producer.flush(DEADLINE_S) == 0


def members(cluster: Cluster) -> int:
    name = cluster.prefix + "readers"
    admin = cluster.admin()  # it must outlive its futures
    return len(admin.describe_consumer_groups([name])[name].result(DEADLINE_S).members)


@pytest.mark.parametrize("every_ms", [400, 1_500])
def test_a_topic_that_is_read_again_and_again_gives_a_turn_in_so_long(cluster, every_ms):
    """What a turn sends back to its own topic is not its next turn at once."""
    began = time.monotonic()
    with reading(cluster, turn_every_ms=every_ms) as one:
        send(cluster, [b"label"])
        came = []
        for _ in range(3):
            at, turn = one.next()
            came.append(at)
            assert [v for block in turn.blocks for v in block.values] == [b"label"]
            send(cluster, [b"label"])  # it still waits
            assert members(cluster) == 1
        assert all((at - began) * 1000 >= n * every_ms for n, at in enumerate(came)), came
        gaps_ms = [(b - a) * 1000 for a, b in itertools.pairwise(came)]
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


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_turn_dropped_for_a_partition_that_leaves_is_read_again_for_those_that_stay(cluster, protocol):
    """A model too slow for the revoke's bound: the turn is dropped, and held records of the partition that is kept."""
    cluster = msgspec.structs.replace(cluster, group_protocol=protocol)
    sent = [b"%d" % n for n in range(40)]
    send(cluster, sent[:20], partition=0)
    send(cluster, sent[20:], partition=1)
    with reading(cluster, revoke_wait_ms_max=300, turns_in_flight_max=1) as slow:
        until(lambda: len(slow.feed.partitions()) == 2 and not slow.turns.empty())
        with reading(cluster) as other:
            until(lambda: len(slow.feed.partitions()) == 1)  # it could not wait for the turn
            assert slow.settle_next() == []  # too late
            until(lambda: len(other.feed.partitions()) == 1)
            settled = []
            deadline = time.monotonic() + DEADLINE_S
            while len(settled) < len(sent) and time.monotonic() < deadline:
                for one in (slow, other):
                    with suppress(queue.Empty):
                        settled += one.settle_next(0.2)
    assert sorted(settled, key=int) == sent


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_slow_model_does_not_cost_the_membership(cluster, protocol):
    cluster = msgspec.structs.replace(cluster, group_protocol=protocol, session_timeout_ms=2_000)
    options = {"max.poll.interval.ms": 2_000, **({"heartbeat.interval.ms": 300} if protocol == "classic" else {})}
    with reading(cluster, options) as slow:
        send(cluster, [b"one"])
        until(lambda: not slow.turns.empty())
        send(cluster, [b"two"])
        until(lambda: slow.turns.qsize() == 2)
        send(cluster, [b"three"])
        slow_until = time.monotonic() + 4.0
        until(lambda: time.monotonic() > slow_until)
        assert [slow.settle_next() for _ in range(3)] == [[b"one"], [b"two"], [b"three"]]
        assert slow.feed.epoch == 0  # nothing was lost on the way


def test_what_was_read_before_a_rebalance_is_not_handed_over_after_it(cluster):
    """A rebalance served between the two reads of a turn: the record in hand may be another member's by now."""
    partition = ck.TopicPartition(cluster.topic("feedback"), 0)
    message = ck.Message(topic=partition.topic, partition=0, offset=7, timestamp=(1, 0))
    script = Mock(**{"assignment.return_value": [], "position.return_value": []})

    def consume(n, timeout):
        reads = script.consume.call_count
        if reads == 2:
            script.subscribe.call_args.kwargs["on_revoke"](script, [partition])
        time.sleep(0.01)
        return [message] if reads == 1 else []

    class Scripts(Cluster, frozen=True):
        def consumer(self, group, **more):
            return script

    script.consume.side_effect = consume
    with reading(Scripts(bootstrap=cluster.bootstrap, prefix=cluster.prefix)) as one:
        until(lambda: script.consume.call_count > 5)
        assert one.turns.empty()
        assert one.feed.epoch == 1


def test_a_commit_of_a_dropped_turn_is_refused(cluster):
    send(cluster, [b"one"])
    with reading(cluster) as one:
        until(lambda: not one.turns.empty())
        one.feed.rewind()
        with pytest.raises(Dropped):
            one.feed.commit([ck.TopicPartition(cluster.topic("feedback"), 0, 1)])
        assert one.settle_next() == []
        assert one.settle_next() == [b"one"]
    with pytest.raises(Dropped):
        one.feed.commit([ck.TopicPartition(cluster.topic("feedback"), 0, 1)])
