"""What is in flight: who waits for room, and how long; and that everything leaves once, by whatever way."""

import threading

import pytest

from streams.clock import ticks_ms
from streams.runtime.handover import HandOver


class Clock:
    """Time that stands until it is moved on."""

    def __init__(self) -> None:
        self.ms = 1_000.0

    def __call__(self) -> float:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def in_flight(clock: Clock) -> HandOver:
    return HandOver(lambda offsets: None, clock)


def test_room_is_waited_for_right_after_a_batch_was_handed_over():
    # Whoever gives up pauses its consumer and loses what it has prefetched: once that cost four fifths of the speed.
    in_flight = HandOver(lambda offsets: None)
    batch = in_flight.hand_over([])
    handed_ms = ticks_ms()
    threading.Timer(0.05, batch.__exit__).start()
    assert in_flight.wait_for_room(2, handed_ms, wait_s=10.0)


def test_a_batch_that_may_not_come_yet_is_waited_for_until_it_may():
    in_flight = HandOver(lambda offsets: None)
    began_ms = ticks_ms()
    assert in_flight.wait_for_room(2, began_ms + 30, wait_s=10.0)
    assert 30 <= ticks_ms() - began_ms < 5_000


def test_without_room_the_wait_ends():
    in_flight = HandOver(lambda offsets: None)
    in_flight.hand_over([])
    assert not in_flight.wait_for_room(1, ticks_ms(), wait_s=0.02)


def test_the_next_batch_is_read_just_in_time_to_be_processed_when_the_last_is_committed(in_flight, clock):
    def batch(process_ms: float, commit_ms: float) -> None:
        with in_flight.hand_over([]) as one:
            clock.ms += process_ms
            one.processed()
            one.committing()
            clock.ms += commit_ms

    def room(batches_max: int = 2) -> bool:
        return in_flight.wait_for_room(batches_max, 0.0, wait_s=0.0)

    batch(200, 300)
    with in_flight.hand_over([]) as one:
        assert not room()  # it is being processed
        one.committing()
        clock.ms += 99
        assert not room()
        clock.ms += 1
        assert room()  # it took 300 ms to commit, and 200 to process
    batch(100, 0)
    with in_flight.hand_over([]) as one:
        one.committing()
        assert room()  # commits in less time than it takes to process: at once
        with in_flight.hand_over([]):
            assert not room()  # two are in flight
            assert room(3)


def test_where_committing_takes_longest_the_next_batch_waits_for_it(in_flight, clock):
    with in_flight.hand_over([]) as one:
        one.processed()
        one.committing()
        clock.ms += 100
    with in_flight.hand_over([]) as one:
        one.committing()
        clock.ms += 300
        assert not in_flight.wait_for_room(2, 0.0, wait_s=0.0)
    assert in_flight.wait_for_room(2, 0.0, wait_s=0.0)


def test_while_one_computes_the_next_is_read_in_time_to_be_begun_when_it_is_over(in_flight, clock):
    def room(batches_max: int = 2) -> bool:
        return in_flight.wait_for_room(batches_max, 0.0, wait_s=0.0)

    with in_flight.hand_over([]) as first:
        clock.ms += 10
        assert not room()  # it is being begun
        first.prepared()
        first.computing()
        assert room()  # how long it computes is not known yet
        clock.ms += 100
        first.computed()
    with in_flight.hand_over([]) as one:
        clock.ms += 10
        one.prepared()
        clock.ms += 500  # the one before computes
        one.computing()
        clock.ms += 69
        assert not room()
        clock.ms += 1
        assert room()  # 80 of 100 ms, less the 10 that it takes to begin
        with in_flight.hand_over([]) as two:
            assert not room(), "the newest is begun, and does not compute"
            one.computed()
            two.prepared()
            two.computing()
            clock.ms += 100
            assert room(), "one more than two, while one computes"
            with in_flight.hand_over([]) as three:
                three.computing()
                clock.ms += 100
                assert not room()


def test_a_batch_leaves_once_by_whatever_way(in_flight):
    ways = [in_flight.hand_over([]) for _ in range(4)]
    with ways[0], ways[0]:
        pass
    with pytest.raises(ZeroDivisionError), ways[1]:
        1 / 0  # noqa: B018
    for _ in range(3):
        ways[2].__exit__()
    assert not in_flight.drain(0)
    with ways[3]:
        assert not in_flight.drain(0)
    assert in_flight.drain(0)


def test_what_was_handed_over_before_a_rewind_is_dropped(in_flight):
    with in_flight.hand_over([]) as before:
        assert not before.dropped
        before.rewind()
        assert before.dropped and in_flight.rewinding
        with in_flight.hand_over([], epoch=before.epoch) as read_before:
            assert read_before.dropped
        assert not in_flight.hand_over([]).dropped


def test_a_stage_that_begins_is_in_flight_like_a_batch(in_flight):
    with in_flight.begin():
        assert not in_flight.drain(0)
    assert in_flight.drain(0)
