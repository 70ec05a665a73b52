"""One client: hello, then statement after statement until it leaves."""

import hashlib
import hmac
import logging
import socket
import time
from collections.abc import Mapping
from contextlib import closing, suppress

from drift.store.passwords import READER
from drift.store.server import answers
from drift.store.server.cancellation import Watch
from drift.store.server.engine import Engine, EngineConnection, EngineError
from drift.store.server.execute import Execution
from drift.store.server.layouts import UnsupportedType
from drift.store.server.limits import Limits
from drift.store.server.packets import FromClient, Hello
from drift.store.server.peer import Peer
from drift.store.server.statements import Statement, quoted_name
from drift.store.server.wire import Disconnected, ProtocolError, bounded

_NOT_IMPLEMENTED, _UNEXPECTED_PACKET, _AUTHENTICATION_FAILED = 48, 101, 516
_log = logging.getLogger(__name__)


class Session:
    """Serves one TCP connection from its thread, with a chdb connection of its own.

    Parameters
    ----------
    passwords
        By user; what is another's is refused.
    """

    def __init__(
        self, connection: socket.socket, engine: Engine, watch: Watch, limits: Limits, passwords: Mapping[str, str]
    ) -> None:
        self._peer = Peer(connection, limits)
        self._engine = engine
        self._watch = watch
        self._limits = limits
        self._passwords = passwords
        self._reader = False
        self.known = False  # whether the client has said its password
        self.idle_since: float | None = time.monotonic()  # of `time.monotonic`; None while it is at work

    def run(self) -> None:
        """Serve until the client leaves or says what cannot be understood; never raises."""
        try:
            with self._peer.socket:
                self._serve()
        except (Disconnected, OSError):
            pass  # Whatever it was doing is undone: an insert that is not whole is never made.
        except Exception:
            _log.exception("a store session ended by an error of ours")

    def shut(self) -> None:
        """End it from another thread: its own sees that, and the watch stops what it was doing."""
        with suppress(OSError):  # It may be shut already.
            self._peer.socket.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        try:
            hello = self._peer.hello()
            self._authenticate(hello)
            with closing(self._engine.connect(reader=self._reader)) as chdb:
                if hello.database:
                    self._use(chdb, hello.database)
                self._peer.welcome(self._engine.version, self._engine.timezone)
                while (packet := self._next_packet()) is not None:
                    self._answer(chdb, packet)
        except (ProtocolError, EngineError) as error:
            _log.warning("a store session was refused: %.500s", error)
            self._peer.send(answers.exception(getattr(error, "code", _UNEXPECTED_PACKET), str(error)))

    def _authenticate(self, hello: Hello) -> None:
        # Digests of one length: neither the time nor the answer tells a wrong user from a wrong password.
        given, right = (
            hashlib.sha256(f"{user}\0{password}".encode()).digest()
            for user, password in ((hello.user, hello.password), (hello.user, self._passwords.get(hello.user, "")))
        )
        if not hmac.compare_digest(given, right) or hello.user not in self._passwords:
            raise EngineError(
                _AUTHENTICATION_FAILED,
                f"{hello.user[:80]!r}: Authentication failed: password is incorrect, or there is no user with such "
                "name. The embedded store's passwords are in its folder, default.password and reader.password",
            )
        self._reader = hello.user == READER
        self.known = True

    def _use(self, chdb: EngineConnection, database: str) -> None:
        if self._reader:
            self._engine.allowed(f"USE {quoted_name(database)}", {}, reader=True)
        chdb.use(database)

    def _next_packet(self) -> int | None:
        self.idle_since = time.monotonic()
        packet = self._peer.next_packet()
        self.idle_since = None
        return packet

    def _answer(self, chdb: EngineConnection, packet: int) -> None:
        if packet == FromClient.PING:
            self._peer.send(answers.PONG)
        elif packet == FromClient.QUERY:
            self._query(chdb)
        elif packet != FromClient.CANCEL:  # That one came after the end of what it meant.
            raise ProtocolError(f"packet {packet} came where Query, Ping or Cancel was due; reconnect")

    def _query(self, chdb: EngineConnection) -> None:
        query = self._peer.query()
        try:
            self._refuse_external_tables()
            chdb.apply(query.settings, self._engine.settings)
            given = Statement(query.sql)
            head, rows = query.sql[: given.rows_at], query.sql[given.rows_at :] if given.rows_at else ""
            statement = Statement(self._engine.allowed(head, query.parameters, reader=self._reader))
            execution = Execution(self._peer, self._engine, chdb, self._watch, self._limits, reader=self._reader)
            if not (insert := statement.insert):
                execution.run(statement, query.parameters)
            elif rows:
                execution.insert_text(insert, rows)
            else:
                execution.insert(insert)
        except EngineError as error:
            self._peer.send(answers.exception(error.code, str(error)))
        except UnsupportedType as error:
            self._peer.send(answers.exception(_NOT_IMPLEMENTED, str(error)))

    def _refuse_external_tables(self) -> None:
        """Read the tables that come with every query, up to the empty one that ends them."""
        tables = 0
        nowhere = bounded(len, self._limits.insert_bytes_max)
        while (head := self._peer.block(nowhere)) is not None and head.columns:
            tables += 1
        if tables:
            raise EngineError(_NOT_IMPLEMENTED, "external tables do not travel to the embedded store; use a parameter")
