"""The formats that requests may be in: a row each, and the one place that lists them.

It imports nothing heavy: settings name the formats without loading a decoder, and the module of a format is imported
when its first record comes.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from streams.formats.envelope import Schemas
    from streams.formats.records import RecordReader
    from streams.formats.schema_registry import SchemaRegistry
    from streams.wire.block import Block
    from streams.wire.refusals import Refusal
    from streams.wire.rows import Rows
    from streams.wire.schema import FeatureSchema

    Decode = Callable[[Block], tuple[dict[str, Rows], list[Refusal]]]


class Parts(msgspec.Struct, frozen=True):
    """What decoders are made of; `streams.formats.decoder.Decoder` says what each is."""

    schemas: "Schemas"
    registry: "SchemaRegistry | None" = None
    packed: "Callable[[str], FeatureSchema] | None" = None


class WireFormat(msgspec.Struct, frozen=True):
    """A format of requests.

    Attributes
    ----------
    name
        In settings.
    content_types
        Values of the header ``content-type`` that name it.
    first_bytes
        What its messages begin with, and those of no other format.
    record
        Makes what reads a message as one plain object; watched topics may be in this format, too. None where a message
        is no such thing.
    decoder
        Makes what reads blocks; by default that of plain objects.
    requests
        How many requests a message claims to hold, without reading them; None where each holds one.
    """

    name: str
    content_types: tuple[bytes, ...] = ()
    first_bytes: tuple[bytes, ...] = ()
    record: "Callable[[SchemaRegistry | None], RecordReader] | None" = None
    decoder: "Callable[[Parts], Decode] | None" = None
    requests: "Callable[[Parts, Block, int], int] | None" = None

    def decode(self, parts: Parts) -> "Decode":
        """Make what reads blocks of it."""
        if self.decoder is not None:
            return self.decoder(parts)
        from streams.formats.records import RecordDecoder

        assert self.record is not None, self.name
        return RecordDecoder(parts.schemas, self.record(parts.registry))


def _json(parts: Parts) -> "Decode":
    from streams.formats.json import JsonDecoder

    return JsonDecoder(parts.schemas)


def _json_record(_: "SchemaRegistry | None") -> "RecordReader":
    from streams.formats.json_text import JsonReader

    return JsonReader()


def _avro_record(registry: "SchemaRegistry | None") -> "RecordReader":
    from streams.formats.avro import AvroReader

    return AvroReader(registry)


def _packed(parts: Parts) -> "Decode":
    from streams.formats.packed import PackedDecoder

    return PackedDecoder(parts.schemas, parts.packed)


def _packed_requests(parts: Parts, block: "Block", at: int) -> int:
    from streams.formats.packed import PackedDecoder

    return PackedDecoder(parts.schemas, parts.packed).claimed(block, at)


def _arrow(parts: Parts) -> "Decode":
    from streams.formats.arrow import ArrowDecoder

    return ArrowDecoder(parts.schemas)


def _arrow_requests(_: Parts, block: "Block", at: int) -> int:
    from streams.wire.arrow_bounds import rows_claimed

    return rows_claimed(block.values[at] or b"")


def _msgpack_record(_: "SchemaRegistry | None") -> "RecordReader":
    from streams.formats.messagepack import MessagePackReader

    return MessagePackReader()


_ARROW = (b"application/vnd.apache.arrow.stream", b"application/vnd.apache.arrow.file")
_MSGPACK = (b"application/msgpack", b"application/vnd.msgpack", b"application/x-msgpack")
#: A map of up to 15, of up to 65,535, and of more names. No JSON text begins so.
_MSGPACK_MAPS = tuple(bytes([first]) for first in (*range(0x80, 0x90), 0xDE, 0xDF))

FORMATS: tuple[WireFormat, ...] = (
    WireFormat("json", (b"application/json",), record=_json_record, decoder=_json),
    WireFormat("avro", (b"application/avro",), (b"\x00",), record=_avro_record),
    WireFormat("packed", (b"application/vnd.driftline.float32",), decoder=_packed, requests=_packed_requests),
    WireFormat("arrow", _ARROW, (b"\xff\xff\xff\xff", b"ARROW1"), decoder=_arrow, requests=_arrow_requests),
    WireFormat("msgpack", _MSGPACK, _MSGPACK_MAPS, record=_msgpack_record),
)
BY_NAME = {format_.name: format_ for format_ in FORMATS}
_BY_CONTENT_TYPE = {named: format_.name for format_ in FORMATS for named in format_.content_types}
_BY_FIRST_BYTES = [(first, format_.name) for format_ in FORMATS for first in format_.first_bytes]
_FIRST = frozenset(first[0] for first, _ in _BY_FIRST_BYTES)

if TYPE_CHECKING:
    FormatSetting = str
    RecordFormatSetting = str
else:  # What settings take: the names above.
    FormatSetting = Literal[("auto", *BY_NAME)]
    RecordFormatSetting = Literal[("auto", *(format_.name for format_ in FORMATS if format_.record))]


def by_content_type(value: bytes) -> str | None:
    """Name the format of a content type, whatever parameters it has; None where it is no format's."""
    return _BY_CONTENT_TYPE.get(value.partition(b";")[0].strip().lower())


def by_first_bytes(value: bytes) -> str:
    """Name the format that a message begins as; JSON where it begins as no other.

    >>> [by_first_bytes(value) for value in (b' {"age": 1}', bytes(5), bytes([255] * 4), b"ARROW1", b"\\x81", b"")]
    ['json', 'avro', 'arrow', 'arrow', 'msgpack', 'json']
    """
    if value and value[0] in _FIRST:
        return next((name for first, name in _BY_FIRST_BYTES if value.startswith(first)), "json")
    return "json"
