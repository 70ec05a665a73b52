"""The sentence that opens every page: the answer, in words that can be read aloud at 3 a.m."""

import json
from datetime import UTC, tzinfo
from typing import Any, Literal

import msgspec

from dashboards import words
from dashboards.page import clauses, live
from dashboards.page.alert_text import decided, leads, rendered
from dashboards.page.page_data import PageData

Severity = Literal["quiet", "watch", "warning", "critical", "empty"]

#: A station further behind than this does not keep up.
BEHIND_MS_MAX = 60_000
_LIVE_STEPS = ("score", "count", "join", "sink")


class Verdict(msgspec.Struct, frozen=True):
    """How bad it is, and the sentence."""

    severity: Severity
    text: str


def say(data: PageData, zone: tzinfo = UTC) -> Verdict:
    """The sentence of a page, its times in the reader's zone."""
    return _SAY[data.address.page](data, zone)


def _fleet(data: PageData, zone: tzinfo) -> Verdict:
    models = data.rows("fleet")
    if not models:
        return _unanswered(data)
    verdict = _worst(models, data, zone)
    if refused := clauses.refused(data.rows("dead_letters")):
        severity: Severity = "watch" if verdict.severity == "quiet" else verdict.severity
        return Verdict(severity, f"{verdict.text} {refused}")
    return verdict


def _worst(models: list[dict[str, Any]], data: PageData, zone: tzinfo) -> Verdict:
    """Of models that have answered, the one that needs somebody most."""
    moved = [row for row in models if row["open_incidents"]]
    if not moved:
        return _quiet(models)
    worst, rest = moved[0], len(models) - len(moved)
    text = f"{worst['model']}: {_small(_rendered(worst, worst['since'], 'since {},', data, zone))}"
    others = (
        f" {words.plural(len(moved) - 1, 'more model has', 'more models have')} an open incident."
        if len(moved) > 1
        else ""
    )
    quiet = f" {words.plural(rest, 'other model is quiet', 'other models are quiet')}." if rest else ""
    return Verdict(_severity(worst["severity"]), f"{text.rstrip('.')}.{others}{quiet}")


def _quiet(models: list[dict[str, Any]]) -> Verdict:
    """Models without an open incident: only those of which a window was judged are known to be quiet."""
    judged = [row["model"] for row in models if row["watched"]]
    young = [row["model"] for row in models if not row["watched"]]
    unknown = f"No window of {words.listed(young)} has been judged yet." if young else ""
    if not judged:
        return Verdict("empty", unknown)
    named = f" {judged[0]}" if young and len(judged) == 1 else ""
    are = f"The model{named} is" if len(judged) == 1 else f"{len(judged) if young else f'All {len(judged)}'} models are"
    quiet = f"{are} quiet: no incident is open."
    return Verdict("quiet", " ".join(filter(None, [quiet, unknown])))


def _unanswered(data: PageData) -> Verdict:
    """No model has answered: because requests are refused, or because a worker waits, or because none came."""
    if refused := clauses.refused(data.rows("dead_letters")):
        return Verdict("critical", f"No request has been answered. {refused}")
    reasons = (step.get("waits") or step.get("trouble") for _, step in live.steps(data.live, "score"))
    waits = next(filter(None, reasons), "")
    return Verdict("empty", f"No model has answered a request yet{': ' if waits else ''}{waits}.")


def _model(data: PageData, zone: tzinfo) -> Verdict:
    map_rows, incidents = data.rows("drift_map"), data.rows("incidents")
    if not map_rows and not data.rows("traffic"):
        return Verdict("empty", f"Nothing is known of {data.address.model} in this stretch of time.")
    cost = clauses.performance(data.rows("performance"))
    open_ones = [row for row in incidents if row["closed"] is None]
    refused = [refusal.sentence for refusal in live.refusals(data.live, data.address.model)]
    if not open_ones:
        calm = " ".join(filter(None, [*refused, *_largest(map_rows), cost]))
        return Verdict("warning" if refused else "quiet", calm)
    incident = open_ones[0]
    columns = data.rows("incident_columns")
    # A loss is no column that a reader knows: its alert says what it is in words.
    loss = incident.get("kind") == "performance"
    began, what = incident["change_point"], "" if loss else clauses.moved(columns)
    if what:
        text = f"Since {_clock(began, data, zone)} {what.rstrip('.')}."
    else:
        text = f"{_rendered(incident, began, 'Since {}', data, zone).rstrip('.')}."
    named = loss or any(row["role"] == "prediction" for row in columns)
    score = "" if named else clauses.answers(json.loads(incident.get("predictions") or "[]")) or _drifted(map_rows)
    more = len(open_ones) - 1
    others = words.plural(more, "more incident is open.", "more incidents are open.") if more else ""
    sentences = " ".join(filter(None, [text, score, others, cost, *refused]))
    return Verdict(_severity(incident["severity"]), sentences)


