"""The consumer on a real broker: when it reads, what it carries, and that it stays a member meanwhile."""

import itertools
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import Mock

import confluent_kafka as ck
import msgspec
import pytest
from confluent_kafka.admin import NewPartitions, NewTopic
from structlog.testing import capture_logs

from driftline.broker import EmbeddedBroker
from streams.kafka import ranges
from streams.kafka.admin import Layout, create, extend
from streams.kafka.cluster import Cluster
from streams.runtime.consumer import BatchConsumer
from streams.runtime.handover import Dropped, Stuck
from streams.runtime.limits import ConsumerLimits
from streams.runtime.microbatch import MicroBatch
from streams.runtime.splitting import Weigh
from streams.runtime.stage import PerPartition
from streams.runtime.start_offsets import Gap, StartOffsets
from streams.runtime.transactions import Aborted, TransactionalProducer
from streams.wire.effects import Effects, Publish

pytestmark = pytest.mark.system  # minutes: `make test-all`

DEADLINE_S = 20.0


class Reading:
    """A consumer whose micro-batches are queued with the time at which they came."""

    def __init__(
        self,
        cluster: Cluster,
        limits: ConsumerLimits,
        options: dict[str, int],
        starts: StartOffsets,
        begin_s: float,
        weigh: Weigh | None,
        alike: tuple[str, ...] = (),
    ) -> None:
        self.batches: queue.Queue[tuple[float, MicroBatch]] = queue.Queue()
        self.crashed: list[BaseException] = []
        step = PerPartition(lambda topic, partition, memory: time.sleep(begin_s))
        self.consumer = BatchConsumer(
            cluster,
            "readers",
            ["feedback"],
            step,
            hand_over=self._take,
            crash=self.crashed.append,
            limits=limits,
            start_offsets=starts,
            weigh=weigh,
            alike=alike,
            consumer_options=options,
        )

    def _take(self, batch: MicroBatch) -> None:
        self.batches.put((time.monotonic(), batch))

    def commit_next(self, deadline_s: float = DEADLINE_S) -> list[bytes]:
        """A micro-batch of an older epoch is dropped, else its offsets are committed."""
        _, batch = self.batches.get(timeout=deadline_s)
        with batch:
            if batch.dropped:
                return []
            topic = self.consumer.cluster.topic
            parts = [*batch.blocks, *batch.idle]  # a silence is committed with the offset that is committed already
            try:
                if parts:
                    self.consumer.commit([ck.TopicPartition(topic(p.topic), p.partition, p.last + 1) for p in parts])
            except Dropped:  # The epoch ended between the look at it and the commit: its records come again.
                return []
            return [value for block in batch.blocks for value in block.values]

    def next(self, deadline_s: float = DEADLINE_S) -> tuple[float, MicroBatch]:
        """The next micro-batch, left at once."""
        at, batch = self.batches.get(timeout=deadline_s)
        with batch:
            return at, batch


@contextmanager
def reading(
    cluster: Cluster,
    options: dict[str, int] | None = None,
    starts: StartOffsets | None = None,
    begin_s: float = 0,
    weigh: Weigh | None = None,
    alike: tuple[str, ...] = (),
    **limits: Any,
) -> Iterator[Reading]:
    reading = Reading(cluster, ConsumerLimits(**limits), options or {}, starts or StartOffsets(), begin_s, weigh, alike)
    reading.consumer.start()
    try:
        yield reading
    finally:
        reading.consumer.stop()
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
def test_a_topic_that_is_read_again_and_again_gives_a_batch_in_so_long(cluster, every_ms):
    """What a micro-batch sends back to its own topic is not in the next one at once."""
    began = time.monotonic()
    with reading(cluster, batch_every_ms=every_ms) as one:
        send(cluster, [b"label"])
        came = []
        for _ in range(3):
            at, batch = one.next()
            came.append(at)
            assert [v for block in batch.blocks for v in block.values] == [b"label"]
            send(cluster, [b"label"])  # it still waits
            assert members(cluster) == 1
        assert all((at - began) * 1000 >= n * every_ms for n, at in enumerate(came)), came
        gaps_ms = [(b - a) * 1000 for a, b in itertools.pairwise(came)]
        assert max(gaps_ms) < every_ms + 5_000, gaps_ms


def test_a_batch_that_comes_seldom_holds_all_that_waits(cluster):
    send(cluster, [b"a"] * 700, partition=0)
    send(cluster, [b"b"] * 900, partition=1)
    with reading(cluster, batch_every_ms=1_000) as one:
        batches = []
        while sum(len(block) for batch in batches for block in batch.blocks) < 1_600:
            batches.append(one.next()[1])
        assert len(batches) <= 2  # two, where a partition comes a moment after the other


