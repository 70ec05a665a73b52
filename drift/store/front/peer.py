"""The other end of a connection: packets and blocks out, packets and blocks in."""

import socket

from drift.store.front import answers, packets
from drift.store.front.blocks import Head, header, read_block
from drift.store.front.frames import LZ4, ZSTD, frame, read_frame
from drift.store.front.packets import FromClient, Hello, Query
from drift.store.front.wire import ProtocolError, Reader, Sink

RECEIVE_BYTES = 1 << 20


class Peer:
    """A client's socket, its revision, and whether the query at hand wants frames."""

    def __init__(self, connection: socket.socket, packet_s_max: float) -> None:
        self.socket = connection
        self.revision = packets.REVISION
        self._packet_s_max = packet_s_max
        self._reader = Reader(lambda: connection.recv(RECEIVE_BYTES))
        self._frames = 0  # Their method; 0 for none.

    def send(self, *answers: bytes) -> None:
        """Send packets."""
        self.socket.sendall(b"".join(answers))

    def send_block(self, block: bytes) -> None:
        """Send a block as a Data packet."""
        self.send(answers.data(frame(block, self._frames) if self._frames else block))

    def send_header(self, columns: list[tuple[str, str]]) -> None:
        """Say which columns come, or are wanted."""
        self.send_block(header(columns, self.revision))

    def hello(self) -> Hello:
        """Read who it is, and agree on a revision."""
        hello = packets.read_hello(self._reader)
        self.revision = min(hello.revision, packets.REVISION)
        return hello

    def welcome(self, version: str, timezone: str) -> None:
        """Say who we are, and hear the rest."""
        major, minor, patch = (int(part) for part in version.split(".")[:3])
        self.send(answers.hello(self.revision, (major, minor, patch), timezone))
        packets.read_addendum(self._reader, self.revision)

    def next_packet(self) -> int | None:
        """Wait for the next packet for as long as it takes and return its number; None when the client left.

        Once a packet has begun it must come in time.
        """
        self.socket.settimeout(None)
        gone = self._reader.at_end()
        self.socket.settimeout(self._packet_s_max)
        return None if gone else self._reader.varint()

    @property
    def cancels(self) -> bool:
        """Whether a Cancel has come right after the query, before anybody watched for it."""
        return self._reader.next_byte == FromClient.CANCEL

    def query(self) -> Query:
        """Read a query."""
        query = packets.read_query(self._reader, self.revision)
        method = next((s.value for s in query.settings if s.name == "network_compression_method"), "")
        self._frames = (ZSTD if method.upper() == "ZSTD" else LZ4) if query.compressed else 0
        return query

    def block(self, write: Sink) -> Head | None:
        """Read the next block of an insert and write it as the engine reads it; None when the client cancels."""
        packet = self._reader.varint()
        if packet == FromClient.CANCEL:
            return None
        if packet != FromClient.DATA:
            raise ProtocolError(f"packet {packet} came where Data (2) or Cancel (3) was due; reconnect")
        self._reader.text()  # The name of an external table.
        if not self._frames:
            return read_block(self._reader, self.revision, write)
        framed = Reader(lambda: read_frame(self._reader))
        head = read_block(framed, self.revision, write)
        if framed.pending:
            raise ProtocolError("a compressed frame is longer than its block; reconnect")
        return head

    def acknowledge_block(self) -> None:
        """Answer a block of an insert where the revision wants it: the driver waits for this."""
        if self.revision >= answers.PROFILE_EVENTS_IN_INSERT:
            self.send(answers.profile_events(header([], self.revision)))
