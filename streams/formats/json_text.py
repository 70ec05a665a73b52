"""JSON as clients write it: what is no JSON is refused by the name of what is wrong with it."""

import re
from typing import Any

import msgspec

from streams.formats.records import RecordReader
from streams.wire.refusals import Refused

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_NO_NUMBER = re.compile(rb"[:\[,]\s*(-?(?:NaN|Infinity))\b")
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4", b"BZh": "bzip2"}


class JsonReader(RecordReader):
    """Reads JSON as it stands, whatever it holds."""

    expects = "object"

    def __call__(self, value: bytes) -> Any:
        """Read one message; see `RecordReader`."""
        try:
            return msgspec.json.decode(unmarked(value))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise undecodable(value, error) from None


def unmarked(value: bytes) -> bytes:
    """Leave out the byte order mark that some clients write before a text."""
    return value.removeprefix(_BYTE_ORDER_MARK)


def undecodable(value: bytes, error: Exception) -> Refused:
    """Say why a text is no JSON, by the name of what is wrong with it.

    >>> undecodable(b'{"a":"\\\\ud83d"}', ValueError("truncated")).args[2]
    'a text holds half a surrogate pair, \\\\ud83d, which is no character (truncated)'
    """
    detail = str(error)
    if value.startswith((b"\xff\xfe", b"\xfe\xff")):
        detail = f"the text is UTF-16, UTF-8 is read ({detail})"
    elif compressed := next((name for start, name in _COMPRESSED.items() if value.startswith(start)), ""):
        detail = f"the value is {compressed}, and no JSON: let the producer compress (compression.type), not the client"
    elif isinstance(error, UnicodeDecodeError):
        detail = f"the text is not UTF-8 ({detail})"
    elif half := _LONE_SURROGATE.search(value):
        detail = f"a text holds half a surrogate pair, {half[0].decode()}, which is no character ({detail})"
    elif "trailing characters" in detail:
        detail = f"{detail}; one message is one JSON object"
    elif token := _NO_NUMBER.search(value):
        detail = f"{token[1].decode()} is no JSON: write null for a missing value ({detail})"
    return Refused("undecodable", "$", detail)
