"""Redrive on a real broker: each letter is sent once, whoever dies, and whoever holds a transaction open."""

import subprocess
import sys
import threading
import time

import pytest

from streams.formats.envelope import REQUEST_BYTES_MAX
from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.redrive import Filter, Found, RedriveError, redrive
from streams.runtime.taken_again import taken_again
from streams.runtime.transactions import TransactionalProducer
from streams.wire.block import Block
from streams.wire.dead_letters import KEPT_WHOLE_BYTES_MAX, REDRIVEN_FROM, REDRIVES, dead_letter, mark
from streams.wire.effects import Publish
from streams.wire.refusals import Refusal

pytestmark = pytest.mark.system  # minutes: `make test-all`

NOW_MS = 1_800_000_000_000
EVERYTHING = Filter()


def refuse(
    cluster: Cluster,
    *records: bytes | None,
    reason="wrong_type",
    topic="requests",
    partition=1,
    headers=None,
    stage="score",
):
    """Make dead letters of records, as a stage does."""
    block = Block(
        topic,
        partition,
        range(40, 40 + len(records)),
        [7] * len(records),
        [b"k"] * len(records),
        records,
        [headers] * len(records),
    )
    transactional = TransactionalProducer(cluster, "refuser")
    transactional.commit(
        [], [dead_letter(block, Refusal(at, reason, "$", ""), stage) for at in range(len(records))], None
    )
    transactional.close()


def sent(cluster: Cluster, topic: str = "requests") -> list[bytes | None]:
    return [value for block in ranges.read_all(cluster, topic) for value in block.values]


def run(cluster: Cluster, which: Filter = EVERYTHING, **more):
    return redrive(cluster, which, NOW_MS, **more)


def test_a_letter_goes_back_whole_and_once(cluster, eventually):
    refuse(cluster, b"one", None, headers=[("traceparent", b"00-1")])
    assert (run(cluster, dry_run=True).sent, sent(cluster)) == (2, [])
    assert run(cluster).sent == 2
    eventually(lambda: sent(cluster), [b"one", None])
    (block,) = ranges.read_all(cluster, "requests")
    assert (block.partition, block.keys) == (1, [b"k", b"k"])
    assert block.headers[0] == [("traceparent", b"00-1"), (REDRIVEN_FROM, b"dead-letters/0/0"), (REDRIVES, b"1")]

    again = run(cluster)
    assert (again.sent, again.before) == (0, 2)
    assert sent(cluster) == [b"one", None]


def test_refused_again_it_is_a_new_letter_that_knows_its_past(cluster):
    refuse(cluster, b"one")
    run(cluster)
    (block,) = ranges.read_all(cluster, "requests")
    transactional = TransactionalProducer(cluster, "refuser")
    transactional.commit([], [dead_letter(block, Refusal(0, "wrong_type", "$", ""), "score")], None)
    transactional.close()
    assert (run(cluster).sent, run(cluster).sent) == (1, 0)
    (first, second) = [dict(headers) for block in ranges.read_all(cluster, "requests") for headers in block.headers]
    assert (first[REDRIVES], second[REDRIVES]) == (b"1", b"2")
    assert second[REDRIVEN_FROM] != first[REDRIVEN_FROM]


def test_the_filter_chooses(cluster, eventually):
    refuse(cluster, b"typed")
    refuse(cluster, b"early", reason="impossible_timestamp")
    refuse(cluster, b"label", reason="undecodable", topic="feedback")
    assert run(cluster, Filter(reason="nonesuch")).sent == 0
    assert run(cluster, Filter(topic="feedback")).sent == 1
    eventually(lambda: sent(cluster, "feedback"), [b"label"])
    assert run(cluster, Filter(stage="score", reason="impossible_timestamp")).sent == 1
    eventually(lambda: sent(cluster), [b"early"])
    assert run(cluster, Filter(end="0:1")).sent == 1
    assert sorted(sent(cluster)) == [b"early", b"typed"]
    assert run(cluster).before == 3


def test_what_was_cut_cannot_be_sent_and_is_named(cluster):
    refuse(cluster, b"small")
    refuse(cluster, b"x" * (KEPT_WHOLE_BYTES_MAX + 1), reason="oversize")
    refuse(cluster, b"x" * (REQUEST_BYTES_MAX + 1), reason="oversize")  # kept whole: it can be tried again
    done = run(cluster)
    (cut,) = [letter.place for letter in Found(cluster, EVERYTHING, NOW_MS) if letter.sha256]
    assert (done.sent, done.cut) == (2, [cut])


def test_a_predecessor_that_hangs_in_its_transaction_is_ended_and_leaves_nothing(cluster, eventually):
    refuse(cluster, b"one")
    (letter,) = Found(cluster, EVERYTHING, NOW_MS)
    hanging = cluster.producer("redrive")
    hanging.init_transactions(15)
    hanging.begin_transaction()
    hanging.produce(cluster.topic("requests"), b"one", partition=1)
    hanging.produce(cluster.topic("dead-letters"), None, partition=0, headers=mark(letter).headers)
    hanging.flush(15)
    assert run(cluster).sent == 1
    eventually(lambda: sent(cluster), [b"one"])


