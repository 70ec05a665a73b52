"""Avro in Confluent's frame: a zero byte, the number of the writer's schema, and one record.

A record is read by the schema that it was written by, and then fitted to what the model asks for, by name: fields may
come and go on the writer's side as long as those that the model requires are there.
"""

import decimal
import io
import uuid
from typing import Any

from streams.formats.records import RecordReader
from streams.formats.schema_registry import SchemaRegistry, UnknownSchema
from streams.wire.refusals import Refused

FRAME_BYTES = 5


class AvroReader(RecordReader):
    """Reads framed records as plain objects.

    Parameters
    ----------
    registry
        None where none is named: then every record is refused.
    """

    def __init__(self, registry: SchemaRegistry | None) -> None:
        self._registry = registry
        self._unknown: dict[int, str] = {}
        self._decode: Any = None

    def begin(self) -> None:
        """Begin a block: what the registry did not know before, it may know now."""
        self._unknown.clear()

    def __call__(self, value: bytes) -> Any:
        """Read one record.

        Raises
        ------
        Refused
            No frame, a schema that nobody knows, or bytes that are none of it.
        RegistryAway
            The registry does not answer.
        """
        if value[0] != 0 or len(value) < FRAME_BYTES:
            raise Refused("undecodable", "$", "no Avro in Confluent's frame: a zero byte, four of the schema's number")
        schema = self._schema(int.from_bytes(value[1:FRAME_BYTES]))
        stream = io.BytesIO(value)
        stream.seek(FRAME_BYTES)
        try:
            record = self._decode(stream, schema, None)
        except Exception as error:  # whatever strange bytes make of the library
            raise Refused("undecodable", "$", f"no record of its schema: {type(error).__name__}: {error}") from None
        if stream.tell() != len(value):
            raise Refused("undecodable", "$", f"{len(value) - stream.tell()} bytes stand behind the record")
        return _as_json(record)

    def _schema(self, number: int) -> Any:
        if self._registry is None:
            detail = f"Avro of schema {number}, and no registry is named; set schema_registry.url"
            raise Refused("unknown_schema", "$", detail)
        if self._decode is None:
            from fastavro import schemaless_reader  # who reads JSON alone does not need it

            self._decode = schemaless_reader
        if number not in self._unknown:
            try:
                return self._registry.schema(number)
            except UnknownSchema as error:
                self._unknown[number] = str(error)  # a block of strangers asks once
        raise Refused("unknown_schema", "$", self._unknown[number])


def _as_json(value: Any) -> Any:
    """Values of logical types that JSON has not, as it would say them: decimals as numbers, UUIDs as text.

    >>> _as_json({"fee": decimal.Decimal("1.50"), "n": [decimal.Decimal(7)], "who": uuid.UUID(int=1)})
    {'fee': 1.5, 'n': [7], 'who': '00000000-0000-0000-0000-000000000001'}
    """
    if isinstance(value, dict):
        return {name: _as_json(part) if type(part) in _COMPOSED else part for name, part in value.items()}
    if isinstance(value, list):
        return [_as_json(part) if type(part) in _COMPOSED else part for part in value]
    if isinstance(value, decimal.Decimal):
        return int(value) if value.is_finite() and value == int(value) else float(value)
    return str(value) if isinstance(value, uuid.UUID) else value


_COMPOSED = frozenset({dict, list, decimal.Decimal, uuid.UUID})
