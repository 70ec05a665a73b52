"""The pipeline: is the machine well?"""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from dash import html
from dash.development.base_component import Component

from dashboards import words
from dashboards.page import cards, live, parts
from dashboards.page.chart_context import ChartContext
from dashboards.page.page_data import PageData
from dashboards.panels import named

#: The path of a record: what comes in, the step, what goes out.
PATH = (
    ("requests", "score", "predictions, observations"),
    ("observations", "count", "counts"),
    ("feedback", "join", "outcomes, label sums"),
    ("counts", "judge", "reports, alerts, orders"),
    ("everything", "sink", "ClickHouse"),
)


def draw(data: PageData, context: ChartContext) -> list[Component | None]:
    """The page beneath its sentence."""
    return [
        *parts.notices([refusal.reason for refusal in live.refusals(data.live)]),
        _path(data),
        _versions(data),
        cards.chart("rates", data.answers["rates"], context, wide=True, note="by event time"),
        _delays(data, context.zone),
        _dead_letters(data, context.zone),
        _roles(data),
    ]


def _path(data: PageData) -> Component:
    boxes = [_box(data.live, came, step, leaves) for came, step, leaves in PATH]
    return cards.plate("The path of a record", html.Ol(boxes, className="path"), "Is the machine well?", wide=True)


def _box(now: live.Live, came: str, step: str, leaves: str) -> Component:
    running = [state for _, state in live.steps(now, step)]
    trouble = next((state["trouble"] for state in running if state.get("trouble")), "")
    waits = next((state["waits"] for state in running if state.get("waits")), "")
    rate, lag = live.total(now, step, "rows_per_s"), live.most(now, step, "lag_ms")
    at_rest = bool(running) and all(live.idle(state) for state in running)
    small: Sequence[tuple[str, str]] = (
        ("p99", words.span(live.most(now, step, "p99_ms"))),
        ("compute", words.span(live.most(now, step, "fold_ms"))),
        ("settle", words.span(live.most(now, step, "settle_ms"))),
        ("waiting", words.figure(live.total(now, step, "lag_rows"))),
    )
    state = "unknown" if not running else "troubled" if trouble else "well"
    return html.Li(
        [
            html.Span(came, className="came"),
            html.B(step),
            html.Span([words.figure(rate), html.Small(" rows/s")], className="rate"),
            html.Span("nothing waits" if at_rest or lag == 0 else f"{words.span(lag)} behind", className="lag"),
            html.Dl([html.Div([html.Dt(name), html.Dd(value)]) for name, value in small]),
            html.Span(trouble or waits or f"→ {leaves}", className="leaves"),
        ],
        className=f"box box--{state}",
    )


def _versions(data: PageData) -> Component | None:
    """What each worker's models do."""
    lines = [
        [
            role,
            f"{of['model']} {of['version']}",
            of["role"],
            words.figure(of["rows_per_s"]),
            words.figure(of["call_rows"]),
            words.figure(of["row_us"]),
            words.share(of["padding"]),
            words.share(of["busy"]),
            words.figure(of["failed"]),
        ]
        for role, step in live.steps(data.live, "score")
        for of in step.get("versions", [])
    ]
    if not lines:
        return None
    headings = (
        "worker",
        "version",
        "answers as",
        "rows/s",
        "rows a call",
        "µs a row",
        "padding",
        "busy",
        "rows failed",
    )
    body = parts.table(headings, lines, numbers=range(3, 9))
    return cards.plate("Models at work", body, "What do the models do, and where does their time go?", wide=True)


def _delays(data: PageData, zone: tzinfo) -> Component:
    lines = [
        [row["station"], parts.moment(row["newest"], zone, data.beside), words.span(row["behind_s"] * 1000)]
        for row in data.rows("delays")
    ]
    empty = parts.blank("The store holds nothing in this stretch of time.", "driftline doctor")
    body = parts.table(("station", "newest row", "behind"), lines, numbers=(2,), slim=True) if lines else empty
    return cards.card(named("delays"), data.answers["delays"], body, note="in the store, by event time")


def _dead_letters(data: PageData, zone: tzinfo) -> Component:
    lines: list[list[Any]] = [
        [
            row["reason"].replace("_", " "),
            row["stage"],
            words.figure(row["rows"]),
            parts.moment(row["last"], zone, data.beside),
            html.Code(row["example"]),
        ]
        for row in data.rows("dead_letters")
    ]
    headings = ("reason", "stage", "rows", "last", "example")
    body = parts.table(headings, lines, numbers=(2,)) if lines else parts.blank("Nothing was refused.")
    return cards.card(named("dead_letters"), data.answers["dead_letters"], body)


def _roles(data: PageData) -> Component | None:
    roles = data.live.get("roles", {})
    if not roles:
        return None
    pairs: list[tuple[str, Component | str | None, str]] = [
        (name, state.get("state", "up"), _beneath(state)) for name, state in roles.items()
    ]
    return cards.plate("Processes", parts.figures(pairs), "Which roles run?", wide=True)


def _beneath(state: dict[str, Any]) -> str:
    """What a process does, and where it can be found, as far as it says."""
    runs = ", ".join(step["step"] for step in state.get("steps", []))
    pid = f"pid {state['pid']}" if state.get("pid") else ""
    restarts = words.plural(state["restarts"], "restart") if state.get("restarts") else ""
    return " · ".join(filter(None, [runs, pid, restarts]))
