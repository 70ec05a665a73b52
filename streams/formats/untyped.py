"""Records as plain objects, whatever they were written in: for those who watch topics that somebody else fills."""

from typing import Any

from streams.formats.envelope import REQUEST_BYTES_MAX
from streams.formats.records import RecordReader
from streams.formats.schema_registry import SchemaRegistry
from streams.formats.table import BY_NAME, by_first_bytes
from streams.wire.refusals import Refused


class UntypedReader:
    """Reads every format whose messages are plain objects; ``auto`` tells them apart by their first bytes.

    >>> UntypedReader()(b'{"input": {"age": 41}}')
    {'input': {'age': 41}}
    """

    def __init__(self, format: str = "auto", registry: SchemaRegistry | None = None) -> None:
        self._format = format
        self._registry = registry
        self._readers: dict[str, RecordReader] = {}

    def begin(self) -> None:
        """Begin a block."""
        for read in self._readers.values():
            read.begin()

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
        name = by_first_bytes(value) if self._format == "auto" else self._format
        return self._reader(name)(value)

    def _reader(self, name: str) -> RecordReader:
        if name not in self._readers:
            # What is no plain object, such as a batch of Arrow, is refused as the JSON that it is not.
            record = BY_NAME[name].record or BY_NAME["json"].record
            assert record is not None
            self._readers[name] = record(self._registry)
        return self._readers[name]