def test_a_feed_that_waits_for_its_time_stops_at_once(cluster):
    with reading(cluster, batch_every_ms=3_600_000) as one:
        began = time.monotonic()
        one.consumer.stop()
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_batch_dropped_for_a_partition_that_leaves_is_read_again_for_those_that_stay(cluster, protocol):
    """A model too slow for the revoke's bound: the batch is dropped, and held records of the partition that is kept."""
    cluster = msgspec.structs.replace(cluster, group_protocol=protocol)
    sent = [b"%d" % n for n in range(40)]
    send(cluster, sent[:20], partition=0)
    send(cluster, sent[20:], partition=1)
    with reading(cluster, revoke_wait_ms_max=300, batches_in_flight_max=1) as slow:
        until(lambda: len(slow.consumer.partitions()) == 2 and not slow.batches.empty())
        with reading(cluster) as other:
            until(lambda: len(slow.consumer.partitions()) == 1)  # it could not wait for the batch
            assert slow.commit_next() == []  # too late
            until(lambda: len(other.consumer.partitions()) == 1)
            committed = []
            deadline = time.monotonic() + DEADLINE_S
            while len(committed) < len(sent) and time.monotonic() < deadline:
                for one in (slow, other):
                    with suppress(queue.Empty):
                        committed += one.commit_next(0.2)
    assert sorted(committed, key=int) == sent


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_slow_model_does_not_cost_the_membership(cluster, protocol):
    cluster = msgspec.structs.replace(cluster, group_protocol=protocol, session_timeout_ms=2_000)
    options = {"max.poll.interval.ms": 2_000, **({"heartbeat.interval.ms": 300} if protocol == "classic" else {})}
    with reading(cluster, options) as slow:
        send(cluster, [b"one"])
        until(lambda: not slow.batches.empty())
        send(cluster, [b"two"])
        slow_until = time.monotonic() + 4.0
        until(lambda: time.monotonic() > slow_until)
        assert [slow.commit_next() for _ in range(2)] == [[b"one"], [b"two"]]
        assert slow.consumer.epoch == 0  # nothing was lost on the way


@pytest.mark.parametrize("limit", [{"rows_max": 10}, {"bytes_max": 10 * 100}])
def test_a_backlog_is_cut_by_rows_and_bytes(cluster, limit):
    send(cluster, [b"%0100d" % n for n in range(25)])
    with reading(cluster, **limit) as one:
        assert [len(one.commit_next()) for _ in range(2)] == [10, 10]


def test_a_batch_that_asks_for_too_many_answers_comes_in_parts_and_is_settled_in_their_order(cluster):
    asked = [3, 3, 90, 1, 2, 8]
    send(cluster, [b"%d" % answers for answers in asked])
    with reading(cluster, weigh=lambda block: [int(value) for value in block.values], rows_max=10) as one:
        parts = []
        while sum(map(len, parts)) < len(asked):
            parts.append([int(value) for value in one.commit_next()])
    assert list(itertools.chain(*parts)) == asked
    assert all(sum(part) <= 10 or part == [90] for part in parts)


def test_parts_behind_one_that_failed_are_dropped_with_it_and_read_again(cluster):
    send(cluster, [b"8", b"7", b"6"])
    with reading(cluster, weigh=lambda block: [8] * len(block), rows_max=10) as one:
        assert one.commit_next() == [b"8"]
        one.consumer.rewind()
        read: list[bytes] = []
        while len(read) < 2:
            read += one.commit_next()
        assert read == [b"7", b"6"]


def test_what_was_read_before_a_rebalance_is_not_handed_over_after_it(cluster):
    """A rebalance served between the two reads of a micro-batch: the record in hand may be another member's by now."""
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
        assert one.batches.empty()
        assert one.consumer.epoch == 1


def test_a_commit_of_a_dropped_batch_is_refused(cluster):
    send(cluster, [b"one"])
    with reading(cluster) as one:
        until(lambda: not one.batches.empty())
        one.consumer.rewind()
        with pytest.raises(Dropped):
            one.consumer.commit([ck.TopicPartition(cluster.topic("feedback"), 0, 1)])
        assert one.commit_next() == []
        assert one.commit_next() == [b"one"]
    with pytest.raises(Dropped):
        one.consumer.commit([ck.TopicPartition(cluster.topic("feedback"), 0, 1)])


