"""MessagePack: one request a message, the same object as in JSON; ``ts`` may be MessagePack's own timestamp."""

from typing import Any

import msgspec

from streams.formats.records import RecordReader
from streams.wire.refusals import Refused


class MessagePackReader(RecordReader):
    """Reads messages as plain objects.

    >>> MessagePackReader()(b"\\x81\\xa3age\\x29")
    {'age': 41}
    """

    expects = "map"

    def __call__(self, value: bytes) -> Any:
        """Read one message; see `RecordReader`."""
        try:
            record = msgspec.msgpack.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Refused("undecodable", "$", f"no MessagePack: {error}") from None
        if isinstance(record, dict):
            _require_text(record, "$")
            if isinstance(features := record.get("features"), dict):
                _require_text(features, "$.features")
        return record


def _require_text(names: dict[Any, Any], field: str) -> None:
    """Refuse names that JSON has not: MessagePack takes numbers, bytes and lists for names, too."""
    strange = [type(name).__name__ for name in names if type(name) is not str]
    if strange:
        detail = f"Expected `str` for the name of a field, got `{strange[0]}`"
        raise Refused("wrong_type", field, detail, strange[0])
