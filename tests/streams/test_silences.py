"""When a partition's silence is told, and told again: a consumer that is told where partitions end."""

from unittest.mock import Mock

import confluent_kafka as ck
import pytest

from streams.kafka.cluster import Cluster
from streams.runtime.positions import Positions
from streams.runtime.silences import Silences
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


class Clock:
    """Time that stands until it is moved on."""

    def __init__(self) -> None:
        self.ms = 0.0

    def __call__(self) -> float:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


def member(clock: Clock, *partitions: int) -> Silences:
    positions = Positions(Cluster(bootstrap="127.0.0.1:9"))
    silences = Silences(positions, IDLE, (ASLEEP,), clock)
    places = [("observations", partition) for partition in partitions]
    positions.begin(dict.fromkeys(places, 10))
    silences.begin(places)
    return silences


def told(silences: Silences, topic: Topic, blocks: tuple = ()) -> list[tuple[int, int]]:
    silences._positions.handed_over(blocks)
    return [(one.partition, ASLEEP if one.asleep else IDLE) for one in silences.of(topic, blocks)]


def test_each_length_is_told_once_while_everything_is_still(clock):
    silences, topic, said = member(clock, 0, 1), Topic(), []
    for clock.ms in range(0, 5_000, 50):
        said += told(silences, topic)
    assert sorted(said) == [(0, IDLE), (0, ASLEEP), (1, IDLE), (1, ASLEEP)]


def test_a_silence_is_told_again_while_others_go_on_those_of_other_members_too(clock):
    silences, topic, said = member(clock, 1), Topic(), []
    for clock.ms in range(0, 1_000, 50):
        said += told(silences, topic)
    topic.ends[0] += 1  # another member's
    for clock.ms in range(1_000, 1_200, 50):
        said += told(silences, topic)
    assert said == [(1, IDLE), (1, ASLEEP), (1, ASLEEP)]
    for clock.ms in range(1_200, 3_000, 50):
        said += told(silences, topic)
    assert len(said) == 3


def test_one_that_speaks_begins_anew(clock):
    silences, topic = member(clock, 0), Topic()
    clock.ms = 101
    assert told(silences, topic) == [(0, IDLE)]
    topic.ends[0] = 11
    assert told(silences, topic, (Block.of("observations", 0, [b"x"], first=10),)) == []
    clock.ms = 190
    assert told(silences, topic) == []
    clock.ms = 210
    assert told(silences, topic) == [(0, IDLE)]


def test_a_broker_that_is_away_repeats_nothing(clock):
    silences, topic = member(clock, 0), Topic()
    clock.ms = 101
    told(silences, topic)
    topic.ends[1], topic.away = 20, True
    clock.ms = 300
    assert told(silences, topic) == []
    topic.away, clock.ms = False, 450
    assert told(silences, topic) == [(0, IDLE)]
