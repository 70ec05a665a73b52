"""Which format a record is in, and who reads it."""

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec
import structlog

from streams.formats.envelope import Schemas
from streams.formats.row_batch import joined, shifted
from streams.formats.schema_registry import RegistryAway, SchemaRegistry
from streams.formats.table import BY_NAME, Parts, by_content_type, by_first_bytes
from streams.wire.block import UNREADABLE, Block
from streams.wire.effects import Headers
from streams.wire.message_limits import ROWS_MAX
from streams.wire.refusals import Refusal
from streams.wire.rows import Rows
from streams.wire.schema import FeatureSchema

if TYPE_CHECKING:
    from streams.formats.table import Decode

log = structlog.get_logger("streams.formats")

_OBJECT = ord("{")


class Decoder:
    """Reads blocks of requests in any format.

    Parameters
    ----------
    schemas
        Finds a model's schema.
    format
        What all records are in, a name of `streams.formats.table.FORMATS`; ``auto`` looks at each.
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
        format: str = "auto",
        registry: SchemaRegistry | None = None,
        packed: Callable[[str], FeatureSchema] | None = None,
    ) -> None:
        self._parts = Parts(schemas, registry, packed)
        self._decoders: dict[str, Decode] = {}
        self._fixed = None if format == "auto" else BY_NAME[format].name

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
        if self._fixed is not None and BY_NAME[self._fixed].requests is None:
            return None
        formats = self._formats(block)
        if not any(BY_NAME[name].requests for name in set(formats) if name is not None):
            return None
        return [min(max(1, self._claimed(block, at, name)), ROWS_MAX) for at, name in enumerate(formats)]

    def _claimed(self, block: Block, at: int, name: str | None) -> int:
        requests = None if name is None else BY_NAME[name].requests
        return 1 if requests is None else requests(self._parts, block, at)

    def _formats(self, block: Block) -> list[str | None]:
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

    def _decoder(self, name: str | None) -> "Decode":
        if name is None:
            return _headers_refused
        if name not in self._decoders:
            self._decoders[name] = BY_NAME[name].decode(self._parts)
        return self._decoders[name]


def _in_parts(block: Block, parts: Iterable[tuple["Decode", int]]) -> tuple[dict[str, Rows], list[Refusal]]:
    """Read each run of so many records by itself."""
    by_model: dict[str, list[Rows]] = {}
    refused: list[Refusal] = []
    first = 0
    for decode, size in parts:
        rows, refusals = decode(block[first : first + size])
        for model, part in rows.items():
            by_model.setdefault(model, []).append(shifted(part, first))
        refused += [msgspec.structs.replace(refusal, at=refusal.at + first) for refusal in refusals]
        first += size
    return {model: joined(several) for model, several in by_model.items()}, refused


def _headers_refused(block: Block) -> tuple[dict[str, Rows], list[Refusal]]:
    """Refuse records whose headers may name a model, an id or a format, and cannot be read."""
    detail = "the name of a header is no UTF-8, so none of them can be read"
    return {}, [Refusal(at, "undecodable", "headers", detail) for at in range(len(block))]


def format_of(value: bytes | None, headers: Headers | None) -> str | None:
    """Tell a record's format by its content type, else by its first bytes; None where its headers are unreadable.

    >>> [format_of(v, None) for v in (b' {"age": 1}', bytes(5), None)]
    ['json', 'avro', 'json']
    >>> format_of(b"", [("content-type", b"application/vnd.apache.arrow.stream")])
    'arrow'
    """
    if headers is UNREADABLE:
        return None
    for name, text in headers or ():
        if name.lower() == "content-type" and text and (named := by_content_type(text)) is not None:
            return named
    return by_first_bytes(value or b"")
