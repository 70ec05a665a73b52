"""Sees a client cancel or leave while its statement runs, or the time run out; its own thread is in the engine."""

import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum

from drift.store.server.packets import FromClient

_LOOK_S = 0.2


class Over(Enum):
    """Why a statement is to stop."""

    CLIENT = "its client cancelled or left"
    TIME = "its time is over"


class _Watched:
    def __init__(self, connection: socket.socket, stop: Callable[[Over], None], deadline: float) -> None:
        self.connection = connection
        self.stop = stop
        self.deadline = deadline


class Watch:
    """One thread that looks at the sockets of all running statements.

    It peeks at the next byte and never takes it: nothing there any more means that the client left, a Cancel
    means what it says, and anything else is a client that is ahead of us.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._running: set[_Watched] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, name="store-watch", daemon=True)
        self._thread.start()

    @contextmanager
    def over(self, connection: socket.socket, stop: Callable[[Over], None], seconds: float) -> Iterator[None]:
        """Call `stop` if the client of this socket cancels or leaves, or `seconds` pass, while the body runs.

        It is called again and again until the body ends: the first call may come before the statement runs.

        Parameters
        ----------
        connection
            The client's socket; it is watched and not read.
        stop
            Is told why: the client cancelled or left, or time was up.
        seconds
            How long the body may run.
        """
        watched = _Watched(connection, stop, time.monotonic() + seconds)
        self._selector.register(connection, selectors.EVENT_READ, watched)
        self._running.add(watched)
        try:
            yield
        finally:
            self._running.discard(watched)
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
                watched: _Watched = key.data
                if _is_over(watched.connection):
                    watched.stop(Over.CLIENT)
                    unwanted = True
                else:
                    self._forget(watched.connection)
            now = time.monotonic()
            for watched in tuple(self._running):
                if now > watched.deadline:
                    watched.stop(Over.TIME)
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
