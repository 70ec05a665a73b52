"""Columns of text, as CSV has them, read as what they should be; or as what the whole column says that they are.

=============  =============================================================================================
read as        rule
=============  =============================================================================================
categorical    as it stands, leading zeros and spaces too; the empty text is missing, ``NA`` is a level
numeric        a number, or true and false alone (1 and 0); the empty text, ``NA``, ``NaN``, ``null`` and the like
               are missing
boolean        true, false, 1, 0, 1.0, 0.0 in any case; missing as above
not said       integers, if all are, and none has a leading zero; else numbers; else true/false; else ISO 8601
               times that there are (not 2024-02-30, not 0000-00-00); else text
=============  =============================================================================================
"""

from collections.abc import Iterable
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from streams.tables.values import ColumnError
from streams.wire.schema import Kind
from streams.wire.spelling import NULL_TEXTS, boolean_of
from streams.wire.times import TimesError, epoch_ms

_TIME = pa.timestamp("ms", "UTC")
_PATTERNS = {
    pa.int64(): r"^[+-]?([1-9][0-9]{0,17}|0)$",
    pa.float64(): r"^[+-]?(([1-9][0-9]*|0)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$|^[+-]?[Ii]nf(inity)?$",
    pa.bool_(): r"^([Tt]rue|[Ff]alse|TRUE|FALSE)$",
    _TIME: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?$",
}
_DECIMAL_COMMA = r"^[+-]?[0-9]+(,[0-9]+)?([eE][+-]?[0-9]+)?$"


@cache
def _nulls() -> pa.Array:
    return pa.array(NULL_TEXTS)  # not at import: pyarrow loads pandas for it, half a second that most readers need not


class Guess:
    """What a column of text may be, narrowed block by block; a column may be longer than memory.

    >>> guess = Guess()
    >>> for block in (["100", "7", None], ["100.5", "n/a"]):
    ...     guess.look(pa.array(block))
    >>> guess.type
    DataType(double)
    """

    def __init__(self) -> None:
        self._left = list(_PATTERNS)
        self._empty = True

    def look(self, texts: pa.Array) -> None:
        """Look at a block."""
        present = _present(texts)
        if not len(present):
            return
        self._empty = False
        self._left = [kind for kind in self._left if _holds(present, kind)]

    @property
    def type(self) -> pa.DataType:
        """The narrowest type that holds the whole column; null where it has no value."""
        if self._empty:
            return pa.null()
        return self._left[0] if self._left else pa.string()


def guessed(blocks: Iterable[pa.Array]) -> pa.DataType:
    """Type of a whole column."""
    guess = Guess()
    for block in blocks:
        guess.look(block)
    return guess.type


def typed(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    """Read a column as the type that it was found to be.

    >>> typed(pa.array(["1", None, "n/a"]), pa.int64()).to_pylist()
    [1, None, None]
    """
    if kind == pa.string():
        return texts
    if kind == pa.null():
        return pa.nulls(len(texts))
    trimmed = _missing_out(texts)
    if kind == pa.bool_():
        return _booleans(trimmed, "column")
    if kind == _TIME:
        present = pa.array(epoch_ms(trimmed.drop_null()), pa.int64())
        places = pc.subtract(pc.cumulative_sum(pc.cast(pc.is_valid(trimmed), pa.int64())), 1)
        return present.take(pc.if_else(pc.is_valid(trimmed), places, None)).cast(_TIME)
    if kind == pa.int64():
        trimmed = pc.utf8_ltrim(trimmed, "+")
    return trimmed.cast(kind)


def of_kind(texts: pa.Array, kind: Kind, name: str, decimal_comma: bool = False) -> pa.Array:
    """Read a column as the kind that it should have.

    Parameters
    ----------
    texts
        The column; null is missing.
    kind
        What it should be.
    name
        Of the column, for the refusal.
    decimal_comma
        Whether numbers may have one.

    Raises
    ------
    ColumnError
        Something in it is not of that kind; the text names the row.

    >>> of_kind(pa.array(["007", None, "1e3"]), "numeric", "n").to_pylist()
    [7.0, None, 1000.0]
    """
    if kind == "categorical":
        return with_points(texts) if decimal_comma else texts
    trimmed = _missing_out(texts)
    if kind == "boolean":
        return _booleans(trimmed, name)
    if _all_match(trimmed.drop_null(), _PATTERNS[pa.bool_()]):  # As a frame's truth values are written.
        return _booleans(trimmed, name).cast(pa.float64())
    try:
        return (with_points(trimmed) if decimal_comma else trimmed).cast(pa.float64())
    except pa.ArrowInvalid:
        row = next(row for row, text in enumerate(trimmed.to_pylist()) if text is not None and not _is_number(text))
        raise ColumnError(
            f"{name}: numeric expected, got {trimmed[row].as_py()[:60]!r} in row {row}; correct it, or watch the "
            f"column as categorical with kinds={{{name!r}: 'categorical'}}"
        ) from None


def with_points(texts: pa.Array) -> pa.Array:
    """Write numbers that have a decimal comma, in a whole column of numbers, with a point; else leave the column."""
    present = _present(texts)
    if not _all_match(present, _DECIMAL_COMMA) or not pc.any(pc.match_substring(present, ",")).as_py():
        return texts
    return pc.replace_substring(texts, ",", ".")


def _missing_out(texts: pa.Array) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.is_in(trimmed, _nulls()), pa.scalar(None, trimmed.type), trimmed)


def _present(texts: pa.Array) -> pa.Array:
    return _missing_out(texts).drop_null()


def _holds(texts: pa.Array, kind: pa.DataType) -> bool:
    if not _all_match(texts, _PATTERNS[kind]):
        return False
    if kind != _TIME:
        return True
    try:
        epoch_ms(texts)
    except TimesError:
        return False
    return True


def _all_match(texts: pa.Array, pattern: str) -> bool:
    if not len(texts):
        return True
    return bool(
        pc.all(pc.match_substring_regex(texts[:100], pattern)).as_py()
        and pc.all(pc.match_substring_regex(texts, pattern)).as_py()
    )


def _booleans(texts: pa.Array, name: str) -> pa.Array:
    encoded = texts.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    truths = [boolean_of(text) for text in values]
    if None in truths:
        odd = values[truths.index(None)]
        raise ColumnError(f"{name}: true or false expected, got {odd[:60]!r}; write true, false, 1 or 0")
    return pa.array(truths, pa.bool_()).take(encoded.indices)


def _is_number(text: str) -> bool:
    try:
        pa.scalar(text).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True