def test_a_commit_that_does_not_return_while_the_broker_answers_ends_the_process(cluster, monkeypatch):
    monkeypatch.setattr("streams.runtime.handover._COMMIT_S", 0.3)
    with reading(cluster) as one:
        until(lambda: len(one.consumer.partitions()) == 2)
        returned = threading.Event()
        one.consumer._in_flight._commit = lambda offsets: returned.wait(DEADLINE_S)
        with pytest.raises(Stuck):
            one.consumer.commit([])
        one.consumer.cluster = Cluster(bootstrap="127.0.0.1:1")
        with pytest.raises(TimeoutError):
            one.consumer.commit([])
        one.consumer.cluster = cluster
        returned.set()


# What comes, begins and falls silent (`streams.runtime.assignment`).

PROTOCOLS = pytest.mark.parametrize("protocol", ["classic", "consumer"])
LONG_S = 3.0  # longer than the group waits for a member that does not poll


def impatient(cluster: Cluster, protocol: str) -> tuple[Cluster, dict[str, int]]:
    cluster = msgspec.structs.replace(cluster, group_protocol=protocol, session_timeout_ms=2_000)
    return cluster, {"max.poll.interval.ms": 2_000, **({"heartbeat.interval.ms": 300} if protocol == "classic" else {})}


def committed(reader: Reading, wanted: int) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < wanted:
        found += reader.commit_next()
    return found


@PROTOCOLS
def test_partitions_that_come_wait_for_a_long_step_and_cost_no_membership(cluster, protocol):
    cluster, options = impatient(cluster, protocol)
    with reading(cluster, options) as slow:
        with reading(cluster, options) as other:
            until(lambda: len(slow.consumer.partitions()) == len(other.consumer.partitions()) == 1)
            [(_, mine)], [(_, theirs)] = slow.consumer.partitions(), other.consumer.partitions()
            epoch = slow.consumer.epoch
            send(cluster, [b"one"], mine)
            until(lambda: not slow.batches.empty())
        send(cluster, [b"two"], theirs)
        long = time.monotonic() + LONG_S
        until(lambda: time.monotonic() > long)
        assert slow.consumer.partitions() == [("feedback", mine)]  # the other has been assigned, and has not begun
        assert committed(slow, 2) == [b"one", b"two"]
        assert slow.consumer.epoch == epoch


@PROTOCOLS
def test_a_stage_that_is_long_restored_costs_no_membership(cluster, protocol):
    cluster, options = impatient(cluster, protocol)
    send(cluster, [b"one"])
    with reading(cluster, options, begin_s=LONG_S / 2) as slow:  # for each of two partitions
        assert committed(slow, 1) == [b"one"]
        assert slow.consumer.epoch == 0


@PROTOCOLS
def test_a_rewind_waits_for_a_long_fold_and_costs_no_membership(cluster, protocol):
    cluster, options = impatient(cluster, protocol)
    send(cluster, [b"one"])
    with reading(cluster, options) as slow:
        until(lambda: not slow.batches.empty())
        slow.consumer.rewind()
        long = time.monotonic() + LONG_S
        until(lambda: time.monotonic() > long)
        assert slow.commit_next() == []
        assert committed(slow, 1) == [b"one"]
        assert slow.consumer.epoch == 1


def test_a_restart_at_the_end_of_a_partition_tells_its_silence(cluster):
    send(cluster, [b"one", b"two"])
    with reading(cluster) as before:
        assert committed(before, 2) == [b"one", b"two"]
    with reading(cluster, idle_after_ms=300) as after:
        silent = {}
        while len(silent) < 2:
            silent |= {one.partition: one.last for one in after.next()[1].idle}
        assert silent == {0: 1, 1: -1}


def test_a_member_that_slept_asks_before_it_says_that_a_partition_is_silent(cluster):
    """What it knows of the end is as old as its sleep: here what the consumer has cached never grows."""
    with reading(cluster) as one:
        until(lambda: len(one.consumer.partitions()) == 2)
        positions, client = one.consumer._positions, Mock(**{"position.return_value": [Mock(offset=5)]})
        positions.begin({("feedback", 0): 5})
        client.get_watermark_offsets.side_effect = lambda where, cached=False, timeout=0: (0, 5 if cached else 6)
        assert not positions.at_end(client, ("feedback", 0))
        client.get_watermark_offsets.side_effect = lambda where, cached=False, timeout=0: (0, 5)
        assert positions.at_end(client, ("feedback", 0))


