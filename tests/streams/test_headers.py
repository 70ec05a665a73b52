"""Headers as a client may send them, on a real broker: a null value is empty, whoever reads it."""

import pytest

from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.wire.block import Block
from streams.wire.dead_letters import REDRIVES, dead_letter, letters
from streams.wire.refusals import Refusal


def sent(cluster: Cluster, headers) -> Block:
    """A record with these headers, as it is read back."""
    producer = cluster.producer()
    producer.produce(cluster.topic("requests"), b"{", partition=0, headers=headers)
    assert producer.flush(15) == 0
    (block,) = ranges.read(cluster, "requests", 0, 0, ranges.bounds(cluster, "requests")[0][1])
    return block


@pytest.mark.parametrize(
    ("headers", "read"),
    [
        ([("traceparent", None)], [("traceparent", b"")]),
        ([("a", b"1"), ("b", None), ("a", b"")], [("a", b"1"), ("b", b""), ("a", b"")]),
        ([(REDRIVES, None)], [(REDRIVES, b"")]),
    ],
    ids=["one", "several", "ours"],
)
def test_a_null_header_is_empty_and_its_record_can_be_a_letter(cluster, headers, read):
    block = sent(cluster, headers)
    assert block.headers == [read]
    letter = dead_letter(block, Refusal(0, "undecodable", "$", "cut"), "score")
    (again,) = letters(Block("dead-letters", 0, [0], [0], [None], [letter.value], [letter.headers]))
    assert (again.redrives, again.source) == (0, "requests/0/0")
