"""Primitives of ClickHouse's native protocol: varints, texts and runs of bytes, read from any source of chunks."""

import struct
from collections.abc import Callable

TEXT_BYTES_MAX = 64 << 20
#: Of a name, a user's or a column's.
NAME_BYTES_MAX = 4096
_U64 = struct.Struct("<Q")

Pull = Callable[[], bytes]
Sink = Callable[[bytes], object]


class ProtocolError(Exception):
    """What came is not the native protocol, or goes past a limit; the connection cannot go on."""


class Disconnected(Exception):
    """The other side left."""


def bounded(write: Sink, bytes_max: int) -> Sink:
    """Make a sink that refuses what goes past a bound, before it takes it."""
    left = bytes_max

    def write_within(piece: bytes) -> None:
        nonlocal left
        left -= len(piece)
        if left < 0:
            raise ProtocolError(f"an insert of more than {bytes_max} bytes came; insert less at once")
        write(piece)

    return write_within


class Reader:
    """Reads from chunks that `pull` brings (an empty one is the end): a socket, frames, or one result.

    >>> chunks = iter([b"\\x05he", b"llo" + bytes([0xAC, 0x02]), b""])
    >>> reader = Reader(lambda: next(chunks))
    >>> reader.text(), reader.varint(), reader.at_end()
    ('hello', 300, True)
    """

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._chunk = b""
        self._at = 0

    @classmethod
    def over(cls, chunk: bytes) -> "Reader":
        """Read one chunk that is already here."""
        chunks = [chunk]
        return cls(lambda: chunks.pop() if chunks else b"")

    @property
    def pending(self) -> bool:
        """Whether bytes wait here that the source has already given."""
        return self._at < len(self._chunk)

    @property
    def next_byte(self) -> int | None:
        """The next byte, if it waits here; it is not taken."""
        return self._chunk[self._at] if self.pending else None

    def at_end(self) -> bool:
        """Whether the source is exhausted; may wait for it."""
        if not self.pending:
            self._chunk, self._at = self._pull(), 0
        return not self._chunk

    def copy(self, size: int, write: Sink) -> None:
        """Hand the next `size` bytes on, without holding them all."""
        if size < 0:
            raise ProtocolError(f"a run of {size} bytes came; is this a ClickHouse client?")
        while size:
            if not self.pending and self.at_end():
                raise Disconnected
            piece = self._chunk[self._at : self._at + size]
            self._at += len(piece)
            size -= len(piece)
            write(piece)

    def read(self, size: int) -> bytes:
        """Read exactly `size` bytes."""
        stop = self._at + size
        if stop <= len(self._chunk):
            piece = self._chunk[self._at : stop]
            self._at = stop
            return piece
        pieces: list[bytes] = []
        self.copy(size, pieces.append)
        return b"".join(pieces)

    def byte(self) -> int:
        """Read one byte."""
        return self.read(1)[0]

    def u64(self) -> int:
        """Read a little-endian 64-bit integer."""
        value: int = _U64.unpack(self.read(8))[0]
        return value

    def varint(self) -> int:
        """Read an unsigned LEB128 integer of at most 64 bits."""
        value = 0
        for shift in range(0, 64, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ProtocolError("a length of more than 64 bits came: not ClickHouse's native protocol")

    def text(self, bytes_max: int = TEXT_BYTES_MAX) -> str:
        """Read a length and that much UTF-8."""
        size = self.varint()
        if size > bytes_max:
            raise ProtocolError(f"a text of {size} bytes came, at most {bytes_max} are read here; send less at once")
        try:
            return self.read(size).decode()
        except UnicodeDecodeError as error:
            raise ProtocolError(f"a text came that is not UTF-8 ({error}); is this a ClickHouse client?") from error

    def copy_strings(self, rows: int, write: Sink) -> None:
        """Hand on `rows` strings, each after its length. The inner loop is the front's hottest."""
        while rows:
            chunk, start = self._chunk, self._at
            at, end = start, len(chunk)
            while rows and at < end:
                size = chunk[at]
                stop = at + 1 + size if size < 0x80 else _end_of_long_string(chunk, at)
                if stop > end:
                    break
                at = stop
                rows -= 1
            write(chunk[start:at])
            self._at = at
            if rows:  # One string lies across the chunk's end.
                size = self.varint()
                write(varint(size))
                self.copy(size, write)
                rows -= 1


def _end_of_long_string(chunk: bytes, at: int) -> int:
    """Where a string with a length of several bytes ends; past the chunk if its length is not all there."""
    size = shift = 0
    for n in range(at, min(at + 10, len(chunk))):
        size |= (chunk[n] & 0x7F) << shift
        if chunk[n] < 0x80:
            return n + 1 + size
        shift += 7
    return len(chunk) + 1


def varint(value: int) -> bytes:
    """Write an unsigned LEB128 integer.

    >>> varint(300).hex()
    'ac02'
    """
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(value: str) -> bytes:
    """Write a length and UTF-8."""
    body = value.encode()
    return varint(len(body)) + body


def u64(value: int) -> bytes:
    """Write a little-endian 64-bit integer."""
    return _U64.pack(value)
