"""Refused requests: those that became no row because nobody could read them, or they lack what the model needs.

They are counted by windows of their own, which never merge: where all requests are refused there are no rows that a
window could wait for. Like rows, those that came late by their own partition are left out, so however the counts of
several partitions lie between one another, a window holds the same.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from drift.counting.calendar import calendar_of
from drift.incidents.spelling import percent
from drift.windows.windows import Span
from streams.wire.records import MinuteCounts, RefusedCount, Watch

Why = tuple[str, str, str]
"""Reason, column, and the type that was found."""

#: Where more than this part of the requests is refused, the schema between the producer and the model is broken.
BROKEN = 0.5

_TYPES = {"str": "text", "float": "a number", "int": "a number", "bool": "a boolean", "null": "null"}
_EXPECTED = {"numeric": "a number", "boolean": "a boolean", "categorical": "text or a number"}
_WHY = {
    "empty": "they are empty",
    "oversize": "they are too large",
    "undecodable": "they cannot be decoded",
    "unknown_schema": "the registry does not know their schema",
    "wrong_type": "a field has another type",
    "missing_field": "a required field is missing",
    "no_known_feature": "none of their names is a feature of the model",
    "impossible_timestamp": "their time is no time, or lies ahead",
    "impossible_id": "their id is empty or too long",
    "model_failed": "the model fails on them",
}


class Refused(msgspec.Struct, kw_only=True, eq=False):
    """Requests of one model version that were refused, and its rows beside them, by minute, until they are looked at.

    ``edge`` is the end of the last window that was.
    """

    rows: dict[int, int] = {}
    requests: dict[int, dict[Why, int]] = {}
    edge: int | None = None

    def add(self, minutes: Iterable[MinuteCounts], refused: Iterable[RefusedCount]) -> None:
        """Add a block's timely rows and refused requests; what comes for a window that is over is left out."""
        for minute in minutes:
            if not minute.segment and not minute.late and self._open(minute.minute_ms):
                self.rows[minute.minute_ms] = self.rows.get(minute.minute_ms, 0) + minute.rows
        for one in refused:
            if self._open(one.minute_ms):
                held = self.requests.setdefault(one.minute_ms, {})
                why = (one.reason, one.column, one.got)
                held[why] = held.get(why, 0) + one.many

    def _open(self, minute_ms: int) -> bool:
        return self.edge is None or minute_ms >= self.edge

    def ready(self, watch: Watch, watermark_ms: int | None) -> Span | None:
        """The next window that is over, if the watermark says so; None asks for the next one, whatever the time is."""
        first = min((*self.rows, *self.requests), default=None)
        if first is None:
            return None
        start, end = calendar_of(watch).span(first)
        over = watermark_ms is None or end + watch.lateness_ms_max <= watermark_ms
        return Span(start, end) if over else None

    def take(self, span: Span) -> tuple[int, Mapping[Why, int]]:
        """Remove a window: its rows, and how many requests were refused beside them, and why."""
        self.edge = span.end
        rows = sum(self.rows.pop(minute) for minute in [*self.rows] if minute < span.end)
        refused: Counter[Why] = Counter()
        for minute in [minute for minute in self.requests if minute < span.end]:
            refused.update(self.requests.pop(minute))
        return rows, refused


def sentence(refused: Mapping[Why, int], requests: int, kinds: Mapping[str, str], since: str) -> str:
    """Say how many requests are refused, and why most of them are.

    Parameters
    ----------
    kinds
        Of the model's columns: numeric, boolean, categorical.

    >>> why = {("wrong_type", "AGEP", "str"): 30, ("undecodable", "", ""): 8}
    >>> sentence(why, 100, {"AGEP": "numeric"}, "07:46")
    '38 % of the requests since 07:46 are refused, mostly because AGEP is text where a number is expected'
    """
    many = sum(refused.values())
    most = min(refused, key=lambda why: (-refused[why], why))
    mostly = "" if len(refused) == 1 else "mostly "
    return (
        f"{percent(many / requests)} of the requests since {since} are refused, {mostly}because {_because(most, kinds)}"
    )


def _because(why: Why, kinds: Mapping[str, str]) -> str:
    reason, column, got = why
    if column and reason == "missing_field":
        return f"{column} is missing"
    if column and reason == "wrong_type":
        expected = _EXPECTED.get(kinds.get(column, ""), "something else")
        return f"{column} is {_TYPES.get(got, f'an {got}' if got else 'something else')} where {expected} is expected"
    return _WHY.get(reason, reason)
