"""The listener: a thread for each client, one engine for all."""

import logging
import math
import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from drift.store.passwords import ensure_passwords
from drift.store.server import answers
from drift.store.server.cancellation import Watch
from drift.store.server.engine import Engine
from drift.store.server.limits import Limits
from drift.store.server.session import Session

STOP_S_MAX = 10.0
_ACCEPT_AGAIN_S = 0.1
_TOO_MANY_CONNECTIONS = 202
_log = logging.getLogger(__name__)


class StoreServer:
    """Serves the ClickHouse native protocol over a directory that chdb owns, to two users (`drift.store.passwords`).

    Parameters
    ----------
    folder
        Where the data lies; made if absent. One process owns it at a time.
    host, port
        Where to listen; port 0 takes a free one.
    limits
        How many clients, for how long, and how much of them.

    Raises
    ------
    ValueError
        The file of a password is empty.
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
        limits: Limits | None = None,
    ) -> None:
        self._folder = Path(folder).absolute()
        self._wanted = (host, port)
        self._limits = limits or Limits()
        self._sessions: dict[Session, threading.Thread] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def start(self) -> "StoreServer":
        """Open the directory and begin to accept clients."""
        self._passwords = ensure_passwords(self._folder)
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
            sessions = dict(self._sessions)
        for session in sessions:
            session.shut()
        for thread in sessions.values():
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
            if self._make_room():
                self._begin(connection)
            else:
                _refuse(connection, self._limits.connections_max)

    def _make_room(self) -> bool:
        """End the session that a newcomer takes the place of, where all places are taken; False if all are at work."""
        with self._lock:
            sessions = list(self._sessions)
        strangers = [session for session in sessions if not session.known]
        if len(strangers) >= self._limits.strangers_max:
            leaving = strangers
        elif len(sessions) >= self._limits.connections_max:
            leaving = strangers or [session for session in sessions if session.idle_since is not None]
        else:
            return True
        if leaving:
            session = min(leaving, key=lambda session: session.idle_since or math.inf)
            session.shut()
            self._forget(session)  # Now: its own thread does so when it sees it.
        return bool(leaving)

    def _forget(self, session: Session) -> None:
        with self._lock:
            self._sessions.pop(session, None)

    def _begin(self, connection: socket.socket) -> None:
        session = Session(connection, self._engine, self._watch, self._limits, self._passwords)

        def serve() -> None:
            try:
                session.run()
            finally:
                self._forget(session)

        thread = threading.Thread(target=serve, name="store-session", daemon=True)
        with self._lock:
            self._sessions[session] = thread
        thread.start()


def _refuse(connection: socket.socket, connections_max: int) -> None:
    message = f"{connections_max} clients are connected, the most that are served; close some, or pool them"
    with connection, suppress(OSError):
        connection.sendall(answers.exception(_TOO_MANY_CONNECTIONS, message))
        connection.shutdown(socket.SHUT_RDWR)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # It may be shut already.
        connection.shutdown(socket.SHUT_RDWR)
