"""Sees a client cancel or leave while its statement runs, which its own thread cannot: that one is in the engine."""

import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from drift.store.front.packets import FromClient

_LOOK_S = 0.2


class Watch:
    """One thread that looks at the sockets of all running statements.

    It peeks at the next byte and never takes it: nothing there any more means that the client left, a Cancel
    means what it says, and anything else is a client that is ahead of us.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, name="store-watch", daemon=True)
        self._thread.start()

    @contextmanager
    def over(self, connection: socket.socket, stop: Callable[[], None]) -> Iterator[None]:
        """Call `stop` if the client of this socket cancels or leaves while the body runs."""
        self._selector.register(connection, selectors.EVENT_READ, stop)
        try:
            yield
        finally:
            self._forget(connection)

    def close(self) -> None:
        """Stop looking."""
        self._stopping.set()
        self._thread.join()
        self._selector.close()

    def _look(self) -> None:
        while not self._stopping.is_set():
            unwanted = False
            for key, _ in self._selector.select(_LOOK_S):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                if _is_over(connection):
                    key.data()  # Again and again until the body ends: the first may come before the statement runs.
                    unwanted = True
                else:
                    self._forget(connection)
            if unwanted:
                self._stopping.wait(_LOOK_S)

    def _forget(self, connection: socket.socket) -> None:
        with suppress(KeyError, ValueError):  # The other of the two threads was first.
            self._selector.unregister(connection)


def _is_over(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) in (b"", bytes([FromClient.CANCEL]))
    except BlockingIOError:
        return False
    except OSError:
        return True
