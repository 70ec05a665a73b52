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
from drift.incidents.text import Text, since, subject, text
from drift.windows.window_record import Span
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


class RefusedRequests(msgspec.Struct, kw_only=True, eq=False):
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
        for count in refused:
            if self._open(count.minute_ms):
                reasons = self.requests.setdefault(count.minute_ms, {})
                why = (count.reason, count.column, count.got)
                reasons[why] = reasons.get(why, 0) + count.many

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

    def pop(self, span: Span) -> tuple[int, Mapping[Why, int]]:
        """Remove a window: its rows, and how many requests were refused beside them, and why."""
        self.edge = span.end
        rows = sum(self.rows.pop(minute) for minute in [*self.rows] if minute < span.end)
        refused: Counter[Why] = Counter()
        for minute in [minute for minute in self.requests if minute < span.end]:
            refused.update(self.requests.pop(minute))
        return rows, refused


def sentence(refused: Mapping[Why, int], requests: int, kinds: Mapping[str, str], since_ms: int) -> Text:
    """Say how many requests are refused, and why most of them are.

    Parameters
    ----------
    refused
        Requests by reason, column and the type that was found.
    requests
        All requests, the refused among them.
    kinds
        Of the model's columns: numeric, boolean, categorical.
    since_ms
        When it began.

    >>> why = {("wrong_type", "AGEP", "str"): 30, ("undecodable", "", ""): 8}
    >>> "".join(part.text for part in sentence(why, 100, {"AGEP": "numeric"}, 0))
    '38 % of the requests are refused, mostly because AGEP is text where a number is expected'
    """
    most = min(refused, key=lambda why: (-refused[why], why))
    mostly = "" if len(refused) == 1 else "mostly "
    share = percent(sum(refused.values()) / requests)
    return text(f"{share} of the requests", since(since_ms), f" are refused, {mostly}because ", _because(most, kinds))


def _because(why: Why, kinds: Mapping[str, str]) -> Text:
    reason, column, got = why
    if column and reason == "missing_field":
        return text(subject(column), " is missing")
    if column and reason == "wrong_type":
        expected = _EXPECTED.get(kinds.get(column, ""), "something else")
        given = _TYPES.get(got, f"an {got}" if got else "something else")
        return text(subject(column), f" is {given} where {expected} is expected")
    return text(_WHY.get(reason, reason))
