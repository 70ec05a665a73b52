"""Runs one statement for a client: results out block by block, or an insert's blocks in by way of a file."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from drift.store.front import packets
from drift.store.front.blocks import Head, write_block
from drift.store.front.columns import UnsupportedType, column
from drift.store.front.engine import Engine, EngineConnection, EngineError
from drift.store.front.peer import Peer
from drift.store.front.statements import Insert, Statement
from drift.store.front.watch import Watch
from drift.store.front.wire import ProtocolError, Reader

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
        select = sql if statement.streams else None
        rows = size = blocks = 0
        types: list[str] = []
        with self._stoppable() as tag, closing(self._results(tag + sql, statement.streams, parameters)) as results:
            for result in results:
                reader = Reader.over(result)
                while not reader.at_end():
                    block, head = self._block(reader, types)
                    if not blocks:
                        columns = self._true_columns(head.columns, select, parameters)
                        self._peer.send_header(columns)
                        if columns != head.columns:
                            types = [type_name for _, type_name in columns]
                            reader = Reader.over(result)
                            block, head = self._block(reader, types)
                    self._peer.send_block(block)
                    rows, size, blocks = rows + head.rows, size + len(block), blocks + 1
        if statement.streams and not blocks:  # No rows give no bytes, but clients want the names.
            self._peer.send_header(self._chdb.describe(sql, parameters))
        if statement.first_word == "USE":
            self._chdb.note_database()
        self._peer.send(
            packets.progress(self._peer.revision, read=(rows, size)),
            packets.profile_info(rows, blocks, size) if statement.streams else b"",
            packets.END_OF_STREAM,
        )

    def _block(self, reader: Reader, types: list[str]) -> tuple[bytes, Head]:
        pieces: list[bytes] = []
        head = write_block(reader, pieces.append, self._peer.revision, types)
        return b"".join(pieces), head

    def _true_columns(
        self, columns: list[tuple[str, str]], select: str | None, parameters: dict[str, str]
    ) -> list[tuple[str, str]]:
        """A SELECT's columns, with the time zone of a DateTime, which the engine's Native leaves out."""
        if select is not None and any(type_name == "DateTime" for _, type_name in columns):
            with closing(self._chdb.aside()) as other, suppress(EngineError):  # It sees no temporary tables.
                return other.describe(select, parameters)
        return columns

    def _results(self, sql: str, streams: bool, parameters: dict[str, str]) -> Generator[bytes, None, None]:
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
        self._peer.send(packets.progress(self._peer.revision, written=(rows, size)), packets.END_OF_STREAM)

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