def test_a_mark_behind_somebodys_open_transaction_is_seen(cluster):
    refuse(cluster, b"one")
    (letter,) = Found(cluster, EVERYTHING, NOW_MS)
    stage = cluster.producer("worker-0")
    stage.init_transactions(15)
    stage.begin_transaction()
    stage.produce(cluster.topic("dead-letters"), b"not settled yet", partition=0)
    stage.flush(15)
    first = TransactionalProducer(cluster, "redrive")
    first.commit([], [Publish("requests", b"one", partition=1), mark(letter)], None)
    first.close()
    ending = threading.Timer(2.0, stage.abort_transaction)
    ending.start()
    done = run(cluster)
    ending.join()
    assert (done.sent, done.before) == (0, 1)


def test_a_younger_redrive_ends_the_older(cluster, eventually):
    refuse(cluster, *(b"%d" % n for n in range(6)))

    def told(so_far: int) -> None:
        if so_far == 2:
            assert run(cluster).sent == 4

    with pytest.raises(RedriveError, match="2 letters were sent"):
        run(cluster, on_progress=told, letters_max=1)
    eventually(lambda: sorted(sent(cluster)), [b"%d" % n for n in range(6)])


def test_killed_in_the_middle_and_run_again_each_is_sent_once(cluster, eventually):
    records = [b"%03d" % n for n in range(300)]
    refuse(cluster, *records)
    program = (
        "import sys; from streams.kafka.cluster import Cluster; from streams.redrive import Filter, redrive\n"
        "cluster = Cluster(bootstrap=sys.argv[1], prefix=sys.argv[2])\n"
        "redrive(cluster, Filter(), 0, letters_max=1, on_progress=lambda sent: print(sent, flush=True))"
    )
    command = [sys.executable, "-c", program, cluster.bootstrap, cluster.prefix]
    for until in (20, 40):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            deadline = time.monotonic() + 30
            while int(process.stdout.readline() or until) < until and time.monotonic() < deadline:
                pass
            process.kill()
    done = run(cluster)
    assert 0 < done.sent <= 240
    assert done.sent + done.before == 300
    eventually(lambda: sorted(sent(cluster)), records)


def test_what_the_sink_refused_goes_to_the_sink_alone_and_once(cluster, eventually):
    refuse(cluster, b"row", topic="outcomes", partition=0, stage="sink", headers=[("traceparent", b"00-1")])
    assert run(cluster, dry_run=True).sent == 1
    assert (run(cluster).sent, run(cluster).before) == (1, 1)
    eventually(lambda: len(sent(cluster, "dead-letters")), 3)  # the letter, what the sink takes again, and the mark
    (block,) = ranges.read_all(cluster, "dead-letters")
    ((places, again),) = taken_again(block)
    assert (places, again.offsets, again.times, again.keys, again.values) == ([1], [40], [7], [b"k"], [b"row"])
    assert (again.topic, again.partition) == ("outcomes", 0)
    assert again.headers == [[("traceparent", b"00-1"), (REDRIVEN_FROM, b"dead-letters/0/0"), (REDRIVES, b"1")]]
    assert sent(cluster, "outcomes") == []
    assert [letter.offset for letter in Found(cluster, EVERYTHING, NOW_MS)] == [0]


@pytest.mark.parametrize(
    ("topic", "stage"),
    [("counts", "judge"), ("observations", "count"), ("models", "sink"), ("models", "score"), ("dead-letters", "sink")],
)
def test_what_our_own_steps_wrote_is_not_written_again(cluster, topic, stage):
    """Another step has taken it; and of a letter that anybody wrote, nobody follows the topic."""
    refuse(cluster, b"ours", topic=topic, partition=0, stage=stage)
    done = run(cluster)
    assert (done.sent, done.ours) == (0, 1)
    assert topic == "dead-letters" or sent(cluster, topic) == []


def test_a_partition_that_is_no_longer_there_is_any_partition(cluster, eventually):
    refuse(cluster, b"one", partition=700)
    assert run(cluster).sent == 1
    eventually(lambda: sent(cluster), [b"one"])


@pytest.mark.parametrize("value", [b"", b"-1", b"three", b"9" * 5_000, b"\xff", None])
@pytest.mark.parametrize("name", ["driftline-redriven", "driftline-partition", "driftline-offset", REDRIVES])
def test_headers_that_anybody_wrote_stop_no_redrive(cluster, eventually, name, value):
    refuse(cluster, b"one", headers=[(REDRIVES, value or b"")])
    (letter,) = Found(cluster, EVERYTHING, NOW_MS)
    forged = dict(dead_letter(Block.of("requests", 0, [b"two"]), Refusal(0, "empty", "$", ""), "score").headers)
    producer = cluster.producer()
    producer.produce(cluster.topic("dead-letters"), b"two", headers=list((forged | {name: value}).items()), partition=0)
    assert producer.flush(15) == 0
    done = run(cluster)
    assert letter.redrives == 0
    assert done.sent == (2 if name == REDRIVES else 1)
    eventually(lambda: b"one" in sent(cluster), True)
