"""Which format a record is in, and who reads it."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Literal, get_args

import msgspec

from streams.block import Block
from streams.codec import JsonDecoder, Refusal, Rows, Schemas
from streams.formats.registry import SchemaRegistry
from streams.formats.sheet import joined, shifted
from streams.schema import FeatureSchema
from streams.stage import Headers

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
    >>> from streams.schema import Feature
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
        if self._fixed is not None:
            return self._decoder(self._fixed)(block)
        formats = [
            "json" if headers is None and value and value[0] == _OBJECT else format_of(value, headers)
            for value, headers in zip(block.values, block.headers, strict=True)
        ]
        if len(set(formats)) == 1:
            return self._decoder(formats[0])(block)
        return self._mixed(block, formats)

    def _mixed(self, block: Block, formats: Sequence[Format]) -> tuple[dict[str, Rows], list[Refusal]]:
        """Read each run of records of one format by itself."""
        parts: dict[str, list[Rows]] = {}
        refused: list[Refusal] = []
        first = 0
        for format_, run in groupby(formats):
            size = sum(1 for _ in run)
            rows, refusals = self._decoder(format_)(block[first : first + size])
            for model, part in rows.items():
                parts.setdefault(model, []).append(shifted(part, first))
            refused += [msgspec.structs.replace(refusal, at=refusal.at + first) for refusal in refusals]
            first += size
        return {model: joined(several) for model, several in parts.items()}, refused

    def _decoder(self, format_: Format) -> Decode:
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


def format_of(value: bytes | None, headers: Headers | None) -> Format:
    """Tell a record's format by its content type, else by its first bytes.

    No JSON text begins with a zero byte (Confluent's frame) or with four bytes 255 (an Arrow stream).

    >>> [format_of(v, None) for v in (b' {"age": 1}', bytes(5), bytes([255] * 4), b"ARROW1", None)]
    ['json', 'avro', 'arrow', 'arrow', 'json']
    >>> format_of(b"", [("content-type", b"application/vnd.apache.arrow.stream")])
    'arrow'
    """
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
