"""Records as plain objects, whatever they were written in: for those who watch topics that somebody else fills."""

from typing import Any, Literal

import msgspec

from streams.formats.avro import AvroReader
from streams.formats.envelope import REQUEST_BYTES_MAX
from streams.formats.json_text import undecodable, unmarked
from streams.formats.schema_registry import SchemaRegistry
from streams.wire.refusals import Refused


class UntypedReader:
    """Reads JSON, and Avro in Confluent's frame; ``auto`` tells them apart by the first byte.

    >>> UntypedReader()(b'{"input": {"age": 41}}')
    {'input': {'age': 41}}
    """

    def __init__(
        self, format: Literal["auto", "json", "avro"] = "auto", registry: SchemaRegistry | None = None
    ) -> None:
        self._format = format
        self._avro = AvroReader(registry)

    def begin(self) -> None:
        """Begin a block."""
        self._avro.begin()

    def __call__(self, value: bytes) -> Any:
        """Read one record.

        Raises
        ------
        Refused
            It is empty, too large, or none of the format.
        RegistryAway
            The registry does not answer.
        """
        if not value:
            raise Refused("empty", "$", "the record has no value")
        if len(value) > REQUEST_BYTES_MAX:
            raise Refused("oversize", "$", f"{len(value)} bytes, at most {REQUEST_BYTES_MAX} are read")
        if self._format == "avro" or (self._format == "auto" and value[0] == 0):
            return self._avro(value)
        try:
            return msgspec.json.decode(unmarked(value))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise undecodable(value, error) from None
