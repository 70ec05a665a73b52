"""What a statement gives, on its way out: a header, then block after block."""

from collections.abc import Callable

from drift.store.server.blocks import Head, write_block
from drift.store.server.peer import Peer
from drift.store.server.wire import Reader

Columns = list[tuple[str, str]]


class Results:
    """Sends the engine's Native to a client and counts it.

    Parameters
    ----------
    full_types
        Finds the result's columns with their full types: the engine's Native leaves the time zone out of a DateTime.
    """

    def __init__(self, peer: Peer, full_types: Callable[[Columns], Columns]) -> None:
        self._peer = peer
        self._full_types = full_types
        self._types: list[str] = []
        self.rows = self.bytes = self.blocks = 0

    def send(self, result: bytes) -> None:
        """Send one or more blocks."""
        reader = Reader.over(result)
        while not reader.at_end():
            block, head = self._render(reader)
            if not self.blocks:
                if not self._types and (columns := self._full_types(head.columns)) != head.columns:
                    self._types = [type_name for _, type_name in columns]
                    return self.send(result)
                self._peer.send_header(head.columns)
            self._peer.send_block(block)
            self.rows += head.rows
            self.bytes += len(block)
            self.blocks += 1
        return None

    def _render(self, reader: Reader) -> tuple[bytes, Head]:
        pieces: list[bytes] = []
        head = write_block(reader, pieces.append, self._peer.revision, self._types)
        return b"".join(pieces), head
