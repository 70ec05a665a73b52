"""Which format a record is in, and who reads it."""

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Literal, get_args

import msgspec
import structlog

from streams.formats.envelope import Schemas, header
from streams.formats.json import JsonDecoder
from streams.formats.row_batch import joined, shifted
from streams.formats.schema_registry import RegistryAway, SchemaRegistry
from streams.wire.block import UNREADABLE, Block
from streams.wire.effects import Headers
from streams.wire.message_limits import ROWS_MAX
from streams.wire.refusals import Refusal
from streams.wire.rows import Rows
from streams.wire.schema import FeatureSchema

log = structlog.get_logger("streams.formats")

Format = Literal["json", "avro", "packed", "arrow"]
FORMATS: tuple[Format, ...] = get_args(Format)

Decode = Callable[[Block], tuple[dict[str, Rows], list[Refusal]]]

_BY_CONTENT_TYPE: dict[bytes, Format] = {
    b"application/json": "json",
    b"application/avro": "avro",
    b"application/vnd.apache.arrow.stream": "arrow",
    b"application/vnd.apache.arrow.file": "arrow",
    b"application/vnd.driftline.float32": "packed",
}
_OBJECT = ord("{")


class Decoder:
    """Reads blocks of requests in any format.

    Parameters
    ----------
    schemas
        Finds a model's schema.
    format
        What all records are in; ``auto`` looks at each.
    registry
        Where Avro's schemas are; without one an Avro record is refused.
    packed
        Finds the columns of packed rows, in order, by model; those of the schema by default. They differ while
        versions with other inputs serve beside each other.

    Raises
    ------
    RegistryAway
        From a call: the registry does not answer. The block should come again.

    >>> import numpy as np
    >>> from streams.wire.schema import Feature
    >>> decode = Decoder(lambda model: ("m", FeatureSchema((Feature("age"), Feature("tenure")))), format="packed")
    >>> rows, refused = decode(Block.of("requests", 0, [np.array([41, 2, 35, 7], "<f4").tobytes()]))
    >>> rows["m"].matrix.tolist(), rows["m"].ids, refused
    ([[41.0, 2.0], [35.0, 7.0]], ['requests/0/0/0', 'requests/0/0/1'], [])
    """

    def __init__(
        self,
        schemas: Schemas,
        *,
        format: Format | Literal["auto"] = "auto",
        registry: SchemaRegistry | None = None,
        packed: Callable[[str], FeatureSchema] | None = None,
    ) -> None:
        self._schemas = schemas
        self._registry = registry
        self._packed = packed
        self._decoders: dict[Format, Decode] = {"json": JsonDecoder(schemas)}
        self._fixed = None if format == "auto" else format

    def __call__(self, block: Block) -> tuple[dict[str, Rows], list[Refusal]]:
        """Decode a block: rows by model, and the refused records and rows."""
        try:
            return self._read(block)
        except RegistryAway:
            raise
        except Exception as error:
            # What no rule has foreseen is a fault of ours, and must not stop a partition for ever: the block is halved
            # until the record at fault stands alone.
            if len(block) > 1:
                half = len(block) // 2
                return _in_parts(block, [(self, half), (self, len(block) - half)])
            why = f"unforeseen: {type(error).__name__}: {error}"
            log.error("decoder.unforeseen", place=block.place(0), why=why)
            return {}, [Refusal(0, "undecodable", "$", why)]

    def requests(self, block: Block) -> list[int] | None:
        """How many requests each record says that it holds, without reading them; None where each holds one."""
        if self._fixed in ("json", "avro"):
            return None
        formats = self._formats(block)
        if not {"arrow", "packed"} & set(formats):
            return None
        return [min(max(1, self._claimed(block, at, format_)), ROWS_MAX) for at, format_ in enumerate(formats)]

    def _claimed(self, block: Block, at: int, format_: Format | None) -> int:
        value = block.values[at] or b""
        if format_ == "arrow":
            from streams.wire.arrow_bounds import rows_claimed

            return rows_claimed(value)
        found = self._schemas(header(block, at, "model")) if format_ == "packed" else None
        if found is None:
            return 1
        model, schema = found
        return len(value) // (4 * len(self._packed(model) if self._packed else schema))

    def _formats(self, block: Block) -> list[Format | None]:
        if self._fixed is not None:
            return [None if headers is UNREADABLE else self._fixed for headers in block.headers]
        return [
            "json" if headers is None and value and value[0] == _OBJECT else format_of(value, headers)
            for value, headers in zip(block.values, block.headers, strict=True)
        ]

    def _read(self, block: Block) -> tuple[dict[str, Rows], list[Refusal]]:
        formats = self._formats(block)
        if len(set(formats)) == 1:
            return self._decoder(formats[0])(block)
        runs = [(self._decoder(format_), sum(1 for _ in run)) for format_, run in groupby(formats)]
        return _in_parts(block, runs)

    def _decoder(self, format_: Format | None) -> Decode:
        if format_ is None:
            return _headers_refused
        if format_ not in self._decoders:
            self._decoders[format_] = self._make(format_)
        return self._decoders[format_]

    def _make(self, format_: Format) -> Decode:
        # Imported when first met: who reads JSON alone needs none of them.
        if format_ == "avro":
            from streams.formats.avro import AvroDecoder

            return AvroDecoder(self._schemas, self._registry)
        if format_ == "arrow":
            from streams.formats.arrow import ArrowDecoder

            return ArrowDecoder(self._schemas)
        from streams.formats.packed import PackedDecoder

        return PackedDecoder(self._schemas, self._packed)


def _in_parts(block: Block, parts: Iterable[tuple[Decode, int]]) -> tuple[dict[str, Rows], list[Refusal]]:
    """Read each run of so many records by itself."""
    found: dict[str, list[Rows]] = {}
    refused: list[Refusal] = []
    first = 0
    for decode, size in parts:
        rows, refusals = decode(block[first : first + size])
        for model, part in rows.items():
            found.setdefault(model, []).append(shifted(part, first))
        refused += [msgspec.structs.replace(refusal, at=refusal.at + first) for refusal in refusals]
        first += size
    return {model: joined(several) for model, several in found.items()}, refused


def _headers_refused(block: Block) -> tuple[dict[str, Rows], list[Refusal]]:
    """Refuse records whose headers may name a model, an id or a format, and cannot be read."""
    told = "the name of a header is no UTF-8, so none of them can be read"
    return {}, [Refusal(at, "undecodable", "headers", told) for at in range(len(block))]


def format_of(value: bytes | None, headers: Headers | None) -> Format | None:
    """Tell a record's format by its content type, else by its first bytes; None where its headers are unreadable.

    No JSON text begins with a zero byte (Confluent's frame) or with four bytes 255 (an Arrow stream).

    >>> [format_of(v, None) for v in (b' {"age": 1}', bytes(5), bytes([255] * 4), b"ARROW1", None)]
    ['json', 'avro', 'arrow', 'arrow', 'json']
    >>> format_of(b"", [("content-type", b"application/vnd.apache.arrow.stream")])
    'arrow'
    """
    if headers is UNREADABLE:
        return None
    for name, said in headers or ():
        if name.lower() == "content-type" and said:
            named = _BY_CONTENT_TYPE.get(said.partition(b";")[0].strip().lower())
            if named is not None:
                return named
    if not value:
        return "json"
    if value[0] == 0:
        return "avro"
    return "arrow" if value.startswith((b"\xff\xff\xff\xff", b"ARROW1")) else "json"
