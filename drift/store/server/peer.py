"""The other end of a connection: packets and blocks out, packets and blocks in."""

import socket
import time

from drift.store.server import answers, packets
from drift.store.server.blocks import Head, header, read_block
from drift.store.server.frames import LZ4, ZSTD, frame, read_frame
from drift.store.server.limits import Limits
from drift.store.server.packets import FromClient, Hello, Query
from drift.store.server.wire import NAME_BYTES_MAX, ProtocolError, Reader, Sink

RECEIVE_BYTES = 1 << 20


class Peer:
    """A client's socket, its revision, and whether the query at hand wants frames."""

    def __init__(self, connection: socket.socket, limits: Limits) -> None:
        self.socket = connection
        self.revision = packets.REVISION
        self._limits = limits
        self._reader = Reader(self._receive)
        self._frames = 0  # Their method; 0 for none.
        self.expect_within(limits.hello_s_max)

    def expect_within(self, seconds: float) -> None:
        """Let what comes next take so long, all of it: bytes that trickle in win no more time."""
        self._deadline = time.monotonic() + seconds

    def _receive(self) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("a client took too long to send what it had begun")
        self.socket.settimeout(min(left, self._limits.packet_s_max))
        return self.socket.recv(RECEIVE_BYTES)

    def send(self, *answers: bytes) -> None:
        """Send packets."""
        self.socket.settimeout(self._limits.packet_s_max)
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
        """Wait for the next packet and return its number; None when the client left or was idle for too long.

        Once a packet has begun it must come in time.
        """
        try:
            if not self._reader.pending:
                self.socket.settimeout(self._limits.idle_s_max)
                self.socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return None
        self.expect_within(self._limits.packet_s_max)
        return None if self._reader.at_end() else self._reader.varint()

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
        self._reader.text(NAME_BYTES_MAX)  # The name of an external table.
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
