"""A breaker: an address that failed several times in a row is left alone for a while, then tried with one call."""

import threading

#: Failures in a row after which no call goes there.
FAILURES_MAX = 3
#: How long it is left alone at first; doubled after each trial that fails, up to the last.
PAUSE_MS_FIRST = 500
PAUSE_MS_MAX = 15_000


class Breaker:
    """The state of one address. Time comes in as an argument; may be called from any thread.

    ``closed`` lets every call through, ``open`` none, ``half-open`` one, by whose end it closes or opens again.

    >>> breaker = Breaker()
    >>> for _ in range(3):
    ...     breaker.fail(0, "connection refused")
    >>> breaker.state(499), breaker.admit(499), breaker.state(500)
    ('open', False, 'half-open')
    >>> breaker.admit(500), breaker.admit(500)  # one trial at a time
    (True, False)
    >>> breaker.fail(510, "connection refused")  # twice as long now
    >>> breaker.admit(1_509), breaker.admit(1_510)
    (False, True)
    >>> breaker.succeed()
    >>> breaker.state(1_510), breaker.why
    ('closed', '')
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._pause_ms = 0.0
        self._open_until_ms: float | None = None
        self._tried_until_ms: float | None = None
        #: The last failure; empty after a success.
        self.why = ""

    def state(self, now_ms: float) -> str:
        """Say ``closed``, ``open`` or ``half-open``."""
        if self._open_until_ms is None:
            return "closed"
        return "open" if now_ms < self._open_until_ms else "half-open"

    def admit(self, now_ms: float, call_ms_max: float = PAUSE_MS_MAX) -> bool:
        """Whether a call may go there now; one that is let through ends in `succeed` or `fail`.

        Parameters
        ----------
        call_ms_max
            How long the call takes at the most: a trial whose end is never told of holds up no other for longer.
        """
        with self._lock:
            state = self.state(now_ms)
            if state != "half-open":
                return state == "closed"
            if self._tried_until_ms is not None and now_ms < self._tried_until_ms:
                return False
            self._tried_until_ms = now_ms + call_ms_max
            return True

    def succeed(self) -> None:
        """Take note that a call was answered."""
        with self._lock:
            self._failures, self._pause_ms, self.why = 0, 0.0, ""
            self._open_until_ms = self._tried_until_ms = None

    def fail(self, now_ms: float, why: str) -> None:
        """Take note that a call failed."""
        with self._lock:
            self._failures += 1
            self.why = why
            self._tried_until_ms = None
            if self._failures >= FAILURES_MAX:
                self._pause_ms = min(2 * self._pause_ms or PAUSE_MS_FIRST, PAUSE_MS_MAX)
                self._open_until_ms = now_ms + self._pause_ms
