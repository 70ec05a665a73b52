"""Lengths of time as people write them, in the settings and on the command line."""

import re
from decimal import Decimal
from typing import Any

_UNITS_MS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SPELLINGS = {
    "ms": ("ms", "msec", "millisecond", "milliseconds"),
    "s": ("s", "sec", "secs", "second", "seconds"),
    "min": ("m", "min", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "d": ("d", "day", "days"),
    "w": ("w", "week", "weeks"),
}
_UNIT_OF = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*")
_HELP = 'write a number with its unit, as in "500ms", "15min", "1h 30min" or "1d"; a bare number is milliseconds'


def duration_ms(value: Any) -> Any:
    """Read a length of time in ms; a bare number is milliseconds.

    Raises
    ------
    ValueError
        It is none; the text shows how one is written.

    >>> [duration_ms(text) for text in ("500ms", "15min", "1h 30min", "1.5 h", "1D", "60000", 60_000, 7.0)]
    [500, 900000, 5400000, 5400000, 86400000, 60000, 60000, 7]
    >>> duration_ms("1 fortnight")
    Traceback (most recent call last):
    ValueError: '1 fortnight' is no length of time; write a number with its unit, as in "500ms", "15min", "1h 30min" \
or "1d"; a bare number is milliseconds
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is no length of time; {_HELP}")
    if isinstance(value, int):
        return value
    text = str(value).strip()
    if re.fullmatch(r"-?\d+(\.0*)?", text):
        return int(text.partition(".")[0])
    parts = [(number, _unit(unit)) for number, unit in _PART.findall(text)]
    if not parts or _PART.sub("", text) or None in (unit for _, unit in parts):
        raise ValueError(f"{value!r} is no length of time; {_HELP}")
    total = sum(Decimal(number) * _UNITS_MS[unit] for number, unit in parts if unit)
    if total != int(total):
        raise ValueError(f"{value!r} is no whole number of milliseconds; {_HELP}")
    return int(total)


def duration_text(milliseconds: int) -> str:
    """Write a length of time so that `duration_ms` reads it.

    >>> [duration_text(ms) for ms in (0, 500, 60_000, 90_000, 5_400_000, 86_400_000, 604_800_000)]
    ['0ms', '500ms', '1min', '1min 30s', '1h 30min', '1d', '1w']
    """
    parts, rest = [], abs(milliseconds)
    for unit, length in reversed(_UNITS_MS.items()):
        number, rest = divmod(rest, length)
        parts += [f"{number}{unit}"] if number else []
    return ("-" if milliseconds < 0 else "") + (" ".join(parts) or "0ms")


def is_duration(key: str) -> bool:
    """Whether a setting is a length of time, by its name.

    >>> is_duration("sink.wait_ms_max"), is_duration("watch.window_ms"), is_duration("sink.rows_max")
    (True, True, False)
    """
    return key.removesuffix("_max").removesuffix("_min").endswith("_ms")


def _unit(text: str) -> str | None:
    """The unit that a text names; `M`, which others take for months, is none."""
    return None if text == "M" else _UNIT_OF.get(text.lower())
