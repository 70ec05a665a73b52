"""Snapshots: whole or not there; a restored stage is the one that was."""

from collections.abc import Sequence

import confluent_kafka as ck
import msgspec
import pytest

from streams.away import Away, patiently
from streams.kafka import ranges
from streams.runtime.snapshots import CHUNK_BYTES_MAX, Restored, SnapshotError, StateLost, newest, write
from streams.runtime.transactions import TransactionalProducer
from streams.wire.block import Block
from streams.wire.effects import Effects, Publish

BIG = b"a" * CHUNK_BYTES_MAX + b"b" * CHUNK_BYTES_MAX + b"c"


def log(messages: Sequence[Publish]) -> list[Block]:
    n = len(messages)
    columns = ([m.key for m in messages], [m.value for m in messages], [m.headers for m in messages])
    return [Block("snapshots", 0, range(n), [0] * n, *columns)]


@pytest.mark.parametrize("state", [b"", b"small", BIG])
def test_what_is_written_is_read(state):
    messages = write("counts", 0, 17, state)
    assert all(len(m.value) <= CHUNK_BYTES_MAX for m in messages)
    assert newest(log(messages), "counts", 0, 17) == (17, state)


def test_the_newest_that_the_position_covers_holds():
    messages = [*write("counts", 0, 10, b"ten"), *write("counts", 0, 20, b"twenty")]
    found = [newest(log(messages), "counts", 0, position) for position in (9, 10, 19, 20, 99)]
    assert found == [None, (10, b"ten"), (10, b"ten"), (20, b"twenty"), (20, b"twenty")]


def test_partitions_are_kept_apart():
    messages = [*write("counts", 1, 10, b"one"), *write("counts", 11, 10, b"eleven")]
    assert newest(log(messages), "counts", 1, 10) == (10, b"one")
    assert newest(log(messages), "counts", 11, 10) == (10, b"eleven")
    assert newest(log(messages), "counts", 0, 10) is None


@pytest.mark.parametrize("lost", range(3))
def test_a_torn_snapshot_is_passed_over(lost):
    torn = write("counts", 0, 20, BIG)
    del torn[lost]
    assert newest(log([*write("counts", 0, 10, b"ten"), *torn]), "counts", 0, 20) == (10, b"ten")


def test_a_chunk_that_is_not_what_was_written_is_passed_over():
    wrong = write("counts", 0, 20, b"twenty")
    wrong[0] = msgspec.structs.replace(wrong[0], value=b"tWenty")
    assert newest(log([*write("counts", 0, 10, b"ten"), *wrong]), "counts", 0, 20) == (10, b"ten")


def test_a_format_of_the_future_is_refused_with_the_remedy():
    *chunks, manifest = write("counts", 0, 20, b"twenty")
    future = {**msgspec.json.decode(manifest.value), "format": 99}
    manifest = msgspec.structs.replace(manifest, value=msgspec.json.encode(future))
    with pytest.raises(SnapshotError, match="format 99, this version reads 1"):
        newest(log([*chunks, manifest]), "counts", 0, 20)


MANIFEST = {"topic": "counts", "partition": 0, "position": 15, "chunks": 1, "sha256": "", "format": 1}


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (b"counts/0", b"", None),
        (b"counts/0", b"\xff{", None),
        (b"counts/0", b"[" * 100_000, None),
        (b"counts/0", b'{"hello":"world"}', None),
        (b"counts/0", msgspec.json.encode(MANIFEST), None),
        (b"counts/0", msgspec.json.encode(MANIFEST | {"chunks": 10**15}), None),
        (b"counts/0", msgspec.json.encode(MANIFEST | {"chunks": -1}), None),
        (b"counts/0", msgspec.json.encode(MANIFEST | {"position": 10**15, "format": 99}), None),
        (b"counts/0", msgspec.json.encode(MANIFEST | {"position": -3, "format": 99}), None),
        (b"counts/0/0", b"no position", None),
        (b"counts/0/0", b"null position", [("position", None)]),
        (b"counts/0/x", b"", [("position", b"10")]),
        (None, b"no key", None),
        (b"\xff", b"strange key", None),
    ],
)
def test_what_is_no_snapshot_is_passed_over(key, value, headers):
    strange = Publish("snapshots", value, key=key, headers=headers)
    assert newest(log([*write("counts", 0, 10, b"ten"), strange]), "counts", 0, 20) == (10, b"ten")
    assert newest(log([strange, *write("counts", 0, 10, b"ten")]), "counts", 0, 20) == (10, b"ten")


class Sum:
    """Adds numbers up."""

    def __init__(self) -> None:
        self.total = 0
        self.processed: list[int] = []

    def process(self, block: Block) -> Effects:
        self.processed += block.offsets
        self.total += sum(int(v) for v in block.values if v is not None)
        return Effects([Publish("reports", b"%d" % self.total)])

    def snapshot(self) -> bytes:
        return b"%d" % self.total

    def restore(self, snapshot: bytes) -> None:
        self.total = int(snapshot)


