"""How a written record is taken apart: JSON without reading its parts, and plain objects."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

#: What a part of a record is called when it is of another type than was asked for.
_KINDS: dict[type, str] = {
    str: "str", int: "int", float: "float", bool: "bool", type(None): "null", dict: "object", list: "array",
    tuple: "array",
}  # fmt: skip
_BY_FIRST_BYTE = {
    ord('"'): "str", ord("t"): "bool", ord("f"): "bool", ord("n"): "null", ord("{"): "object", ord("["): "array",
}  # fmt: skip
#: Of a 64-bit number, with its sign.
_DIGITS_MAX = 20


class Form(NamedTuple):
    """How a written form of records is taken apart.

    Attributes
    ----------
    fields, items
        Parts of an object and of an array.
    check, explain
        Both raise ``msgspec.ValidationError`` where a part is not of a type; the second in a sentence about the part.
    kind
        Names what a part is.
    """

    fields: Callable[[Any], Mapping[str, Any]]
    items: Callable[[Any], list[Any]]
    check: Callable[[Any, Any], Any]
    explain: Callable[[Any, Any], Any]
    kind: Callable[[Any], str]


def _json_kind(written: Any) -> str:
    text = bytes(written).strip()
    if not text or text[0] in _BY_FIRST_BYTE:
        return _BY_FIRST_BYTE[text[0]] if text else ""
    if not text.removeprefix(b"-").isdigit():  # Of noise that begins as a number nobody can say what it is.
        return "float"
    # As msgspec has it, more than 64 bits make a float.
    return "int" if len(text) <= _DIGITS_MAX and -(2**63) <= int(text) < 2**64 else "float"


@lru_cache(maxsize=1024)
def _json_decoder(kind: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(kind)


def _check_json(written: Any, kind: Any) -> Any:
    return _json_decoder(kind).decode(written)


@lru_cache(maxsize=1024)
def _holder(kind: Any) -> type[msgspec.Struct]:
    """A struct of one field: what msgspec knows of a struct it keeps, what it knows of a bare type it does not."""
    return msgspec.defstruct("Holder", [("value", kind)])


JSON = Form(
    msgspec.json.Decoder(dict[str, msgspec.Raw]).decode,
    msgspec.json.Decoder(list[msgspec.Raw]).decode,
    _check_json,
    _check_json,
    _json_kind,
)
OBJECTS = Form(
    lambda value: value,
    lambda value: value,
    lambda value, kind: msgspec.convert({"value": value}, _holder(kind)),
    msgspec.convert,
    lambda value: _KINDS.get(type(value), type(value).__name__),
)
