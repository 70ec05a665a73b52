"""The turns in flight: who waits for room, and how long."""

import threading

from streams.clock import ticks_ms
from streams.turns import Turns


def test_room_is_waited_for_right_after_a_turn_was_handed_over():
    # Whoever gives up pauses its consumer and loses what it has prefetched: once that cost four fifths of the speed.
    turns = Turns(lambda offsets: None)
    turns.began()
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
