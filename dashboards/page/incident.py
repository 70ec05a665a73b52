"""One incident: what do I do now?"""

import json
from datetime import tzinfo
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from dashboards import words
from dashboards.page import cards, clauses, parts
from dashboards.page.address import Address
from dashboards.page.alert_text import rendered
from dashboards.page.page_data import PageData
from dashboards.panels import named

#: Digits of a reference's id that tell it from others; its hover has them all.
_HASH = 8
#: Events of an incident's life that its time line shows: the first, and the newest.
_SHOWN_MAX = 40


def draw(data: PageData, zone: tzinfo) -> list[Component | None]:
    """The page beneath its sentence."""
    events = data.rows("incident")
    if not events:
        body = parts.blank("It may have been mistyped, or belong to another deployment.", "driftline incidents list")
        return [cards.card(named("incident"), data.answers["incident"], body, wide=True)]
    return [
        _facts(events[-1]),
        _time_line(data, events, zone),
        _commands(data, events),
        _columns(data, zone),
        _cost(data),
        _examples(data, zone),
    ]


def _time_line(data: PageData, events: list[dict[str, Any]], zone: tzinfo) -> Component:
    last, end = events[-1], data.beside

    def clock(ms: int) -> str:
        return words.clock(ms, zone, end)

    between = clauses.between(last, clock)
    steps = [(last["change_point"], "change point", between)]
    shown = events if len(events) <= _SHOWN_MAX else [*events[:1], *events[1 - _SHOWN_MAX :]]
    for event in shown:
        what = words.step(event["event"], str(event["act"]), event["reach"], bool(event["page"]))
        steps.append((event["time"], what, rendered(event, clock)))
    # The reason of an order is the text of the alert that it follows.
    of_text = {event["text"]: event for event in events}
    steps += [
        (row["time"], "retraining ordered", rendered(_reason(row, of_text), clock, since=False))
        for row in data.rows("incident_orders")
    ]
    steps += [
        (opinion["since"], f"{opinion['detector']} sees it", f"River's detector, in the mean {opinion['of']}")
        for opinion in _opinions(events)
        if opinion["since"] is not None
    ]
    lines = [
        html.Li([parts.moment(ms, zone, end), html.B(what), html.Span(beside)], className=what.replace(" ", "-"))
        for ms, what, beside in sorted(steps, key=lambda step: step[0])
    ]
    return cards.card(named("incident"), data.answers["incident"], html.Ol(lines, className="timeline"))


def _reason(order: dict[str, Any], events: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The alert whose text is the reason of an order; of another one, its reason alone."""
    return events.get(order["reason"], {"text": order["reason"]})


def _opinions(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What River's detectors said when they were last asked."""
    several = (json.loads(event["opinions"]) for event in reversed(events))
    return next((each for each in several if each), [])


def _commands(data: PageData, events: list[dict[str, Any]]) -> Component:
    """Commands that work on the incident as it stands; a replay's place in the log is `incidents show`'s to know."""
    last = events[-1]
    incident, model = data.address.incident, last["model"]
    commands = [
        ("See it in full, offline", f"driftline report --incident {incident} --reference-data TRAINING_TABLE"),
        ("What a replay of it would be, through another version", f"driftline incidents show {incident}"),
    ]
    if last["event"] != "close":
        commands += [
            ("Say that someone is on it", f"driftline incidents acknowledge {incident}"),
            ("Send nothing until then", f"driftline incidents mute {incident} --until 3d"),
            ("Take it as the new normal", f"driftline incidents rebaseline {incident}"),
        ]
    commands += [("Go back to the version before, if there is one", f"driftline model rollback {model}")]
    body = [html.Div([html.P(why), parts.copyable(command)], className="todo") for why, command in commands]
    return cards.plate("What to do", body, "What do I do now?")


def _columns(data: PageData, zone: tzinfo) -> Component:
    of = Address(page="column", model=data.address.model, root=data.address.root)
    end = data.beside
    lines = [
        [
            _name(of, row),
            clauses.shifted(row),
            f"{row['statistic'].upper()} {words.figure(row['effect'])}",
            words.interval(row["low"], row["high"]),
            words.figure(row["tolerance"]),
            words.evidence(row["evidence"]),
            words.figure(row["n"]),
            parts.moment(row["change_point"], zone, end),
        ]
        for row in data.rows("incident_columns")
    ]
    headings = ("column", "how", "effect", "interval", "tolerated", "evidence", "n", "since")
    body = parts.table(headings, lines, numbers=(2, 3, 4, 5, 6)) if lines else parts.blank("It names no column.")
    return cards.card(named("incident_columns"), data.answers["incident_columns"], body, wide=True)


def _name(of: Address, row: dict[str, Any]) -> Component | str:
    """A column's name, with the way to its page; the name of a loss, which has none."""
    if row["role"] == "performance":
        return words.metric(row["column"])
    return dcc.Link(row["column"], href=of.go(column=row["column"]).href)


def _cost(data: PageData) -> Component:
    lines = [
        [
            words.metric(row["metric"]),
            words.figure(row["reference"]),
            words.figure(row["realised_before"]),
            words.figure(row["realised_after"]),
            words.figure(row["estimated_before"]),
            words.figure(row["estimated_after"]),
            words.share(row["coverage"]),
        ]
        for row in data.rows("incident_cost")
    ]
    headings = (
        "metric",
        "in the reference",
        "before",
        "while open",
        "estimated before",
        "estimated while open",
        "labels",
    )
    empty = parts.blank("No performance is known around this incident: labels have not come, and nothing is estimated.")
    body = parts.table(headings, lines, numbers=range(1, 7)) if lines else empty
    return cards.card(named("incident_cost"), data.answers["incident_cost"], body, wide=True)


def _facts(last: dict[str, Any]) -> Component:
    return parts.figures(
        [
            ("model", last["model"], f"version {last['version']}"),
            ("kind", last["kind"], f"segment {last['segment'] or 'all'}"),
            ("evidence", words.evidence(last["evidence"]), f"of {words.figure(last['budget'])}"),
            ("reference", html.Span(last["reference"][:_HASH], title=last["reference"]), "what rows are compared with"),
        ]
    )


def _examples(data: PageData, zone: tzinfo) -> Component | None:
    moved = [row for row in data.rows("incident_columns") if row["role"] != "performance"]
    if not moved:
        return None
    body = cards.examples(data, moved[0]["column"], zone)
    return cards.card(named("examples"), data.answers["examples"], body, wide=True)
