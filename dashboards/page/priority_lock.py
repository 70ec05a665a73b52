"""Whose query runs next: one at a time, and a question that was answered before goes before a new one.

A hostile or careless client asks ever new questions; a reader's open page asks the same ones again. The page stays
quick for the reader however many newcomers wait. Where known questions alone keep the store busy, a newcomer still gets
its turn after `AHEAD_MAX` of them.
"""

import threading

#: Known questions that go, one after the other, before a new one that waits.
AHEAD_MAX = 8


class PriorityLock:
    """A lock with two classes of waiters.

    >>> lock = PriorityLock()
    >>> lock.acquire(again=False, timeout_s=1), lock.acquire(again=True, timeout_s=0.01)
    (True, False)
    >>> lock.release()
    >>> lock.acquire(again=True, timeout_s=1)
    True
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = False
        self._waiting = {True: 0, False: 0}  # by `again`
        self._ahead = 0

    def acquire(self, *, again: bool, timeout_s: float | None = None) -> bool:
        """Wait for the lock.

        Parameters
        ----------
        again
            The question was answered before: it goes before new ones.
        timeout_s
            Give up after this; None waits for ever.

        Returns
        -------
        bool
            Whether the caller has the lock, and must `release` it.
        """
        with self._changed:
            self._waiting[again] += 1
            try:
                free = self._changed.wait_for(lambda: not self._taken and self._may_take(again), timeout_s)
            finally:
                self._waiting[again] -= 1
            if free:
                self._taken = True
                self._ahead = self._ahead + bool(self._waiting[False]) if again else 0
            # Whoever gives up found the lock taken, or it was the other class's turn: a release wakes all who wait.
            return free

    def _may_take(self, again: bool) -> bool:
        if self._ahead >= AHEAD_MAX and self._waiting[False]:
            return not again
        return again or not self._waiting[True]

    def release(self) -> None:
        """Give the lock back."""
        with self._changed:
            self._taken = False
            self._changed.notify_all()
