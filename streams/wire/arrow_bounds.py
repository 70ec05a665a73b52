"""Arrow's IPC read within bounds: what a message unpacks to is known before it is unpacked.

900 kB can claim to be rows without number (a column of nulls takes no bytes), terabytes of zeros under zstd, or, in a
file, one batch that its footer names a thousand times. So a file is read as the stream that it begins with, without
its footer; sizes are added up from the messages' own headers; and nothing is joined or counted that was not validated.
"""

import hashlib
from collections.abc import Iterator

import pyarrow as pa

from streams.wire.message_limits import BYTES_MAX, ROWS_MAX
from streams.wire.refusals import Refused

#: Columns of one message by name; at least one, all of one length.
Columns = dict[str, pa.ChunkedArray]

#: Bytes that one message may unpack to, and that the texts of one of its columns may have together.
UNPACKED_BYTES_MAX = 67_108_864

_FILE = b"ARROW1\0\0"


def read(value: bytes | None) -> Columns:
    """Read one message.

    Raises
    ------
    Refused
        It is no Arrow, too large, or holds no row.
    """
    if not value:
        raise Refused("empty", "$", "the record has no value")
    table = read_table(value, BYTES_MAX, UNPACKED_BYTES_MAX, ROWS_MAX)
    names: list[str] = table.column_names
    if not (table.num_rows and names):
        raise Refused("empty", "$", "the message has no row, or no column")
    if len(set(names)) < len(names):
        twice = min(name for name in names if names.count(name) > 1)
        raise Refused("undecodable", "$", f"two columns have the name {twice!r}")
    return dict(zip(names, table.columns, strict=True))


def read_table(value: bytes, bytes_max: int, unpacked_bytes_max: int, rows_max: int) -> pa.Table:
    """Read a stream, or the stream that a file begins with; it may have no row and no column.

    Parameters
    ----------
    value
        The bytes; they may be anybody's.
    bytes_max, unpacked_bytes_max, rows_max
        The most bytes that are looked at, the most that they may unpack to, and the most rows.

    Raises
    ------
    Refused
        It is no Arrow, or too large; `undecodable` or `oversize`.
    """
    if len(value) > bytes_max:
        raise Refused("oversize", "$", f"{len(value)} bytes, at most {bytes_max} are read")
    stream = _stream(value)
    try:
        if (size := unpacked_bytes(stream)) > unpacked_bytes_max:
            raise Refused("oversize", "$", f"it unpacks to {size} bytes, at most {unpacked_bytes_max} are read")
        with pa.ipc.open_stream(stream) as reader:
            table = pa.Table.from_batches(_validated(reader, rows_max), reader.schema)
        _ = table.column_names  # Decoded only when asked for, and a name may be no UTF-8.
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise Refused("undecodable", "$", f"no Arrow: {error}") from None
    return table


def rows_claimed(value: bytes) -> int:
    """How many rows a message says that it holds, without reading them; 0 where that cannot be told.

    >>> sink = pa.BufferOutputStream()
    >>> with pa.ipc.new_stream(sink, pa.schema({"age": pa.null()})) as writer:
    ...     writer.write_batch(pa.record_batch({"age": pa.nulls(9_000)}))
    >>> rows_claimed(sink.getvalue().to_pybytes()), rows_claimed(b"no Arrow")
    (9000, 0)
    """
    try:
        return sum(map(_rows, pa.ipc.MessageReader.open_stream(_stream(value))))
    except (pa.ArrowException, OSError, ValueError, MemoryError):
        return 0


def _stream(value: bytes) -> pa.Buffer:
    return pa.py_buffer(value)[len(_FILE) if value.startswith(_FILE) else 0 :]


def _validated(reader: pa.RecordBatchStreamReader, rows_max: int) -> Iterator[pa.RecordBatch]:
    rows = 0
    for batch in reader:
        rows += batch.num_rows
        if rows > rows_max:
            raise Refused("oversize", "$", f"at least {rows} rows, at most {rows_max} are read")
        batch.validate(full=True)  # else a strange offset is read outside of the buffers
        yield batch


