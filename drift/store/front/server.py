"""The listener: a thread for each client, one engine for all."""

import logging
import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from drift.store.front import answers
from drift.store.front.engine import Engine
from drift.store.front.session import Limits, Session
from drift.store.front.watch import Watch

LOOPBACK = ("127.0.0.1", "::1", "localhost")
STOP_S_MAX = 10.0
_ACCEPT_AGAIN_S = 0.1
_TOO_MANY_CONNECTIONS = 202
_log = logging.getLogger(__name__)


class StoreServer:
    """Serves the ClickHouse native protocol over a directory that chdb owns.

    Parameters
    ----------
    folder
        Where the data lies; made if absent. One process owns it at a time.
    host, port
        Where to listen; port 0 takes a free one. Beyond loopback a password is demanded.
    password
        What clients must say, under any user's name; empty for none.

    Raises
    ------
    ValueError
        A host that others can reach, without a password.
    EngineError
        The directory does not open, or another store has it.
    OSError
        The port is taken.
    """

    def __init__(
        self,
        folder: str | Path,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        password: str = "",
        limits: Limits | None = None,
    ) -> None:
        if host not in LOOPBACK and not password:
            raise ValueError(f"the store would listen on {host} for everybody; set a password, or listen on 127.0.0.1")
        self._folder = Path(folder).absolute()
        self._wanted = (host, port)
        self._password = password
        self._limits = limits or Limits()
        self._threads: dict[threading.Thread, socket.socket] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def start(self) -> "StoreServer":
        """Open the directory and begin to accept clients."""
        self._listener = socket.create_server(self._wanted, backlog=128)
        try:
            self._engine = Engine(self._folder)
        except BaseException:
            self._listener.close()
            raise
        self._watch = Watch()
        self._accepting = threading.Thread(target=self._accept, name="store-accept", daemon=True)
        self._accepting.start()
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that clients connect to."""
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    def stop(self) -> None:
        """Close all connections, stop what they were doing, and close the directory."""
        self._stopping.set()
        _shut(self._listener)
        self._listener.close()
        self._accepting.join()
        with self._lock:
            sessions = dict(self._threads)
        for connection in sessions.values():
            _shut(connection)  # The watch sees it and kills the statement that runs.
        for thread in sessions:
            thread.join(STOP_S_MAX)
        self._watch.close()
        self._engine.close()

    def __enter__(self) -> "StoreServer":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if not self._stopping.wait(_ACCEPT_AGAIN_S):
                    _log.warning("a client could not be accepted: %s", error)
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            with self._lock:
                crowded = len(self._threads) >= self._limits.connections_max
            if crowded:
                _refuse(connection, self._limits.connections_max)
            else:
                self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        session = Session(connection, self._engine, self._watch, self._limits, self._password)

        def serve() -> None:
            try:
                session.run()
            finally:
                with self._lock:
                    del self._threads[threading.current_thread()]

        thread = threading.Thread(target=serve, name="store-session", daemon=True)
        with self._lock:
            self._threads[thread] = connection
        thread.start()


def _refuse(connection: socket.socket, connections_max: int) -> None:
    message = f"{connections_max} clients are connected, the most that are served; close some, or pool them"
    with connection, suppress(OSError):
        connection.sendall(answers.exception(_TOO_MANY_CONNECTIONS, message))
        connection.shutdown(socket.SHUT_RDWR)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # It may be shut already.
        connection.shutdown(socket.SHUT_RDWR)
