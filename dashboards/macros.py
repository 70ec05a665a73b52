"""Grafana's macros in our queries, expanded for whoever asks without Grafana: the built-in page and the tests.

A query is written once, as Grafana's ClickHouse plugin reads it. Here a variable becomes a bound parameter
(``{model:String}``), so that no value ever meets the SQL's text; the times and the interval are ours.

=========================  ==================================================================
macro                      becomes
=========================  ==================================================================
``$__timeFilter_ms(c)``    ``c >= from AND c <= to``, in milliseconds
``$__timeFilter(c)``       the same, in seconds
``$__fromTime_ms``         the range's begin; also ``$__toTime_ms``, ``$__fromTime``, ``$__toTime``
``$__timeInterval_ms(c)``  begin of the drawing interval that ``c`` lies in; also ``$__timeInterval``; of
                           ``window_start``, where an interval is a window, itself
``$__interval_s``          the drawing interval in seconds
``${name:singlequote}``    ``{name:String}``
=========================  ==================================================================
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

_VARIABLE = re.compile(r"\$\{(\w+):singlequote\}")
_MACRO = re.compile(r"\$__(\w+?)(?:\(([^()]*)\)|\b(?!\())")

#: More points than this across a chart show nothing more.
POINTS_MAX = 240


class MacroError(ValueError):
    """A query uses a macro or a variable that is not known here."""


class Range(msgspec.Struct, frozen=True):
    """The stretch of event time that is looked at, both ends included, in ms UTC."""

    start_ms: int
    end_ms: int
    step_ms_min: int = 60_000

    @property
    def interval_s(self) -> int:
        """Length of one drawing interval: whole steps, at most `POINTS_MAX` of them.

        >>> Range(0, 3_600_000).interval_s, Range(0, 86_400_000).interval_s
        (60, 360)
        """
        wanted = (self.end_ms - self.start_ms) / POINTS_MAX
        return max(1, -(-int(wanted) // self.step_ms_min)) * self.step_ms_min // 1000


def expand(sql: str, over: Range, variables: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """Turn a query for Grafana into one for ClickHouse, with its parameters.

    Parameters
    ----------
    sql
        With macros as in the table above.
    over
        The stretch of event time, and the least length of a drawing interval.
    variables
        A value for each variable that the query names; others may be there. Values are bound, never written into the
        SQL.

    Raises
    ------
    MacroError
        The query names a variable that is not given, or a macro that Grafana knows and we do not.

    >>> expand("SELECT $__timeInterval(ts) FROM t WHERE model = ${model:singlequote}", Range(0, 0), {"model": "m"})
    ('SELECT toStartOfInterval(toDateTime(ts), INTERVAL 60 second) FROM t WHERE model = {model:String}', {'model': 'm'})
    """
    used: dict[str, Any] = {}

    def variable(match: re.Match[str]) -> str:
        name = match[1]
        if name not in variables:
            raise MacroError(f"the query needs ${{{name}}}, given are {sorted(variables)}; give it a value")
        used[name] = variables[name]
        return f"{{{name}:String}}"

    def macro(match: re.Match[str]) -> str:
        if match[1] not in _MACROS:
            raise MacroError(f"no macro $__{match[1]}; known are {sorted(_MACROS)}")
        return _MACROS[match[1]](over, match[2] or "")

    return _MACRO.sub(macro, _VARIABLE.sub(variable, sql)), used


def _seconds(ms: int) -> str:
    return f"toDateTime({ms // 1000})"


def _milliseconds(ms: int) -> str:
    return f"fromUnixTimestamp64Milli({ms})"


def _between(column: str, over: Range, moment: Callable[[int], str]) -> str:
    return f"{column} >= {moment(over.start_ms)} AND {column} <= {moment(over.end_ms)}"


def _begin_of_interval(over: Range, column: str) -> str:
    """Begin of the interval of an instant; of a window, where one interval is one window, its own begin.

    Days begin elsewhere than UTC's, and twice a year an hour earlier or later: by UTC's, two would share one interval.
    """
    if column == "window_start" and over.interval_s * 1000 == over.step_ms_min:
        return column
    return f"toStartOfInterval(toDateTime64({column}, 3), INTERVAL {over.interval_s * 1000} millisecond)"


_MACROS: dict[str, Callable[[Range, str], str]] = {
    "fromTime": lambda over, _: _seconds(over.start_ms),
    "toTime": lambda over, _: _seconds(over.end_ms),
    "fromTime_ms": lambda over, _: _milliseconds(over.start_ms),
    "toTime_ms": lambda over, _: _milliseconds(over.end_ms),
    "timeFilter": lambda over, column: _between(column, over, _seconds),
    "timeFilter_ms": lambda over, column: _between(column, over, _milliseconds),
    "timeInterval": lambda over, column: f"toStartOfInterval(toDateTime({column}), INTERVAL {over.interval_s} second)",
    "timeInterval_ms": _begin_of_interval,
    "interval_s": lambda over, _: str(over.interval_s),
}