@PROTOCOLS
def test_what_a_zombie_says_of_a_silence_is_fenced(cluster, protocol):
    """It was the partition's owner when it saw the silence, and is not when it says so."""
    cluster = msgspec.structs.replace(cluster, group_protocol=protocol)
    said = Effects([Publish("counts", b"idle", partition=0)], "memory")
    transactional = TransactionalProducer(cluster, "count-0")
    with reading(cluster, idle_after_ms=300, revoke_wait_ms_max=100) as zombie:
        _, batch = zombie.batches.get(timeout=DEADLINE_S)
        transactional.commit([(batch.idle[0], said)], [], batch.membership)  # while it holds the partition
        with reading(cluster) as other, batch:
            until(lambda: len(other.consumer.partitions()) == 1)
            with pytest.raises(Aborted):
                transactional.commit([(one, said) for one in batch.idle], [], batch.membership)
    transactional.close()
    until(lambda: [value for block in ranges.read_all(cluster, "counts") for value in block.values] == [b"idle"])


def forgotten(cluster: Cluster) -> None:
    """What a broker does when a group has been away for long."""
    admin, name = cluster.admin(), cluster.prefix + "readers"
    until(lambda: members(cluster) == 0)
    admin.delete_consumer_groups([name])[name].result(DEADLINE_S)


@PROTOCOLS
def test_a_group_whose_offsets_are_forgotten_is_no_new_one(cluster, protocol):
    cluster = msgspec.structs.replace(cluster, group_protocol=protocol)
    send(cluster, [b"one", b"two"])
    with reading(cluster) as before:
        assert committed(before, 2) == [b"one", b"two"]
    forgotten(cluster)
    with pytest.raises(AssertionError), reading(cluster) as refused:
        until(lambda: bool(refused.crashed))
    [why] = refused.crashed
    assert isinstance(why, Gap)
    assert "has read here before" in str(why) and "--reset-offsets" in str(why)
    starts = StartOffsets(accept_gap=True)
    with reading(cluster, starts=starts) as accepted:
        until(lambda: len(accepted.consumer.partitions()) == 2)
        send(cluster, [b"three"])
        assert committed(accepted, 1) == [b"three"]
    assert starts.lost_records == 2  # at the most: whatever the log still held


@PROTOCOLS
def test_records_that_retention_took_unread_are_a_counted_gap_and_the_group_goes_on(cluster, protocol):
    """Also in the middle: what is deleted before a consumer that is behind is passed, once."""
    cluster = msgspec.structs.replace(cluster, group_protocol=protocol)
    send(cluster, [b"read"])
    with reading(cluster) as before:
        assert committed(before, 1) == [b"read"]
    send(cluster, [b"%d" % n for n in range(5)])
    delete_before(cluster, 4)
    send(cluster, [b"after"])
    starts = StartOffsets()
    with capture_logs() as logs, reading(cluster, starts=starts) as one:
        assert committed(one, 3) == [b"3", b"4", b"after"]
        assert starts.lost_records == 3
        (note,) = [text for _, text in one.consumer.notes()]
        assert "feedback/0: offsets 1 to 3 were never read, retention has taken them; readers goes on at 4" in note
        assert "LogAppendTime" in note and "kafka.retention_ms" in note
    assert [line["records_max"] for line in logs if line["event"] == "offsets.gap"] == [3]


def delete_before(cluster, offset):
    """What retention does."""
    admin, where = cluster.admin(), ck.TopicPartition(cluster.topic("feedback"), 0, offset)
    admin.delete_records([where])[where].result(DEADLINE_S)


def test_what_goes_wrong_while_partitions_come_ends_the_feed_with_its_name(cluster):
    """It leaves a callback of confluent-kafka, which mangles a KafkaException beyond what `except` catches."""

    class Broken(StartOffsets):
        def of(self, *_: Any) -> list[ck.TopicPartition]:
            raise ck.KafkaException(ck.KafkaError(ck.KafkaError.NOT_COORDINATOR))

    with pytest.raises(AssertionError), reading(cluster, starts=Broken()) as one:
        until(lambda: bool(one.crashed))
    assert "assigned: " in str(one.crashed[0])


@PROTOCOLS
def test_where_a_group_begins_at_the_end_that_end_holds_through_a_death(cluster, protocol):
    cluster = msgspec.structs.replace(cluster, group_protocol=protocol)
    send(cluster, [b"old"])
    with reading(cluster, starts=StartOffsets(from_end=True)) as first:
        until(lambda: len(first.consumer.partitions()) == 2)
    send(cluster, [b"new"])
    with reading(cluster, starts=StartOffsets(from_end=True)) as second:
        assert committed(second, 1) == [b"new"]


