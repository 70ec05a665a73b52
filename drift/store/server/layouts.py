"""How the values of a column lie in the Native format, and how they move from a reader to a sink.

The engine writes Native as revision 0; a client of today puts one more byte after each column's type. To move
a block from one to the other its columns must be walked, since their lengths stand nowhere. A column copies
itself through a `Copier` and looks at no more than the lengths.
"""

from dataclasses import dataclass
from typing import Protocol

from drift.store.server.wire import ProtocolError, Reader, Sink, u64


class UnsupportedType(Exception):
    """A type that this front does not carry; the text says what to cast it to."""


@dataclass(frozen=True)
class Copier:
    """Moves values from a reader to a sink."""

    reader: Reader
    write: Sink

    def bytes(self, size: int) -> None:
        """Move `size` bytes."""
        self.reader.copy(size, self.write)

    def u64(self) -> int:
        """Move one 64-bit integer and return it."""
        value = self.reader.u64()
        self.write(u64(value))
        return value


class Column(Protocol):
    """One column's layout: what stands once before its values, and the values of `rows` rows."""

    def prefix(self, copier: Copier) -> None: ...

    def values(self, copier: Copier, rows: int) -> None: ...


@dataclass(frozen=True)
class Fixed:
    """`width` bytes a row."""

    width: int

    def prefix(self, copier: Copier) -> None: ...

    def values(self, copier: Copier, rows: int) -> None:
        copier.bytes(self.width * rows)


@dataclass(frozen=True)
class Strings:
    """A length and bytes a row."""

    def prefix(self, copier: Copier) -> None: ...

    def values(self, copier: Copier, rows: int) -> None:
        copier.reader.copy_strings(rows, copier.write)


@dataclass(frozen=True)
class JsonText(Strings):
    """JSON as text (``output_format_native_write_json_as_string``), after the number of that way of writing."""

    def prefix(self, copier: Copier) -> None:
        if (form := copier.u64()) != 1:
            raise UnsupportedType(f"JSON in binary form {form}; send it as text or cast it to String")


@dataclass(frozen=True)
class Nullable:
    """A flag a row, then values for all rows."""

    inner: Column

    def prefix(self, copier: Copier) -> None:
        self.inner.prefix(copier)

    def values(self, copier: Copier, rows: int) -> None:
        copier.bytes(rows)
        self.inner.values(copier, rows)


@dataclass(frozen=True)
class Array:
    """Where each row's elements end, then all elements."""

    inner: Column

    def prefix(self, copier: Copier) -> None:
        self.inner.prefix(copier)

    def values(self, copier: Copier, rows: int) -> None:
        if rows:
            copier.bytes(8 * (rows - 1))
            self.inner.values(copier, copier.u64())


@dataclass(frozen=True)
class Tuple:
    """Column after column."""

    parts: tuple[Column, ...]

    def prefix(self, copier: Copier) -> None:
        for part in self.parts:
            part.prefix(copier)

    def values(self, copier: Copier, rows: int) -> None:
        for part in self.parts:
            part.values(copier, rows)


@dataclass(frozen=True)
class LowCardinality:
    """A dictionary and, a row, an index into it of 1, 2, 4 or 8 bytes."""

    keys: Column

    def prefix(self, copier: Copier) -> None:
        copier.u64()

    def values(self, copier: Copier, rows: int) -> None:
        if not rows:
            return
        flags = copier.u64()
        if flags & 0x100 or not flags & 0x200 or flags & 0xFF > 3:
            raise ProtocolError(f"a LowCardinality column with flags {flags:#x} came; a dictionary a block is read")
        self.keys.values(copier, copier.u64())
        copier.bytes(copier.u64() << (flags & 0xFF))
