"""Moving a block between the wire and the engine."""

from collections.abc import Sequence
from typing import NamedTuple

from drift.store.server.columns import TYPE_BYTES_MAX, column
from drift.store.server.layouts import Copier
from drift.store.server.wire import NAME_BYTES_MAX, TEXT_BYTES_MAX, ProtocolError, Reader, Sink, text, varint

#: From this revision on, one byte after each column's type says how its values are serialized (0: plainly).
CUSTOM_SERIALIZATION = 54454
ENGINE_REVISION = 0
COLUMNS_MAX = 20_000
#: Not an overflow block, no bucket: what every block of ours says of itself.
_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"


class Head(NamedTuple):
    """A block's columns, as (name, type), and its number of rows."""

    columns: list[tuple[str, str]]
    rows: int


def read_block(reader: Reader, revision: int, write: Sink) -> Head:
    """Read a client's block and write it as the engine reads it; a block without columns writes nothing.

    Parameters
    ----------
    reader
        What the client sends, past the packet's kind.
    revision
        Revision of the protocol that the client speaks.
    write
        Takes bytes in the engine's Native format.
    """
    _skip_info(reader)
    return _copy(reader, revision, write, ENGINE_REVISION)


def write_block(reader: Reader, write: Sink, revision: int, types: Sequence[str] = ()) -> Head:
    """Read the engine's next block and write it as the client reads it, with other names of its types if given.

    Parameters
    ----------
    reader
        What the engine gives, in Native format.
    write
        Takes bytes for the client.
    revision
        Revision of the protocol that the client speaks.
    types
        Names of the columns' types to send instead of the engine's.
    """
    write(_INFO)
    return _copy(reader, ENGINE_REVISION, write, revision, types)


def header(columns: list[tuple[str, str]], revision: int) -> bytes:
    """Write a block of no rows, which tells a client the names and types to come.

    >>> header([("n", "Int8")], CUSTOM_SERIALIZATION)[8:]
    b'\\x01\\x00\\x01n\\x04Int8\\x00'
    """
    plain = b"\0" if revision >= CUSTOM_SERIALIZATION else b""
    named = b"".join(text(name) + text(type_name) + plain for name, type_name in columns)
    return _INFO + varint(len(columns)) + varint(0) + named


def _copy(reader: Reader, revision: int, write: Sink, to_revision: int, types: Sequence[str] = ()) -> Head:
    count, rows = reader.varint(), reader.varint()
    if count > COLUMNS_MAX:
        raise ProtocolError(f"a block of {count} columns came, at most {COLUMNS_MAX} are read")
    if count:
        write(varint(count) + varint(rows))
    from_client = revision != ENGINE_REVISION
    name_max, type_max = (NAME_BYTES_MAX, TYPE_BYTES_MAX) if from_client else (TEXT_BYTES_MAX, TEXT_BYTES_MAX)
    columns = []
    copier = Copier(reader, write)
    for n in range(count):
        name, type_name = reader.text(name_max), reader.text(type_max)
        if types:
            type_name = types[n]
        columns.append((name, type_name))
        if revision >= CUSTOM_SERIALIZATION and reader.byte():
            raise ProtocolError(f"column {name!r} is serialized in a custom way; send it plainly")
        write(text(name) + text(type_name) + (b"\0" if to_revision >= CUSTOM_SERIALIZATION else b""))
        if rows:
            layout = column(type_name)
            layout.prefix(copier)
            layout.values(copier, rows)
    return Head(columns, rows)


def _skip_info(reader: Reader) -> None:
    while field := reader.varint():
        if field > 2:
            raise ProtocolError(f"a block began with field {field}; is this a ClickHouse client?")
        reader.read(1 if field == 1 else 4)
