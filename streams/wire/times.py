"""Event times of a column as milliseconds since 1970, in UTC.

=============================================  =============================================================
a column of                                    is read as
=============================================  =============================================================
timestamps, dates                              themselves; without a zone they are UTC
whole or fractional numbers                    seconds, ms, us or ns since 1970, whichever makes them times
                                               between 1973 and 2100; all of one unit
text                                           ISO 8601 (``2024-01-31 08:00``, RFC 3339); or digits, as numbers
=============================================  =============================================================

Anything else is refused by name: day first or month first nobody can know, and digits such as 20240131 are a date that
somebody has to say.
"""

import datetime as dt
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from streams.wire.time_limits import END_MS, FIRST_MS

#: Milliseconds of one second, millisecond, microsecond, nanosecond.
_UNITS_MS = (1000.0, 1.0, 1e-3, 1e-6)
_DIGITS = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class TimesError(ValueError):
    """A column that holds no event times; the text names the column, a value and the remedy."""


def epoch_ms(column: pa.ChunkedArray | pa.Array, name: str = "time") -> np.ndarray:
    """Read event times as int64 ms [rows].

    Raises
    ------
    TimesError
        Some row has no time, or what stands there is none.

    >>> epoch_ms(pa.array([1_700_000_000, 1_700_000_060])).tolist()
    [1700000000000, 1700000060000]
    >>> epoch_ms(pa.array(["2023-11-14T22:13:20Z"])).tolist()
    [1700000000000]
    """
    if pt.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    if column.null_count:
        row = pc.index(pc.is_null(column), True).as_py()
        raise TimesError(f"time column {name!r} has rows without a time, the first is row {row}; drop them")
    kind = column.type
    if pt.is_timestamp(kind) or pt.is_date(kind):
        return _of_timestamps(column)
    if pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind):
        return _of_texts(column, name)
    if pt.is_decimal(kind):
        column = pc.cast(column, pa.float64(), safe=False)
    if not (pt.is_integer(column.type) or pt.is_floating(column.type)):
        raise TimesError(f"time column {name!r} is {kind}; timestamps, milliseconds since 1970 or RFC 3339 expected")
    return _of_numbers(np.asarray(column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else
                                  column.to_numpy()), name)  # fmt: skip


def _of_timestamps(column: Any) -> np.ndarray:
    zone = column.type.tz if pt.is_timestamp(column.type) else None
    ms = pc.cast(pc.cast(column, pa.timestamp("ms", zone), safe=False), pa.int64())
    whole = ms.combine_chunks() if isinstance(ms, pa.ChunkedArray) else ms
    return np.asarray(whole.to_numpy(zero_copy_only=False), np.int64)


def _of_numbers(values: np.ndarray, name: str) -> np.ndarray:
    if not len(values):
        return np.zeros(0, np.int64)
    if not np.isfinite(values).all():
        raise TimesError(f"time column {name!r} has rows without a time, or infinite ones; drop them")
    low, high = values.min(), values.max()
    shown = f"{low:.15g} to {high:.15g}" if low != high else f"{low:.15g}"
    if written := _written_as_date(values):
        raise TimesError(
            f"time column {name!r} cannot be read as times: {shown} is digits of a date, no count since 1970; "
            f"convert it with pandas.to_datetime(column, format={written!r})"
        )
    for step in _UNITS_MS:
        if low * step >= FIRST_MS and high * step < END_MS:
            return _scaled(values, step)
    raise TimesError(
        f"time column {name!r} cannot be read as times: {shown} is neither seconds, milliseconds, microseconds nor "
        f"nanoseconds since 1970 of the years 1973 to 2099; convert it to timestamps"
    )


def _scaled(values: np.ndarray, step: float) -> np.ndarray:
    if values.dtype.kind in "iu":
        whole = values.astype(np.int64)
        return whole * int(step) if step >= 1 else whole // round(1 / step)
    return np.rint(values.astype(np.float64) * step).astype(np.int64)


def _written_as_date(values: np.ndarray) -> str:
    """Format of numbers that are digits of a date; a few look so by chance, all of them do not."""
    if values.dtype.kind == "f" and (values != np.floor(values)).any():
        return ""
    several = np.unique(values)[:: max(1, len(values) // 1000)].astype(np.int64)
    written = _DIGITS.get(len(str(several[0])), "")
    return written if written and all(_is_date(str(value), written) for value in several.tolist()) else ""


def _is_date(digits: str, written: str) -> bool:
    try:
        return 1900 <= dt.datetime.strptime(digits, written).year < 2100
    except ValueError:
        return False


def _of_texts(column: Any, name: str) -> np.ndarray:
    texts = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
    if len(texts) and pc.all(pc.match_substring_regex(texts, r"^\d+(\.\d+)?$")).as_py():
        whole = not pc.any(pc.match_substring(texts, ".")).as_py()
        numbers = pc.cast(texts, pa.int64() if whole else pa.float64())
        return epoch_ms(numbers, name)
    encoded = pc.dictionary_encode(texts)
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    known = np.array([_of_text(text, name) for text in encoded.dictionary.to_pylist()], np.int64)
    return np.asarray(known[encoded.indices.to_numpy(zero_copy_only=False)], np.int64)


def _of_text(text: str, name: str) -> int:
    try:
        if not _ISO.fullmatch(text):
            raise ValueError
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise TimesError(
            f"time column {name!r} cannot be read as times: {text[:60]!r} is no ISO 8601 (2024-01-31T08:00:00Z); "
            f"convert it with pandas.to_datetime, naming dayfirst= or format="
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return (moment - _EPOCH) // dt.timedelta(milliseconds=1)
