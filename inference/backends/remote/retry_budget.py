"""How many calls may be made again: a share of all, so that retries never drown a server that is overloaded."""

import threading

#: Retries are at most this share of the calls...
SHARE = 0.1
#: ...and no more than this many at once, however long all went well.
_SAVED_MAX = 10.0


class RetryBudget:
    """Counts calls and retries; may be called from any thread.

    >>> budget = RetryBudget()
    >>> for _ in range(10):
    ...     budget.earn()
    >>> budget.spend(), budget.spend()
    (True, False)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._saved = 0.0

    def earn(self) -> None:
        """Take note of a call."""
        with self._lock:
            self._saved = min(self._saved + SHARE, _SAVED_MAX)

    def spend(self) -> bool:
        """Whether a call may be made again now."""
        with self._lock:
            if self._saved < 1 - 1e-9:
                return False
            self._saved -= 1
            return True