def _largest(map_rows: list[dict[str, Any]]) -> tuple[str, str]:
    """That nothing has moved, where that is known, and how near to its tolerance a column is in the newest window."""
    if not map_rows:
        return "", "No window has closed yet."
    newest = max(row["time"] for row in map_rows)
    last = [row for row in map_rows if row["time"] == newest]
    worst = max(last, key=lambda row: row["ratio"])
    watched = f"{words.plural(len(last), 'column')} watched; the largest effect is {worst['column']}"
    if worst["ratio"] > 1:
        far = f"at {words.figure(worst['ratio'])} times its tolerance, which its window alone does not prove"
        return "Nothing has moved for certain.", f"{watched}, {far}."
    return "Nothing has moved.", f"{watched} at {words.share(worst['ratio'])} of its tolerance."


def _drifted(map_rows: list[dict[str, Any]]) -> str:
    """What the newest window says of the predictions, where the alert says nothing: one window proves no calm."""
    newest = max((row["time"] for row in map_rows), default=0)
    last = [row for row in map_rows if row["time"] == newest and row["role"] == "prediction"]
    if not last:
        return ""
    return (
        "Predictions changed, too."
        if any(row["drifted"] for row in last)
        else "Whether predictions changed is still unclear."
    )


def _column(data: PageData, zone: tzinfo) -> Verdict:
    name, effects = data.address.column, data.rows("column_effect")
    if not effects:
        return Verdict("empty", f"No window of {name} has closed in this stretch of time.")
    last = effects[-1]
    word = words.verdict(last["low"], last["high"], last["tolerance"])
    size = (
        f"{words.distance(last['statistic'])} {words.figure(last['effect'])} "
        f"{words.interval(last['low'], last['high'])}, tolerated {words.figure(last['tolerance'])}."
    )
    naming = [row for row in data.rows("incidents") if name in row["columns"] and row["closed"] is None]
    if not naming:
        return Verdict("quiet", f"No incident names {name}; in the newest window it is {word}: {size}")
    how = next((clauses.shifted(row) for row in data.rows("incident_columns") if row["column"] == name), "")
    since = _clock(naming[0]["change_point"], data, zone)
    return Verdict(
        _severity(naming[0]["severity"]),
        f"{name} has moved since {since}{': ' + how if how else ''}. In the newest window: {size}",
    )


def _incident(data: PageData, zone: tzinfo) -> Verdict:
    events = data.rows("incident")
    if not events:
        return Verdict("empty", f"No incident is called {data.address.incident}.")
    last = events[-1]
    between = clauses.between(last, lambda ms: _clock(ms, data, zone))
    since = f"Since {_clock(last['change_point'], data, zone)}{f' ({between})' if between else ''}"
    # A close says that it is over, and an act who decided what: the sentence is about what had happened.
    telling = next((event for event in reversed(events) if event["event"] != "close" and not event["act"]), last)
    moved = "" if telling["kind"] == "performance" else clauses.moved(data.rows("incident_columns"))
    text = (
        f"{since} {moved}" if moved else f"{_rendered(telling, last['change_point'], since, data, zone).rstrip('.')}."
    )
    paged = next((row for row in events if row["page"]), None)
    orders = data.rows("incident_orders")
    then = [f"Paged at {_clock(paged['time'], data, zone)}." if paged else "No one was paged."]
    then += [f"Retraining ordered at {_clock(orders[0]['time'], data, zone)}."] if orders else []
    then += _decided(events, data, zone)
    closed = last["event"] == "close"
    then += [f"Closed at {_clock(last['time'], data, zone)}." if closed else "Still open."]
    return Verdict("quiet" if closed else _severity(last["severity"]), " ".join([text, *then]))