# Topics that go, come, and grow.


def delete(cluster: Cluster, topic: str = "feedback") -> None:
    admin = cluster.admin()  # it must outlive its futures
    admin.delete_topics([cluster.topic(topic)])[cluster.topic(topic)].result(DEADLINE_S)


def make(cluster: Cluster, partitions: int, topic: str = "feedback") -> None:
    admin, name = cluster.admin(), cluster.topic(topic)
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            admin.create_topics([NewTopic(name, partitions, 1)])[name].result(DEADLINE_S)
            return
        except ck.KafkaException as error:  # the old one is still being deleted
            assert time.monotonic() < deadline and error.args[0].code() == ck.KafkaError.TOPIC_ALREADY_EXISTS
            time.sleep(0.02)


def grow(cluster: Cluster, partitions: int, topic: str = "feedback") -> None:
    admin, name = cluster.admin(), cluster.topic(topic)
    admin.create_partitions([NewPartitions(name, partitions)])[name].result(DEADLINE_S)


@PROTOCOLS
@pytest.mark.parametrize("records", [1, 9], ids=["fewer records than before", "more"])
@pytest.mark.parametrize("accept_gap", [False, True])
def test_a_topic_made_again_is_read_from_its_beginning_while_the_feed_goes_on(cluster, protocol, records, accept_gap):
    cluster = msgspec.structs.replace(cluster, group_protocol=protocol)
    starts = StartOffsets(accept_gap=accept_gap)
    with reading(cluster, starts=starts) as one:
        send(cluster, [b"old"] * 4)
        assert committed(one, 4) == [b"old"] * 4
        delete(cluster)
        make(cluster, 2)
        new = [b"%d" % n for n in range(records)]
        send(cluster, new)
        read: list[bytes] = []
        while set(read) != set(new):
            read += one.commit_next()
        # What lies behind the old position may have been read there, before anybody knew of the new topic: nothing in
        # a record says of which it is. It is read again from the beginning.
        assert sorted(read) == new or records == 9
        send(cluster, [b"newer"])
        while (last := one.commit_next()) != [b"newer"]:
            assert records == 9 and set(last) <= set(new)
    assert starts.lost_records == 0
    [told] = {text for _, text in starts.notes}
    assert told == f"{cluster.topic('feedback')} was deleted and made again; it is read from its beginning"
    with reading(cluster) as after:  # where it stands is committed
        until(lambda: len(after.consumer.partitions()) == 2)
        send(cluster, [b"last"])
        assert committed(after, 1) == [b"last"]


@PROTOCOLS
def test_a_topic_made_again_while_nobody_reads_is_read_from_its_beginning(cluster, protocol):
    cluster = msgspec.structs.replace(cluster, group_protocol=protocol)
    with reading(cluster) as before:
        send(cluster, [b"old"] * 4)
        assert committed(before, 4) == [b"old"] * 4
    delete(cluster)
    make(cluster, 1)
    send(cluster, [b"new"])
    starts = StartOffsets(accept_gap=True, from_end=True)
    with reading(cluster, starts=starts) as one:
        assert committed(one, 1) == [b"new"]
    assert starts.lost_records == 0 and len(starts.notes) == 1


@PROTOCOLS
def test_a_topic_that_is_not_there_is_waited_for_and_one_that_has_gone_as_well(cluster, protocol):
    cluster = msgspec.structs.replace(cluster, group_protocol=protocol)
    delete(cluster)
    named = cluster.topic("feedback")
    until(lambda: named not in cluster.admin().list_topics(timeout=5).topics)
    with reading(cluster) as one:
        until(lambda: one.consumer.waits() == f"topic {named} is not there yet; `driftline topics create {named}`")
        make(cluster, 2)
        until(lambda: len(one.consumer.partitions()) == 2 and not one.consumer.waits())
        send(cluster, [b"one"])
        assert committed(one, 1) == [b"one"]
        delete(cluster)
        until(lambda: one.consumer.partitions() == [] or one.consumer.waits())
        one.consumer.rewind()  # as an aborted commit would
        until(lambda: bool(one.consumer.waits()))
        make(cluster, 3)
        until(lambda: len(one.consumer.partitions()) == 3)
        send(cluster, [b"two"], partition=2)
        assert committed(one, 1) == [b"two"]


