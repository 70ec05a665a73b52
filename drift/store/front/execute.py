"""Runs one statement for a client: results out block by block, or an insert's blocks in by way of a file."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from drift.store.front import answers
from drift.store.front.columns import column
from drift.store.front.engine import Engine, EngineConnection, EngineError
from drift.store.front.layouts import UnsupportedType
from drift.store.front.peer import Peer
from drift.store.front.results import Columns, Results
from drift.store.front.statements import Insert, Statement
from drift.store.front.watch import Watch
from drift.store.front.wire import ProtocolError

_CANCELLED = 394


class Execution:
    """One statement at a time; a client that cancels or leaves stops it."""

    def __init__(self, peer: Peer, engine: Engine, chdb: EngineConnection, watch: Watch) -> None:
        self._peer = peer
        self._engine = engine
        self._chdb = chdb
        self._watch = watch

    def run(self, statement: Statement, parameters: dict[str, str]) -> None:
        """Run any statement but an insert of blocks, and send what it gives."""
        sql = statement.without_format
        results = Results(self._peer, lambda columns: self._full_types(columns, statement, parameters))
        with self._stoppable() as tag, closing(self._engine_results(tag + sql, statement.streams, parameters)) as given:
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

    def insert(self, insert: Insert, bytes_max: int) -> None:
        """Gather a client's blocks in a file, then insert it whole: one part, or an error and nothing."""
        wanted = self._chdb.describe(insert.select)
        for _, type_name in wanted:
            column(type_name)  # Refused now, while the client has sent nothing.
        self._peer.send_header(wanted)
        spool = self._engine.spool / f"{self._engine.number()}.native"
        try:
            rows, size = self._gather(spool, bytes_max)
            if rows:
                with self._stoppable() as tag:
                    self._chdb.run(tag + insert.from_file(spool))
        finally:
            spool.unlink(missing_ok=True)
        self._peer.send(answers.progress(self._peer.revision, written=(rows, size)), answers.END_OF_STREAM)

    def _gather(self, spool: Path, bytes_max: int) -> tuple[int, int]:
        rows = 0
        with spool.open("wb") as file:
            try:
                while (head := self._peer.block(file.write)) is not None:
                    self._peer.acknowledge_block()
                    if not head.columns:
                        return rows, file.tell()
                    rows += head.rows
                    if file.tell() > bytes_max:
                        raise ProtocolError(f"an insert of more than {bytes_max} bytes came; insert less at once")
            except UnsupportedType as error:  # Where the next packet begins is unknown now.
                raise ProtocolError(str(error)) from error
        return 0, 0  # Cancelled.

    @contextmanager
    def _stoppable(self) -> Iterator[str]:
        """Give the comment that marks the statement in the engine, and stop it when its client does not want it."""
        tag = f"/* driftline {self._engine.number()} */ "
        cancelled = False

        def stop() -> None:
            nonlocal cancelled
            cancelled = True
            self._engine.kill(tag)

        try:
            with self._watch.over(self._peer.socket, stop):
                yield tag if not self._peer.cancels else "/* cancelled */ SELECT 1 WHERE 0 -- "
        except EngineError as error:
            if not (cancelled and error.code == _CANCELLED):
                raise
