"""Runs one statement for a client: results out block by block, or an insert's blocks in by way of a file."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from drift.store.server import answers
from drift.store.server.cancellation import Over, Watch
from drift.store.server.columns import column
from drift.store.server.engine import Engine, EngineConnection, EngineError
from drift.store.server.layouts import UnsupportedType
from drift.store.server.limits import Limits
from drift.store.server.peer import Peer
from drift.store.server.results import Columns, Results
from drift.store.server.statements import Insert, Statement
from drift.store.server.wire import ProtocolError, Sink, bounded

_CANCELLED, _TIMEOUT_EXCEEDED = 394, 159
#: Runs in place of a statement that was cancelled before it began.
_NOTHING = "SELECT 1 WHERE 0"


class Execution:
    """One statement at a time; a client that cancels or leaves stops it."""

    def __init__(
        self, peer: Peer, engine: Engine, chdb: EngineConnection, watch: Watch, limits: Limits, *, reader: bool
    ) -> None:
        self._limits = limits
        self._seconds = limits.reader_statement_s_max if reader else limits.statement_s_max
        self._peer = peer
        self._engine = engine
        self._chdb = chdb
        self._watch = watch

    def run(self, statement: Statement, parameters: dict[str, str]) -> None:
        """Run any statement but an insert of blocks, and send what it gives."""
        sql = statement.without_format
        results = Results(self._peer, lambda columns: self._full_types(columns, statement, parameters))
        with (
            self._stoppable() as marked,
            closing(self._engine_results(marked(sql), statement.streams, parameters)) as given,
        ):
            for piece in given:
                results.send(piece)
        if statement.gives_rows and not results.blocks:  # No rows give no bytes, but clients want the names.
            columns_of = self._chdb.describe if statement.streams else self._chdb.meta
            self._peer.send_header(columns_of(sql, parameters))
        if statement.first_word == "USE":
            self._chdb.note_database()
        self._peer.send(
            answers.progress(self._peer.revision, read=(results.rows, results.bytes)),
            answers.profile_info(results.rows, results.blocks, results.bytes) if statement.gives_rows else b"",
            answers.END_OF_STREAM,
        )

    def _full_types(self, columns: Columns, statement: Statement, parameters: dict[str, str]) -> Columns:
        if statement.streams and any(type_name == "DateTime" for _, type_name in columns):
            with closing(self._chdb.aside()) as other, suppress(EngineError):  # It sees no temporary tables.
                return other.describe(statement.without_format, parameters)
        return columns

    def _engine_results(self, sql: str, streams: bool, parameters: dict[str, str]) -> Generator[bytes, None, None]:
        if streams:
            yield from self._chdb.stream(sql, parameters)
        else:
            yield self._chdb.run(sql, parameters)

    def insert(self, insert: Insert) -> None:
        """Gather a client's blocks in a file, then insert it whole: one part, or an error and nothing."""
        wanted = self._chdb.describe(insert.select)
        for _, type_name in wanted:
            column(type_name)  # Refused now, while the client has sent nothing.
        self._peer.send_header(wanted)
        self._peer.expect_within(self._limits.insert_s_max)
        with self._spool() as (path, file):
            rows = self._gather(bounded(file.write, self._limits.insert_bytes_max))
            size = file.tell()
            file.close()
            if rows:
                self._insert_file(insert._replace(format="Native"), path)
        self._peer.send(answers.progress(self._peer.revision, written=(rows, size)), answers.END_OF_STREAM)

    def insert_text(self, insert: Insert, rows: str) -> None:
        """Insert rows that stood in the statement: as a file too, so that nothing in them is read as a statement."""
        with self._spool() as (path, file):
            file.write(rows.encode())
            file.close()
            self._insert_file(insert, path)
        self._peer.send(answers.progress(self._peer.revision), answers.END_OF_STREAM)

    @contextmanager
    def _spool(self) -> Iterator[tuple[Path, BinaryIO]]:
        path = self._engine.spool / f"{self._engine.number()}.native"
        try:
            with path.open("wb") as file:
                yield path, file
        finally:
            path.unlink(missing_ok=True)

    def _insert_file(self, insert: Insert, path: Path) -> None:
        with self._stoppable() as marked:
            try:
                self._chdb.run(marked(insert.from_file(path)))
            except EngineError as error:  # Where the rows lie meanwhile is no client's concern.
                raise EngineError(error.code, str(error).replace(str(path), "the rows")) from None

    def _gather(self, write: Sink) -> int:
        rows = 0
        try:
            while (head := self._peer.block(write)) is not None:
                self._peer.acknowledge_block()
                if not head.columns:
                    return rows
                rows += head.rows
        except UnsupportedType as error:  # Where the next packet begins is unknown now.
            raise ProtocolError(str(error)) from error
        return 0  # Cancelled.

    @contextmanager
    def _stoppable(self) -> Iterator[Callable[[str], str]]:
        """Give what marks a statement for the engine, which is stopped when its client does not want it any more."""
        tag = f"/* driftline {self._engine.number()} */ "
        stopped: list[Over] = []

        def stop(why: Over) -> None:
            stopped.append(why)
            with suppress(EngineError):  # It is called again.
                self._engine.kill(tag)

        try:
            with self._watch.over(self._peer.socket, stop, self._seconds):
                cancelled = self._peer.cancels
                yield lambda sql: _NOTHING if cancelled else tag + sql
        except EngineError as error:
            if not (stopped and error.code == _CANCELLED):
                raise
            if stopped[0] is Over.TIME:
                raise EngineError(
                    _TIMEOUT_EXCEEDED, f"the statement took longer than {self._seconds:g} s and was stopped; ask less"
                ) from None
