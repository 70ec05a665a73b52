"""Whose query runs next: one at a time, and a question that was answered before goes before a new one.

A hostile or careless client asks ever new questions; a reader's open page asks the same ones again. The page stays
quick for the reader however many newcomers wait.
"""

import threading


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
        self._again = 0

    def acquire(self, *, again: bool, timeout_s: float | None = None) -> bool:
        """Wait for the lock.

        Parameters
        ----------
        again
            The question was answered before: it goes before all others.
        timeout_s
            Give up after this; None waits for ever.

        Returns
        -------
        bool
            Whether the caller has the lock, and must `release` it.
        """
        with self._changed:
            self._again += again
            try:
                free = self._changed.wait_for(lambda: not self._taken and (again or not self._again), timeout_s)
            finally:
                self._again -= again
            # Whoever gives up found the lock taken: its `release` wakes the others.
            self._taken = self._taken or free
            return free

    def release(self) -> None:
        """Give the lock back."""
        with self._changed:
            self._taken = False
            self._changed.notify_all()