def test_a_stage_is_restored_by_its_snapshot_and_a_refold_of_what_came_after(cluster, eventually):
    producer = TransactionalProducer(cluster, "judge-0")
    producer.commit([], [Publish("counts", b"%d" % n, partition=0) for n in range(10)], None)
    step = Restored(cluster, lambda topic, partition: Sum(), interval_ms_max=0)
    step.assign("counts", 0, 0, "")
    (effects,) = step.process([Block.of("counts", 0, [b"%d" % n for n in range(6)])])
    assert [m.topic for m in effects.publish] == ["reports", "snapshots", "snapshots"]
    producer.commit([], effects.publish, None)
    producer.close()
    eventually(lambda: ranges.bounds(cluster, "snapshots")[0], (0, 3))

    again = Restored(cluster, lambda topic, partition: Sum())
    again.assign("counts", 0, 8, "")
    stage = again.stages["counts", 0]
    assert stage.total == sum(range(8))
    assert stage.processed == [6, 7]

    before = Restored(cluster, lambda topic, partition: Sum())
    before.assign("counts", 0, 3, "")  # older than the snapshot: processed from the start
    assert before.stages["counts", 0].processed == [0, 1, 2]
    before.revoke("counts", 0)
    assert before.stages == {}


@pytest.fixture
def trimmed(cluster):
    """`counts` with the numbers 0 to 9, of which retention has taken the first six."""
    producer = TransactionalProducer(cluster, "judge-0")
    producer.commit([], [Publish("counts", b"%d" % n, partition=0) for n in range(10)], None)
    where = ck.TopicPartition(cluster.topic("counts"), 0, 6)
    admin = cluster.admin()
    for done in admin.delete_records([where]).values():
        done.result(10)
    yield producer
    producer.close()


def summing(cluster, accept_gap=False):
    return Restored(cluster, lambda topic, partition: Sum(), interval_ms_max=10**9, accept_gap=accept_gap)


def test_no_judge_begins_empty_where_its_state_is_lost(cluster, trimmed):
    """Its snapshot is gone, or covers less than retention has taken: refused, with the remedy."""
    for position, memory in ((8, ""), (8, '{"since":0}'), (6, '{"since":0}')):
        with pytest.raises(StateLost, match=r"no snapshot.*offsets 0 to 5.*kafka\.accept_gap=true to begin at 6"):
            summing(cluster).assign("counts", 0, position, memory)
    trimmed.commit([], write("counts", 0, 4, b"6"), None)
    with pytest.raises(StateLost, match="covers what is before 4, and retention has taken offsets 4 to 5"):
        summing(cluster).assign("counts", 0, 8, '{"since":0}')
    accepting = summing(cluster, accept_gap=True)
    accepting.assign("counts", 0, 8, '{"since":0}')
    assert accepting.stages["counts", 0].total == 6 + 6 + 7  # the snapshot's, and what is left


def test_a_judge_that_began_behind_what_retention_took_has_lost_nothing(cluster, trimmed):
    step = summing(cluster)
    step.assign("counts", 0, 6, "")
    (effects,) = step.process([Block.of("counts", 0, [b"6", b"7"], first=6)])
    again = summing(cluster)
    again.assign("counts", 0, 8, effects.memory)
    assert again.stages["counts", 0].total == 13


def test_what_falls_silent_is_written_once_before_retention_takes_it(cluster, trimmed):
    step = summing(cluster)
    step.assign("counts", 0, 6, "")
    assert not step.idle("counts", 0).publish
    (effects,) = step.process([Block.of("counts", 0, [b"6", b"7"], first=6)])
    assert not effects.publish[1:]
    silent = step.idle("counts", 0)
    assert newest(log(silent.publish), "counts", 0, 8) == (8, b"13") and silent.memory == effects.memory
    assert not step.idle("counts", 0).publish


def test_a_restore_waits_for_what_is_away(cluster, trimmed):
    """Nothing is blamed, skipped or processed twice."""
    trimmed.commit([], write("counts", 0, 7, b"100"), None)
    made: list[Sum] = []

    class Needy(Sum):
        def process(self, block: Block) -> Effects:
            if len(made) < 3:
                raise Away("the registry is not mounted")
            return super().process(block)

    def make(topic: str, partition: int) -> Sum:
        made.append(Needy())
        return made[-1]

    step, awaited = Restored(cluster, make), []
    patiently(lambda: step.assign("counts", 0, 9, ""), awaited.append, lambda: False)  # as the assignment does
    assert awaited == ["the registry is not mounted"] * 2 + [""]
    assert step.stages["counts", 0] is made[2]
    assert made[2].total == 100 + 7 + 8