def _decided(events: list[dict[str, Any]], data: PageData, zone: tzinfo) -> list[str]:
    """Who decided what of an incident last; nothing where nobody did."""
    newest = next((row for row in reversed(events) if row["act"]), None)
    what = "" if newest is None else decided(newest, lambda ms: _clock(ms, data, zone))
    return [f"{what[:1].upper()}{what[1:]}."] if what else []


def _pipeline(data: PageData, zone: tzinfo) -> Verdict:  # noqa: ARG001
    roles, refused = data.live.get("roles", {}), _refused(data)
    steps = [step for role in roles.values() for step in role.get("steps", [])]
    down = [name for name, role in roles.items() if role.get("state", "up") != "up"]
    if down:
        return Verdict("critical", f"{words.listed(down)} {'is' if len(down) == 1 else 'are'} not running.{refused}")
    if trouble := _trouble(steps, data):
        return Verdict("warning", f"{trouble}{refused}")
    if not any(step["step"] == "score" for step in steps):
        stored = "; the store has rows" if data.rows("rates") else ""
        return Verdict("empty", f"No part of the system reports its state{stored}.{refused}")
    return Verdict("watch" if refused else "quiet", f"Everything keeps up: {_pace(data)}.{refused}")


def _refused(data: PageData) -> str:
    """How many records were refused, as a clause; empty where none was."""
    rows = data.rows("dead_letters")
    letters = sum(row["rows"] for row in rows)
    what = "request" if all(row["stage"] == "score" for row in rows) else "record"
    return f" {words.plural(letters, f'{what} was', f'{what}s were')} refused." if letters else ""


def _trouble(steps: list[dict[str, Any]], data: PageData) -> str:
    """What hinders a step most: no progress, something that it waits for, a refused route, a long way behind."""
    if troubled := next((step for step in steps if step.get("trouble")), None):
        return f"{troubled['step']} makes no progress: {troubled['trouble']}."
    if held := next((step for step in steps if step.get("waits") and step.get("lag_rows")), None):
        return f"{words.plural(held['lag_rows'], 'record waits', 'records wait')} for {held['step']}: {held['waits']}."
    if refusals := live.refusals(data.live):
        return refusals[0].sentence
    late = [step for step in steps if step["step"] in _LIVE_STEPS and not live.idle(step)]
    behind = [step for step in late if (step.get("lag_ms") or 0) > BEHIND_MS_MAX]
    names = words.listed([f"{step['step']} ({words.span(step['lag_ms'])})" for step in behind])
    return f"Falling behind: {names}." if behind else ""


def _pace(data: PageData) -> str:
    if all(live.idle(step) for _, step in live.steps(data.live, "score")):
        return "no request came in the last 10 s, and none waits"
    rate, p99, lag = (
        live.total(data.live, "score", "rows_per_s"),
        *(live.most(data.live, "score", key) for key in ("p99_ms", "lag_ms")),
    )
    pace = f"99 of 100 within {words.span(p99)}" if p99 is not None else f"{words.span(lag)} behind"
    return f"{words.figure(rate)} rows/s answered, {pace}"


def _nowhere(data: PageData, zone: tzinfo) -> Verdict:  # noqa: ARG001
    return Verdict("empty", "There is no such page.")


_SAY = {
    "fleet": _fleet,
    "model": _model,
    "column": _column,
    "incident": _incident,
    "pipeline": _pipeline,
    "nowhere": _nowhere,
}


def _severity(name: str) -> Severity:
    return name if name in ("watch", "warning", "critical") else "watch"  # type: ignore[return-value]


def _clock(ms: int | None, data: PageData, zone: tzinfo) -> str:
    return words.clock(ms, zone, beside=data.beside)


def _rendered(alert: dict[str, Any], since_ms: int, lead: str, data: PageData, zone: tzinfo) -> str:
    """An alert's text after a lead that says since when (``{}`` is the time); alone where it tells of another time."""

    def clock(ms: int) -> str:
        return _clock(ms, data, zone)

    if not leads(alert, since_ms):
        return rendered(alert, clock)
    return f"{lead.format(clock(since_ms))} {_small(rendered(alert, clock, since=False))}"


def _small(text: str) -> str:
    """A sentence as the continuation of another; a name in front keeps its capitals."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
