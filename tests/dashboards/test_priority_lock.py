"""Queries at the store: one at a time, and who asks again goes first."""

import threading
import time

from dashboards.page.priority_lock import AHEAD_MAX, PriorityLock


def _until(lock: PriorityLock, waiting: int) -> None:
    """Until so many threads wait."""
    deadline = time.monotonic() + 30
    while len(lock._changed._waiters) < waiting:  # type: ignore[attr-defined]
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_question_that_was_answered_before_goes_before_all_new_ones() -> None:
    lock, order = PriorityLock(), list[str]()

    def ask(name: str, again: bool) -> None:
        assert lock.acquire(again=again, timeout_s=30)
        order.append(name)
        lock.release()

    assert lock.acquire(again=False)
    threads = [threading.Thread(target=ask, args=(f"new {n}", False)) for n in range(10)]
    threads += [threading.Thread(target=ask, args=(f"again {n}", True)) for n in range(2)]
    for n, thread in enumerate(threads, 1):
        thread.start()
        _until(lock, n)
    lock.release()
    for thread in threads:
        thread.join(30)
    assert {*order[:2]} == {"again 0", "again 1"} and len(order) == 12


def test_whoever_gives_up_stands_in_nobodys_way() -> None:
    lock = PriorityLock()
    assert lock.acquire(again=False)
    assert not lock.acquire(again=True, timeout_s=0.01)
    lock.release()
    assert lock.acquire(again=False, timeout_s=0.01)


def test_a_new_question_has_its_turn_although_known_ones_never_end() -> None:
    lock, stop, turns = PriorityLock(), threading.Event(), list[str]()

    def ask_again() -> None:
        while not stop.is_set():
            assert lock.acquire(again=True, timeout_s=30)
            turns.append("again")
            lock.release()

    threads = [threading.Thread(target=ask_again) for _ in range(3)]
    assert lock.acquire(again=False)
    for n, thread in enumerate(threads, 1):
        thread.start()
        _until(lock, n)
    newcomer = threading.Thread(target=lambda: lock.acquire(again=False, timeout_s=30) and turns.append("new"))
    newcomer.start()
    _until(lock, 4)
    lock.release()
    newcomer.join(30)
    stop.set()
    assert turns[: AHEAD_MAX + 1] == ["again"] * AHEAD_MAX + ["new"]
    lock.release()
    for thread in threads:
        thread.join(30)