@PROTOCOLS
def test_partitions_that_are_added_are_taken_up(cluster, protocol):
    cluster = msgspec.structs.replace(cluster, group_protocol=protocol)
    with reading(cluster) as one:
        until(lambda: len(one.consumer.partitions()) == 2)
        grow(cluster, 4)
        until(lambda: len(one.consumer.partitions()) == 4)
        send(cluster, [b"there"], partition=3)
        assert committed(one, 1) == [b"there"]


@PROTOCOLS
def test_a_partition_without_its_like_waits_and_holds_up_no_other(cluster, protocol):
    cluster = msgspec.structs.replace(cluster, group_protocol=protocol)
    grow(cluster, 3)
    grow(cluster, 3, "requests")
    with reading(cluster, alike=("predictions",)) as one:
        until(lambda: len(one.consumer.partitions()) == 2 and bool(one.consumer.waits()))
        assert "predictions has 2 partitions, one for each is needed; `driftline topics create`" in one.consumer.waits()
        send(cluster, [b"waits"], partition=2)
        send(cluster, [b"goes on"])
        assert committed(one, 1) == [b"goes on"]
        one.consumer.rewind()
        send(cluster, [b"after a rewind"])
        assert committed(one, 1) == [b"after a rewind"]
        assert sorted(extend(cluster)) == [
            f"{cluster.topic(name)}: 3 partitions" for name in ("observations", "predictions")
        ]
        assert committed(one, 1) == [b"waits"]
        assert one.consumer.waits() == ""


@PROTOCOLS
@pytest.mark.parametrize("away_s", [0.0, 3.0])
def test_a_topic_made_again_later_while_the_feed_is_quiet(cluster, protocol, away_s):
    cluster = msgspec.structs.replace(cluster, group_protocol=protocol)
    with reading(cluster, idle_after_ms=500, asleep_after_ms=(1_000,)) as one:
        send(cluster, [b"old"] * 100)
        send(cluster, [b"old"] * 100, partition=1)
        committed(one, 200)
        quiet(one, 2.0)
        delete(cluster)
        quiet(one, away_s)
        make(cluster, 2)
        quiet(one, 3.0)
        send(cluster, [b"new"] * 20)
        send(cluster, [b"new"] * 20, partition=1)
        assert committed(one, 40) == [b"new"] * 40


def quiet(reader: Reading, seconds: float) -> None:
    """Serve the consumer for a while in which nothing comes but silences."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(queue.Empty):
            assert reader.commit_next(0.2) == []


@PROTOCOLS
def test_a_topic_older_than_its_broker_is_read_again_when_it_was_made_again(tmp_path, protocol):
    """Its leader epoch was higher than the new topic's: a client that knows it would fetch nothing, without a word."""
    with EmbeddedBroker(tmp_path / "kafka") as broker:
        cluster = Cluster(bootstrap=broker.bootstrap, group_protocol=protocol)
        create(cluster, Layout(requests=2))
        broker.stop()
        broker.start()
        broker.wait_ready()
        with reading(cluster) as one:
            send(cluster, [b"old"] * 100)
            assert committed(one, 100) == [b"old"] * 100
            delete(cluster)
            quiet(one, 1.0)
            make(cluster, 2)
            quiet(one, 3.0)
            send(cluster, [b"new"] * 20)
            assert committed(one, 20) == [b"new"] * 20


@PROTOCOLS
def test_a_batch_that_does_not_unpack_is_records_without_a_value_and_what_is_behind_is_read(cluster, protocol):
    cluster = msgspec.structs.replace(cluster, group_protocol=protocol)
    # 120 MB of spaces are a batch of a few kilobytes; the client unpacks 100 MB, and says an error for ever.
    send(cluster, [b"before"])
    producer = ck.Producer(
        {"bootstrap.servers": cluster.bootstrap, "compression.codec": "zstd", "message.max.bytes": 1_000_000_000,
         "batch.size": 500_000_000, "linger.ms": 2_000, "queue.buffering.max.kbytes": 2_000_000}
    )  # fmt: skip
    for value in (b"a", b" " * 120_000_000, b"b"):
        producer.produce(cluster.topic("feedback"), value, partition=0)
    assert producer.flush(60) == 0
    send(cluster, [b"behind"])
    with reading(cluster, rows_max=2) as reader:
        assert committed(reader, 5) == [b"before", None, None, None, b"behind"]
        assert not reader.crashed
    with reading(cluster) as reader:  # and the group has them behind it
        send(cluster, [b"later"])
        assert committed(reader, 1) == [b"later"]