# Where Arrow's flatbuffers (Message.fbs) keep what we ask for: the slots of their tables.
_MESSAGE_HEADER, _DICTIONARY_BATCH, _BATCH_ROWS, _BATCH_BUFFERS, _BATCH_COMPRESSION = 2, 1, 0, 2, 3


def _rows(message: pa.ipc.Message) -> int:
    if message.type != "record batch":
        return 0
    flat = _Flat(message.metadata)
    return flat.long(flat.table(flat.root(), _MESSAGE_HEADER), _BATCH_ROWS)


def unpacked_bytes(stream: pa.Buffer) -> int:
    """Bytes that a stream's messages say they unpack to; what is no Arrow raises as the library does."""
    return sum(map(_unpacked_bytes, pa.ipc.MessageReader.open_stream(stream)))


def content_hash(value: bytes, digest: hashlib.blake2b) -> str:
    """Hash the rows of a stream, or of the stream that a file begins with, as they are packed, and the names and types
    of its columns, but no metadata: a digest can stand there.

    Parameters
    ----------
    digest
        A hash that may have begun already with something else.
    """
    messages = pa.ipc.MessageReader.open_stream(_stream(value))
    for message in messages:
        if message.type == "schema":
            schema = pa.ipc.read_schema(message)
            digest.update(repr([(field.name, str(field.type)) for field in schema]).encode())
        else:
            digest.update(message.metadata)
            digest.update(message.body)
    return digest.hexdigest()


def _unpacked_bytes(message: pa.ipc.Message) -> int:
    """Bytes of a message's buffers once they are unpacked, as they say themselves; they may say too much, and the
    library refuses what turns out to be more.
    """
    if message.type not in ("record batch", "dictionary"):
        return 0
    flat, body = _Flat(message.metadata), memoryview(message.body)
    batch = flat.table(flat.root(), _MESSAGE_HEADER)
    if message.type == "dictionary":
        batch = flat.table(batch, _DICTIONARY_BATCH)
    if not flat.slot(batch, _BATCH_COMPRESSION):
        return len(body)
    # Of a compressed buffer the first eight bytes are its length, or -1 where it is left as it was.
    heads = ((length, _int(body, offset, 8)) for offset, length in flat.pairs(batch, _BATCH_BUFFERS) if length)
    return sum(length if claimed < 0 else claimed for length, claimed in heads)


class _Flat:
    """As much of a flatbuffer as is asked for; the library has verified it before it is read."""

    def __init__(self, buffer: pa.Buffer) -> None:
        self._bytes = memoryview(buffer)

    def slot(self, table: int, n: int) -> int:
        """Where a table's field lies; 0 where it has none."""
        fields = table - _int(self._bytes, table, 4)
        there = 4 + 2 * n < _int(self._bytes, fields, 2)
        offset = _int(self._bytes, fields + 4 + 2 * n, 2) if there else 0
        return table + offset if offset else 0

    def root(self) -> int:
        """The outermost table."""
        return _int(self._bytes, 0, 4)

    def table(self, of: int, n: int) -> int:
        """The table, or the vector, that a field refers to."""
        at = self.slot(of, n)
        return at + _int(self._bytes, at, 4)

    def long(self, table: int, n: int) -> int:
        """The 64-bit integer in a table's field; 0 where it has none."""
        at = self.slot(table, n)
        return _int(self._bytes, at, 8) if at else 0

    def pairs(self, table: int, n: int) -> Iterator[tuple[int, int]]:
        """The vector of pairs of 64-bit integers that a field refers to."""
        vector = self.table(table, n)
        for k in range(_int(self._bytes, vector, 4)):
            at = vector + 4 + 16 * k
            yield _int(self._bytes, at, 8), _int(self._bytes, at + 8, 8)


def _int(bytes_: memoryview, at: int, size: int) -> int:
    return int.from_bytes(bytes_[at : at + size], "little", signed=size > 2)
