"""The section `[watch]`: what a model is watched with from its first route on; its keys are fields of
`streams.wire.records.Watch`, which also checks the values."""

import difflib
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

import msgspec

from driftline.durations import duration_ms, is_duration
from streams.wire.records import ColumnWatch, Watch

#: What each key means, and in what unit.
KEYS: dict[str, str] = {
    "false_alarm_every": "expected windows between two false incidents, over all columns of a model",
    "window_ms": "length of a window of event time",
    "timezone": "time zone in which windows begin, an IANA name",
    "window_rows_min": "a window with fewer rows merges with the next",
    "lateness_ms_max": "how long after its end a window waits for late rows, in event time",
    "label_wait_ms_max": "how long after its end a window's performance waits for labels; longer where most come later",
    "tolerances": "least effect that matters: ks, w1, tvd, rate (share), performance (share of the reference loss)",
    "columns": "by column: its own tolerance (KS or TVD), or exclude",
    "exclude": "columns that are counted and shown but never open an incident: names, or patterns with * and ?",
    "budget": "shares of the false alarms: performance, prediction, feature, quality",
    "page_from": "mildest severity that pages; a milder incident is listed, and orders no retraining",
}

#: Which values a key takes; `streams.wire.records.Watch` checks them.
RANGES: dict[str, str] = {
    "false_alarm_every": "above 1, at most 1e12",
    "window_ms": "whole minutes, 1min to 366d; in a zone other than UTC it divides a day, or is whole days",
    "timezone": "a name of the IANA list",
    "window_rows_min": "0 or more",
    "lateness_ms_max": "0 to 366d",
    "label_wait_ms_max": "0 to 3660d",
    "tolerances": "each from 1e-09 to 1e12",
    "columns": "tolerance from 1e-09 to 1",
    "exclude": "",
    "budget": "each 0 or more; they sum to 1",
    "page_from": "watch, warning or critical",
}


class WatchError(ValueError):
    """A key or a value of `[watch]` that cannot hold."""


def defaults() -> dict[str, Any]:
    """Every key with its default."""
    plain: dict[str, Any] = msgspec.to_builtins(Watch())
    return {key: plain[key] for key in KEYS}


def watch_of(table: Mapping[str, Any]) -> Watch:
    """Read the section, its lengths of time as people write them.

    Raises
    ------
    WatchError
        It names a key that is none, or a value that cannot hold.

    >>> watch_of({"window_ms": "1d", "tolerances": {"ks": 0.1}}).window_ms
    86400000
    >>> watch_of({"window": "1d"})
    Traceback (most recent call last):
    driftline.watch_settings.WatchError: [watch] `window` is no setting; did you mean window_ms? its keys are \
false_alarm_every, window_ms, timezone, window_rows_min, lateness_ms_max, label_wait_ms_max, tolerances, columns, \
exclude, budget, page_from
    """
    if not isinstance(table, Mapping):
        raise WatchError(f"[watch] is a table with the keys {', '.join(KEYS)}; got {table!r}")
    for key in table:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1, 0.5)
            meant = f"did you mean {near[0]}? " if near else ""
            raise WatchError(f"[watch] `{key}` is no setting; {meant}its keys are {', '.join(KEYS)}")
    given = {key: _read(key, value) for key, value in table.items()}
    _check_choice("page_from", given)
    for name, column in _columns(given).items():
        try:
            msgspec.convert(column, ColumnWatch, strict=False)
        except msgspec.ValidationError as error:
            keys = ", ".join(ColumnWatch.__struct_fields__)
            raise WatchError(f"[watch] columns.{name}: {error}; its keys are {keys}") from None
    try:
        # Not strict: what stands in the environment is text.
        return msgspec.convert(given, Watch, strict=False)
    except msgspec.ValidationError as error:
        raise WatchError(f"[watch] {error}") from None


def _check_choice(key: str, given: Mapping[str, Any]) -> None:
    choices = get_args(get_type_hints(Watch)[key])
    if key in given and given[key] not in choices:
        raise WatchError(f"[watch] {key} is {given[key]!r}; make it {' or '.join(choices)}")


def _columns(given: Mapping[str, Any]) -> Mapping[str, Any]:
    columns = given.get("columns", {})
    return columns if isinstance(columns, Mapping) else {}


def _read(key: str, value: Any) -> Any:
    try:
        if is_duration(key):
            return duration_ms(value)
        if key in ("tolerances", "budget"):
            return {name: _number(name, inner) for name, inner in _table(_decoded(value)).items()}
        return _decoded(value) if key in ("columns", "exclude") else value
    except ValueError as error:
        raise WatchError(f"[watch] {key}: {error}") from None


def _decoded(value: Any) -> Any:
    """A table or a list in a variable of the environment is JSON."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            raise ValueError(f"{value!r} is no JSON ({error}); in the environment write a table as JSON") from None
    return value


def _table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is no table; write {{ ks = 0.1 }}, say")
    return value


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}; make it a number, as in {name} = 0.1") from None
