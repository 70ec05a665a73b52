"""Clauses that sentences are made of: how a column moved, what it did to performance."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from dashboards import words

_METRICS = ("auc", "accuracy", "mae", "rmse", "brier")
#: Metrics that are best at 1; the others are best at 0.
_SHARES = ("auc", "accuracy", "f1", "r2")
#: By how much a loss may be larger where a report of an older version does not say.
_TOLERATED = 0.05
#: Cells of values that are none of a column's own.
_SPECIAL = {"null", "unseen", "other", "out-of-range", "+inf", "-inf"}


def moved(columns: list[dict[str, Any]]) -> str:
    """What moved and how, from the columns that an incident names.

    >>> levels = '[{"level": "16", "reference": 0.038, "current": 0}]'
    >>> moved([{"column": "RELP", "levels": levels, "statistic": "tvd"}])
    'RELP has moved: level 16 fell from 3.8 % to 0 %.'
    """
    if not columns or any(row.get("role") == "performance" for row in columns):
        return ""  # The alert's text says what became of a loss.
    names = words.listed([row["column"] for row in columns])
    how = shifted(columns[0])
    verb = "has moved" if len(columns) == 1 else "have moved"
    first = f"in {columns[0]['column']}, " if len(columns) > 1 and how else ""
    return f"{names} {verb}{': ' + first + how if how else ''}."


def between(change: dict[str, Any], clock: Callable[[int], str]) -> str:
    """The interval of a change point; empty where both of its ends read alike, which says nothing.

    >>> between({"change_point_low": 0, "change_point_high": 60_000}, words.clock)
    'between Jan 1, 1970, 00:00 and Jan 1, 1970, 00:01'
    >>> between({"change_point_low": 0, "change_point_high": 0}, words.clock)
    ''
    """
    low, high = clock(change["change_point_low"]), clock(change["change_point_high"])
    return f"between {low} and {high}" if low != high else ""


def shifted(column: dict[str, Any]) -> str:
    """How a column that an incident names has moved: the levels are those that its alert has chosen.

    >>> levels = [{"level": "16", "reference": 0.038, "current": 0}, {"level": "17", "reference": 0.035, "current": 0}]
    >>> shifted({"levels": json.dumps(levels), "statistic": "tvd"})
    'levels 16 and 17 fell from 7.3 % to 0 %'
    """
    levels = json.loads(column["levels"] or "[]")
    if not levels:
        return ""
    then, now = (sum(level[key] for level in levels) for key in ("reference", "current"))
    what = _levels([level["level"] for level in levels], numeric=column["statistic"] == "ks")
    return f"{what} {'fell' if now < then else 'rose'} from {words.share(then)} to {words.share(now)}"


def _levels(names: list[str], numeric: bool) -> str:
    """How people call levels; of a column of numbers it is one side of an edge, or a single value."""
    if _SPECIAL.issuperset(names):
        return f"{words.listed(names)} values"
    if numeric:
        return f"the share of values {names[0]}"
    return f"{'level' if len(names) == 1 else 'levels'} {words.listed(names)}"


_ANSWERS = {"score": "score", "prediction": "predicted class"}


def answers(predictions: list[dict[str, Any]]) -> str:
    """What became of the model's answers since an incident began, as its newest alert says; empty where it does not.

    >>> score = {"name": "score", "statistic": "ks", "effect": 0.0, "low": 0.0, "high": 0.02, "n": 5000}
    >>> answers([score | {"word": "unchanged"}])
    'Predictions unchanged (score: KS distance at most 0.02).'
    >>> answers([score | {"word": "unclear", "high": 0.08, "n": 500}])
    'Whether predictions changed is still unclear (score: KS distance 0 to 0.08 in 500 rows).'
    """
    if not predictions:
        return ""
    words = {row["word"] for row in predictions}
    word = "changed" if "changed" in words else "unclear" if "unclear" in words else "unchanged"
    sizes = "; ".join(_size(row) for row in predictions if row["word"] == word)
    begin = {
        "changed": "Predictions changed, too",
        "unclear": "Whether predictions changed is still unclear",
        "unchanged": "Predictions unchanged",
    }
    return f"{begin[word]} ({sizes})."


def _size(row: dict[str, Any]) -> str:
    distance = f"{_ANSWERS.get(row['name'], row['name'])}: {words.distance(row['statistic'])}"
    if row["word"] == "changed":
        return f"{distance} {words.figure(row['effect'])}"
    if row["word"] == "unchanged":
        return f"{distance} at most {words.figure(row['high'])}"
    return f"{distance} {words.figure(row['low'])} to {words.figure(row['high'])} in {words.figure(row['n'])} rows"


def performance(rows: list[dict[str, Any]]) -> str:
    """The first metric's newest figure against training, in one sentence.

    >>> row = {"metric": "auc", "time": 1, "realised": 0.877, "low": 0.846, "high": 0.908, "estimated": 0.84,
    ...     "reference": 0.845, "coverage": 0.6, "outside": 0.0}
    >>> performance([row])
    'Whether AUC changed is unclear: 0.877 [0.846, 0.908], 0.845 in the reference data; labels cover 60 % of the rows.'
    >>> said = performance([row | {"realised": None, "estimated": None, "estimated_outside": 0.84, "outside": 0.97}])
    >>> said.partition("usual, ")[2]
    '97 % of the rows lie outside the reference data: not to be trusted; no labels yet.'
    """
    last = newest(rows)
    if not last:
        return ""
    metric = words.metric(last["metric"])
    if last["realised"] is not None:
        span = f" {words.interval(last['low'], last['high'])}" if last["low"] is not None else ""
        figure = f"{words.figure(last['realised'])}{span}{_in_reference(last)}"
        labels = f"labels cover {words.share(last['coverage'])} of the rows"
        return f"{_compared(metric, _against(last))}{figure}; {labels}."
    if last.get("estimated_outside") is not None:
        share = words.share(last["outside"])
        left = f"in one column, beyond the usual, {share} of the rows lie outside the reference data: not to be trusted"
        return f"{_capital(metric)} estimated {words.figure(last['estimated_outside'])}, but {left}; no labels yet."
    if last["estimated"] is None or last["reference"] is None:
        return ""
    return f"{_capital(metric)} estimated {words.figure(last['estimated'])}{_in_reference(last)}; no labels yet."


def _in_reference(row: dict[str, Any]) -> str:
    return "" if row["reference"] is None else f", {words.figure(row['reference'])} in the reference data"


def _compared(metric: str, word: str) -> str:
    """How a metric stands against the reference data, up to its figure."""
    if word == "unclear":
        return f"Whether {metric} changed is unclear: "
    return f"{_capital(metric)} {word}: " if word else f"{_capital(metric)} "


def _against(row: dict[str, Any]) -> str:
    """The word for a realised figure against that of the training data."""
    if row["low"] is None or row["reference"] is None:
        return ""
    at_best = 1.0 if row["metric"] in _SHARES else 0.0
    share = _TOLERATED if row.get("tolerance") is None else row["tolerance"]
    allowed = share * abs(at_best - row["reference"])
    low, high = sorted(abs(at_best - row[end]) - abs(at_best - row["reference"]) for end in ("low", "high"))
    gap = max(low, -high, 0.0), max(abs(low), abs(high))
    return words.verdict(*gap, allowed)


def awaited(rows: list[dict[str, Any]]) -> str:
    """How the labels of the shown predictions stand, against what is usual by their ages; empty where nothing is.

    >>> awaited([{"rows": 300, "covered": 0.6, "expected": 0.6}, {"rows": 100, "covered": 0.1, "expected": 0.3}])
    'labels cover 47.5 %, by these ages 52.5 % are usual'
    >>> awaited([{"rows": 0, "covered": None, "expected": 0.1}])
    ''
    """
    known = [row for row in rows if row["rows"]]
    if not known:
        return ""
    total = sum(row["rows"] for row in known)
    now, usual = (sum(row["rows"] * row[key] for row in known) / total for key in ("covered", "expected"))
    return f"labels cover {words.share(now)}, by these ages {words.share(usual)} are usual"


def newest(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The primary metric's newest window that has labels, where there is one, else its newest; empty without any."""
    speaks = primary([row["metric"] for row in rows]) if rows else ""
    mine = [row for row in rows if row["metric"] == speaks]
    return max(mine, key=lambda row: (row["realised"] is not None, row["time"]), default={})


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def primary(metrics: list[str]) -> str:
    """The metric that speaks for a model."""
    return min(set(metrics), key=lambda name: (_METRICS.index(name) if name in _METRICS else len(_METRICS), name))


def refused(letters: Sequence[dict[str, Any]]) -> str:
    """How many requests were refused, and why; empty where none was.

    >>> row = {"stage": "score", "reason": "unknown_model", "rows": 4_998, "example": "no route for 'x'"}
    >>> refused([row, {**row, "reason": "wrong_type", "rows": 2}, {**row, "stage": "join"}])
    '5,000 requests were refused: unknown model (4,998) and wrong type (2).'
    """
    reasons = [(row["reason"].replace("_", " "), int(row["rows"])) for row in letters if row["stage"] == "score"]
    if not reasons:
        return ""
    total = sum(rows for _, rows in reasons)
    why = words.listed([f"{reason} ({rows:,})" for reason, rows in reasons])
    return f"{total:,} {'request was' if total == 1 else 'requests were'} refused: {why}."
