"""One client: hello, then statement after statement until it leaves."""

import hmac
import logging
import socket
from contextlib import closing

import msgspec

from drift.store.front import answers
from drift.store.front.engine import Engine, EngineConnection, EngineError
from drift.store.front.execute import Execution
from drift.store.front.layouts import UnsupportedType
from drift.store.front.packets import FromClient
from drift.store.front.peer import Peer
from drift.store.front.statements import Statement
from drift.store.front.watch import Watch
from drift.store.front.wire import Disconnected, ProtocolError

_NOT_IMPLEMENTED, _UNEXPECTED_PACKET, _AUTHENTICATION_FAILED = 48, 101, 516
_log = logging.getLogger(__name__)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the front; past one of them a client is refused by name."""

    connections_max: int = 256
    hello_s_max: float = 10.0
    packet_s_max: float = 300.0
    insert_bytes_max: int = 4 << 30


class Session:
    """Serves one TCP connection from its thread, with a chdb connection of its own."""

    def __init__(self, connection: socket.socket, engine: Engine, watch: Watch, limits: Limits, password: str) -> None:
        self._peer = Peer(connection, limits.packet_s_max)
        self._engine = engine
        self._watch = watch
        self._limits = limits
        self._password = password

    def run(self) -> None:
        """Serve until the client leaves or says what cannot be understood; never raises."""
        try:
            with self._peer.socket:
                self._serve()
        except (Disconnected, OSError):
            pass  # Whatever it was doing is undone: an insert that is not whole is never made.
        except Exception:
            _log.exception("a store session ended by an error of ours")

    def _serve(self) -> None:
        try:
            self._peer.socket.settimeout(self._limits.hello_s_max)
            hello = self._peer.hello()
            if not hmac.compare_digest(hello.password.encode(), self._password.encode()):
                raise EngineError(_AUTHENTICATION_FAILED, f"{hello.user}: Authentication failed: wrong password")
            with closing(self._engine.connect()) as chdb:
                if hello.database:
                    chdb.use(hello.database)
                self._peer.welcome(self._engine.version, self._engine.timezone)
                while (packet := self._peer.next_packet()) is not None:
                    self._answer(chdb, packet)
        except (ProtocolError, EngineError) as error:
            _log.warning("a store session was refused: %s", error)
            self._peer.send(answers.exception(getattr(error, "code", _UNEXPECTED_PACKET), str(error)))

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
            statement = Statement(query.sql)
            if why := statement.refusal:
                raise EngineError(_NOT_IMPLEMENTED, why)
            chdb.apply(query.settings, self._engine.settings)
            execution = Execution(self._peer, self._engine, chdb, self._watch)
            if insert := statement.insert:
                execution.insert(insert, self._limits.insert_bytes_max)
            else:
                execution.run(statement, query.parameters)
        except EngineError as error:
            self._peer.send(answers.exception(error.code, str(error)))
        except UnsupportedType as error:
            self._peer.send(answers.exception(_NOT_IMPLEMENTED, str(error)))

    def _refuse_external_tables(self) -> None:
        """Read the tables that come with every query, up to the empty one that ends them."""
        tables = 0
        while (head := self._peer.block(len)) is not None and head.columns:
            tables += 1
        if tables:
            raise EngineError(_NOT_IMPLEMENTED, "external tables do not travel to the embedded store; use a parameter")
