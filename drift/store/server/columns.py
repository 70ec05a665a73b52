"""A column's layout by the name of its type."""

import re
from functools import lru_cache, partial

from drift.store.server.layouts import (
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
# A quote that is not closed goes on to the end: looked for again from every place, it would take quadratic time.
_PIECE = re.compile(r"'(?:[^'\\]|\\.)*(?:'|\Z)|`(?:[^`\\]|\\.)*(?:`|\Z)|.", re.DOTALL)
TYPE_BYTES_MAX = 65_536
DEPTH_MAX = 32
#: The engine's own bound.
_FIXED_STRING_MAX = 0xFFFFFF
_DIGITS = re.compile(r"[0-9]{1,8}")


@lru_cache(512)
def column(type_name: str, depth: int = 0) -> Column:
    """Parse a type's name.

    >>> column("LowCardinality(Nullable(String))")
    LowCardinality(keys=Strings())
    >>> column("Map(String, Array(Enum8('a,)' = 1)))").inner.parts
    (Strings(), Array(inner=Fixed(width=1)))

    Parameters
    ----------
    depth
        How many types this one lies in.

    Raises
    ------
    UnsupportedType
        The type has no layout here: states of aggregates, Variant, Dynamic; or it lies too deep, or is none at all.
    """
    if len(type_name) > TYPE_BYTES_MAX or depth > DEPTH_MAX:
        raise UnsupportedType(f"a type of {len(type_name)} characters, {depth} deep; {DEPTH_MAX} deep is read at most")
    name, arguments = _split(type_name)
    inner = partial(column, depth=depth + 1)
    if name in _WIDTHS:
        return Fixed(_WIDTHS[name])
    if name.startswith("Interval"):
        return Fixed(8)
    if name in _GEOMETRIES:
        return inner(_GEOMETRIES[name])
    match name, arguments:
        case "String", _:
            return Strings()
        case "JSON", _:
            return JsonText()
        case "FixedString", [size] if 0 < _number(size) <= _FIXED_STRING_MAX:
            return Fixed(_number(size))
        case "Decimal", [digits, *_] if 0 < _number(digits) <= _DECIMAL_DIGITS[-1][0]:
            return Fixed(next(width for most, width in _DECIMAL_DIGITS if _number(digits) <= most))
        case "Nullable", [one]:
            return Nullable(inner(one))
        case "Array", [one]:
            return Array(inner(one))
        case "Tuple", [_, *_]:
            return Tuple(tuple(inner(_without_name(a)) for a in arguments))
        case "Nested", [_, *_]:
            return Array(Tuple(tuple(inner(_without_name(a)) for a in arguments)))
        case "Map", [_, _]:
            return Array(Tuple(tuple(inner(a) for a in arguments)))
        case "LowCardinality", [one]:
            keys = inner(one)  # Null is an entry of the dictionary, not a flag a row.
            return LowCardinality(keys.inner if isinstance(keys, Nullable) else keys)
        case "SimpleAggregateFunction", [*_, one]:
            return inner(one)
    raise UnsupportedType(f"type {type_name} does not travel; finalize it, or cast it to String in the SELECT")


def _number(digits: str) -> int:
    """A number of few digits; 0 for anything else."""
    return int(digits) if _DIGITS.fullmatch(digits) else 0


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
