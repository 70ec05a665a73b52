"""A column's layout by the name of its type."""

import re
from functools import lru_cache

from drift.store.front.layouts import (
    Array,
    Column,
    Fixed,
    JsonText,
    LowCardinality,
    Nullable,
    Strings,
    Tuple,
    UnsupportedType,
)

_WIDTHS = {
    **dict.fromkeys(("Bool", "Int8", "UInt8", "Enum8", "Nothing"), 1),
    **dict.fromkeys(("Int16", "UInt16", "Enum16", "Date", "BFloat16"), 2),
    **dict.fromkeys(("Int32", "UInt32", "Float32", "Date32", "DateTime", "Time", "IPv4", "Decimal32"), 4),
    **dict.fromkeys(("Int64", "UInt64", "Float64", "DateTime64", "Time64", "Decimal64"), 8),
    **dict.fromkeys(("Int128", "UInt128", "UUID", "IPv6", "Decimal128"), 16),
    **dict.fromkeys(("Int256", "UInt256", "Decimal256"), 32),
}
_GEOMETRIES = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}
_DECIMAL_DIGITS = ((9, 4), (18, 8), (38, 16), (76, 32))
_PIECE = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|.", re.DOTALL)


@lru_cache(4096)
def column(type_name: str) -> Column:
    """Parse a type's name.

    >>> column("LowCardinality(Nullable(String))")
    LowCardinality(keys=Strings())
    >>> column("Map(String, Array(Enum8('a,)' = 1)))").inner.parts
    (Strings(), Array(inner=Fixed(width=1)))

    Raises
    ------
    UnsupportedType
        The type has no layout here: states of aggregates, Variant, Dynamic.
    """
    name, arguments = _split(type_name)
    if name in _WIDTHS:
        return Fixed(_WIDTHS[name])
    if name.startswith("Interval"):
        return Fixed(8)
    if name in _GEOMETRIES:
        return column(_GEOMETRIES[name])
    match name:
        case "String":
            return Strings()
        case "JSON":
            return JsonText()
        case "FixedString":
            return Fixed(int(arguments[0]))
        case "Decimal":
            return Fixed(next(width for digits, width in _DECIMAL_DIGITS if int(arguments[0]) <= digits))
        case "Nullable":
            return Nullable(column(arguments[0]))
        case "Array":
            return Array(column(arguments[0]))
        case "Tuple" if arguments:
            return Tuple(tuple(column(_without_name(a)) for a in arguments))
        case "Nested":
            return Array(Tuple(tuple(column(_without_name(a)) for a in arguments)))
        case "Map":
            return Array(Tuple(tuple(column(a) for a in arguments)))
        case "LowCardinality":
            inner = column(arguments[0])  # Null is an entry of the dictionary, not a flag a row.
            return LowCardinality(inner.inner if isinstance(inner, Nullable) else inner)
        case "SimpleAggregateFunction":
            return column(arguments[-1])
    raise UnsupportedType(f"type {type_name} does not travel; finalize it, or cast it to String in the SELECT")


def _split(type_name: str) -> tuple[str, list[str]]:
    """Split ``Name(a, b)`` into its name and arguments; commas in brackets and quotes do not count."""
    name, bracket, rest = type_name.partition("(")
    arguments, depth = [""], 1
    for piece in _PIECE.findall(rest):
        depth += (piece == "(") - (piece == ")")
        if depth == 0:
            break
        if piece == "," and depth == 1:
            arguments.append("")
        else:
            arguments[-1] += piece
    return name.strip(), [a.strip() for a in arguments] if bracket and arguments != [""] else []


def _without_name(element: str) -> str:
    """Drop the name of a tuple's element: ```a b` Int8`` and ``Int8`` are both Int8."""
    depth = 0
    words = [""]
    for piece in _PIECE.findall(element):
        depth += (piece == "(") - (piece == ")")
        if piece == " " and depth == 0:
            words.append("")
        else:
            words[-1] += piece
    return words[-1]
