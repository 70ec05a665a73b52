"""The turns in flight: who waits for room, and how long."""

import threading
import time

from streams.clock import ticks_ms
from streams.runtime.handover import Turns


def test_room_is_waited_for_right_after_a_turn_was_handed_over():
    # Whoever gives up pauses its consumer and loses what it has prefetched: once that cost four fifths of the speed.
    turns = Turns(lambda offsets: None)
    turns.began()
    handed_ms = ticks_ms()
    threading.Timer(0.05, turns.done).start()
    assert turns.wait_for_room(2, handed_ms, wait_s=10.0)


def test_a_turn_that_may_not_come_yet_is_waited_for_until_it_may():
    turns = Turns(lambda offsets: None)
    began_ms = ticks_ms()
    assert turns.wait_for_room(2, began_ms + 30, wait_s=10.0)
    assert 30 <= ticks_ms() - began_ms < 5_000


def test_without_room_the_wait_ends():
    turns = Turns(lambda offsets: None)
    turns.began()
    assert not turns.wait_for_room(1, ticks_ms(), wait_s=0.02)


def test_the_next_turn_is_read_just_in_time_to_be_folded_when_the_last_has_settled():
    turns = Turns(lambda offsets: None)

    def turn(fold_s: float, settle_s: float) -> None:
        turns.began()
        time.sleep(fold_s)
        turns.folded()
        turns.settling()
        time.sleep(settle_s)
        turns.done()

    turn(0.2, 0.3)
    turns.began()
    assert not turns.wait_for_room(2, 0.0, wait_s=0.05)  # it is being folded
    turns.settling()
    began_ms = ticks_ms()
    assert turns.wait_for_room(2, 0.0, wait_s=10.0)
    assert 60 < ticks_ms() - began_ms < 5_000  # it took 300 ms to settle, and 200 to fold
    turns.done()
    turn(0.1, 0.0)
    turns.began()
    turns.settling()
    assert turns.wait_for_room(2, 0.0, wait_s=0.0)  # settles in less time than it takes to fold: at once
    turns.began()
    assert not turns.wait_for_room(2, 0.0, wait_s=0.05)  # two are in flight


def test_where_settling_takes_longest_the_next_turn_waits_for_it():
    turns = Turns(lambda offsets: None)
    turns.began()
    turns.folded()
    turns.settling()
    time.sleep(0.1)
    turns.done()
    turns.began()
    turns.settling()
    assert not turns.wait_for_room(2, 0.0, wait_s=0.3)
    turns.done()
    assert turns.wait_for_room(2, 0.0, wait_s=0.0)
