"""When a partition's silence is told, and told again: a consumer that is told where partitions end."""

from unittest.mock import Mock

import confluent_kafka as ck
import pytest

from streams.kafka.cluster import Cluster
from streams.runtime import assignment as module
from streams.runtime.assignment import Holdings
from streams.runtime.start_offsets import StartOffsets
from streams.wire.block import Block

IDLE, ASLEEP = 100, 500


class Topic:
    """A topic of two partitions, of which one member holds some; the other member's go on by themselves."""

    def __init__(self) -> None:
        self.ends = {0: 10, 1: 10}
        self.away = False

    def list_topics(self, name: str, timeout: float) -> Mock:
        if self.away:
            raise ck.KafkaException(ck.KafkaError(ck.KafkaError._TRANSPORT))
        return Mock(topics={name: Mock(partitions=self.ends)})

    def offsets_for_times(self, asked: list, timeout: float) -> list:
        return [Mock(error=None, offset=self.ends[one.partition]) for one in asked]

    def get_watermark_offsets(self, where: ck.TopicPartition, **_: object) -> tuple[int, int]:
        return 0, self.ends[where.partition]

    def position(self, places: list) -> list:
        return [Mock(offset=self.ends[place.partition]) for place in places]


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module, "ticks_ms", lambda: now[0])
    return now


def member(*partitions: int) -> Holdings:
    found = Holdings(Cluster(bootstrap="127.0.0.1:9"), "count", Mock(), StartOffsets(), Mock(), 0)
    found._next = {("observations", partition): 10 for partition in partitions}
    found._spoke = {place: module._Quiet(0) for place in found._next}
    return found


def told(holdings: Holdings, topic: Topic, blocks: tuple = ()) -> list[tuple[int, int]]:
    silent = holdings.fallen_silent(topic, blocks, (IDLE, ASLEEP))
    return [(one.partition, one.after_ms) for one in silent]


def test_each_length_is_told_once_while_everything_is_still(clock):
    holdings, topic, said = member(0, 1), Topic(), []
    for clock[0] in range(0, 5_000, 50):
        said += told(holdings, topic)
    assert sorted(said) == [(0, IDLE), (0, ASLEEP), (1, IDLE), (1, ASLEEP)]


def test_a_silence_is_told_again_while_others_go_on_those_of_other_members_too(clock):
    holdings, topic, said = member(1), Topic(), []
    for clock[0] in range(0, 1_000, 50):
        said += told(holdings, topic)
    topic.ends[0] += 1  # another member's
    for clock[0] in range(1_000, 1_200, 50):
        said += told(holdings, topic)
    assert said == [(1, IDLE), (1, ASLEEP), (1, ASLEEP)]
    for clock[0] in range(1_200, 3_000, 50):
        said += told(holdings, topic)
    assert len(said) == 3


def test_one_that_speaks_begins_anew(clock):
    holdings, topic = member(0), Topic()
    clock[0] = 101
    assert told(holdings, topic) == [(0, IDLE)]
    topic.ends[0] = 11
    assert told(holdings, topic, (Block.of("observations", 0, [b"x"], first=10),)) == []
    clock[0] = 190
    assert told(holdings, topic) == []
    clock[0] = 210
    assert told(holdings, topic) == [(0, IDLE)]


def test_a_broker_that_is_away_repeats_nothing(clock):
    holdings, topic = member(0), Topic()
    clock[0] = 101
    told(holdings, topic)
    topic.ends[1], topic.away = 20, True
    clock[0] = 300
    assert told(holdings, topic) == []
    topic.away, clock[0] = False, 450
    assert told(holdings, topic) == [(0, IDLE)]
