"""One spelling of levels, booleans, numbers and nulls, whatever a value came in: JSON, Avro, Arrow, a frame, a CSV.

==================================  ========================================================================
value                               its level
==================================  ========================================================================
text                                itself; case and spaces count, and so do leading zeros
``True``, ``False``                 ``true``, ``false``
16, 16.0, ``Decimal("16.00")``      ``16``
0.5, float32 0.1                    the shortest text that reads back as the same number: ``0.5``, ``0.1``
a date, a time                      ``2024-01-31``, ``2024-01-31T08:00:00.000Z`` (naive: UTC)
a UUID                              its 36 characters
None, NaN, ``pandas.NA``, NaT       missing
==================================  ========================================================================
"""

import datetime as dt
import math
import re
import struct
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, TypeVar

#: Texts of a number, a boolean or a time that mean "no value" in a text file. In a column of text only the empty text
#: does: ``NA`` is a country.
NULL_TEXTS = ("", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "-NaN", "NULL", "null", "None", "<NA>", "#N/A")

_FLOAT32 = struct.Struct("f")
_BOOLEANS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
#: Texts that are a truth value.
BOOLEAN_TEXTS = ("true", "True", "TRUE", "1", "1.0", "false", "False", "FALSE", "0", "0.0")

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")

Place = TypeVar("Place")


def missing(value: Any) -> bool:
    """Whether a value is none: None, NaN, NaT, `pandas.NA`, a NaN of `decimal`.

    >>> import numpy as np
    >>> [missing(v) for v in (None, float("nan"), Decimal("NaN"), np.datetime64("NaT"), "", 0)]
    [True, True, True, True, False, False]
    """
    if value is None:
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    try:
        return bool(value != value)  # NaN and NaT alone differ from themselves.
    except (TypeError, ValueError):  # pandas.NA has no truth; an array has several.
        return type(value).__name__ == "NAType"


def level_text(value: Any) -> str:
    """Spell a categorical value as its level: one text per value, however a client wrote the number.

    >>> import numpy as np
    >>> [level_text(v) for v in (16, 16.0, "16", 0.5, True, " a ", np.float32(0.1), Decimal("1.50"))]
    ['16', '16', '16', '0.5', 'true', ' a ', '0.1', '1.5']
    """
    if isinstance(value, str):
        return value if value.isascii() else _encodable(value)
    if _is_boolean(value):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal | Real):
        return number_text(value)
    if isinstance(value, dt.datetime):
        moment = value.astimezone(dt.UTC) if value.tzinfo else value
        return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return _encodable(str(value))


def number_text(value: Any) -> str:
    """Spell a number: a whole one without a point, any other by the shortest text that reads back the same.

    >>> import numpy as np
    >>> [number_text(v) for v in (-0.0, 1e22, 2**70, float("inf"), Decimal("0.10"), np.float32(2.5))]
    ['0', '10000000000000000000000', '1180591620717411303424', 'inf', '0.1', '2.5']
    """
    if isinstance(value, int | Integral):
        return str(int(value))
    if isinstance(value, Decimal):
        return str(int(value)) if value.is_finite() and value == int(value) else repr(float(value))
    if math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value)


def boolean_of(value: Any) -> bool | None:
    """Read a boolean by its value; None where it is none.

    >>> [boolean_of(v) for v in (True, 1, 1.0, "true", "True", "1", "1.0", Decimal(1), "yes", 2, None)]
    [True, True, True, True, True, True, True, True, None, None, None]
    """
    if isinstance(value, str):
        return _BOOLEANS.get(value.strip().lower())
    if _is_boolean(value) or (isinstance(value, int | float | Decimal | Real) and value in (0, 1)):
        return bool(value)
    return None


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")  # NumPy's, and it is no number there.


def spells_number(text: str) -> bool:
    """Whether a text is a number without leading zeros, which would make a code of it.

    >>> [spells_number(text) for text in ("1.50", "-3", "1e5", "007", "1,5", "NaN")]
    [True, True, True, False, False, False]
    """
    return _NUMBER.fullmatch(text) is not None


class Levels(dict[str | None, Place]):
    """Looks levels up by their text, and by value where the text alone is not among them.

    A whole number may have been written with a point by a table with missing values (``"16.0"``), a float32 with the
    digits of a double (``"0.10000000149011612"``), and true as 1 where the levels are the two truth values. A level
    that is listed always means itself.

    >>> Levels({"16": 0, "07": 1})["16.0"], "7" in Levels({"07": 1}), Levels({"0": 0, "1": 1}).get("true")
    (0, False, 1)
    """

    def __init__(self, places: Mapping[str, Place]) -> None:
        super().__init__()
        self.update(places)
        self._truths: dict[bool, Place] = {}
        values = {text: boolean_of(text) for text in places}
        if None not in values.values() and len(set(values.values())) == len(places):
            self._truths = {bool(value): places[text] for text, value in values.items()}
        # Of two levels that are one number, neither is meant by a third spelling.
        numbers = [(number, code) for text, code in places.items() if (number := _single(text)) is not None]
        self._all_numbers = bool(places) and len(numbers) == len(places)
        times = Counter(number for number, _ in numbers)
        self._numbers = {number: code for number, code in numbers if times[number] == 1}

    def __missing__(self, text: str | None) -> Place:
        if text is not None:
            if self._truths and (truth := boolean_of(text)) in self._truths:
                return self._truths[bool(truth)]
            if self._numbers and (number := _single(text)) in self._numbers:
                return self._numbers[number]
        raise KeyError(text)

    def spelled(self, text: str) -> str:
        """Spell a level that is not listed as those that are: where all are numbers, a number as `number_text` does.

        >>> Levels({"1": 0, "2": 1}).spelled("11.0"), Levels({"1": 0, "x": 1}).spelled("11.0")
        ('11', '11.0')
        """
        if self._all_numbers and (number := _single(text)) is not None:
            return number_text(number if float(number).is_integer() else float(text))
        return text

    def get(self, text: Any, default: Any = None) -> Any:
        """Place of a level, else the default."""
        try:
            return self[text]
        except KeyError:
            return default


def _single(text: str) -> float | int | None:
    """The number that a text without leading zeros spells, as float32 holds it; whole numbers as they are."""
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    if math.isinf(number):
        return None
    if number.is_integer():
        return int(text) if text.lstrip("-").isdecimal() else number
    try:
        single: float = _FLOAT32.unpack(_FLOAT32.pack(number))[0]
    except OverflowError:
        return number
    return single


def _encodable(text: str) -> str:
    """Half a pair of surrogates has no UTF-8: it is kept as its escape."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
