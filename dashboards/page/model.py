"""One model: what moved, since when, does it hurt?"""

from datetime import tzinfo

import msgspec
from dash import dcc, html
from dash.development.base_component import Component

from dashboards import words
from dashboards.drift_map import ROWS_MAX
from dashboards.page import cards, live, parts
from dashboards.page.address import Address
from dashboards.page.chart_context import ChartContext
from dashboards.page.clauses import awaited, newest, primary
from dashboards.page.page_data import PageData
from dashboards.panels import named

_NOTHING = "No model of this name has answered in this stretch of time. Try a longer one, or look at the names."
_NO_WINDOW = "No window has closed; the first one does a minute after it ends."
_NO_ROWS = (
    "No prediction of this stretch of time is stored. Whether the sink runs, and how far it is, stands on Pipeline."
)
_FEW_LABELS = "When labels come is shown where at least 30 of them had come by the end of this stretch of time."
_NO_LABELS = "No labels yet: send them to the feedback topic as {id, label}, and they meet their predictions."


def draw(data: PageData, context: ChartContext) -> list[Component | None]:
    """The page beneath its sentence."""
    answers = data.answers
    if all(answer.frame.empty for answer in answers.values()):
        return [cards.plate("Nothing here", parts.blank(_NOTHING, "driftline model list"), wide=True)]
    shown = answers["performance"].frame
    metric = primary([str(name) for name in shown["metric"]]) if len(shown) else ""
    measured = msgspec.structs.replace(answers["performance"], frame=shown[shown["metric"] == metric])
    return [
        *parts.notices([refusal.reason for refusal in live.refusals(data.live, data.address.model)]),
        _figures(data),
        cards.chart(
            "drift_map",
            answers["drift_map"],
            context,
            wide=True,
            note=_left_out(data),
            empty=_NO_WINDOW,
            key=_key(),
        ),
        cards.chart("evidence", answers["evidence"], context, empty=_NO_WINDOW),
        cards.chart(
            "performance",
            measured,
            context,
            note=f"{words.metric(metric)}, {_coverage(data)}" if metric else "",
            empty=_NO_LABELS,
        ),
        cards.chart(
            "lag_curve",
            data.answers["lag_curve"],
            context,
            note=awaited(data.rows("lag_curve")),
            empty=_FEW_LABELS,
        ),
        cards.chart("score", answers["score"], context, note="median, middle half, nine in ten", empty=_NO_ROWS),
        cards.chart(
            "traffic",
            answers["traffic"],
            context,
            wide=True,
            note=f"rows in {words.span(data.over.interval_s * 1000)}",
            empty=_NO_ROWS,
        ),
        _incidents(data, context.zone),
        _versions(data, context.zone),
    ]


def _key() -> Component:
    entries = (("", "within the tolerance, darker is more"), ("drifted", "drifted"), ("incident", "incident"))
    return html.P([html.Span([html.I(className=look), text]) for look, text in entries], className="key")


def _coverage(data: PageData) -> str:
    covered = newest(data.rows("performance")).get("coverage")
    return f"labels cover {words.share(covered)}" if covered else "no labels yet"


def _left_out(data: PageData) -> str:
    frame = data.frame("drift_map")
    count = frame["column"].nunique()
    if count > ROWS_MAX:
        return f"the {ROWS_MAX} most moved of {count} columns"
    return "effect ÷ tolerance"


def _figures(data: PageData) -> Component:
    map_rows = data.rows("drift_map")
    latest = max((row["time"] for row in map_rows), default=0)
    last = [row for row in map_rows if row["time"] == latest]
    answered = sum(row["rows"] for row in data.rows("traffic"))
    evidence = {row["kind"]: row["evidence"] for row in data.rows("evidence")}
    now = newest(data.rows("performance"))
    trained = now.get("reference")
    return parts.figures(
        [
            ("columns moved", f"{sum(row['drifted'] for row in last)} of {len(last)}", ""),
            ("evidence", words.evidence(evidence.get("all")), f"of {words.figure(evidence.get('budget'))}"),
            (
                words.metric(now["metric"]) if now else "performance",
                words.figure(now.get("realised")),
                f"{words.figure(trained)} in the reference" if trained is not None else "",
            ),
            ("labels", words.share(now.get("coverage")), "of predictions" if now else "none yet"),
            ("answered", words.figure(answered), "rows shown"),
            *_latency(data),
        ]
    )


def _latency(data: PageData) -> list[tuple[str, str, str]]:
    model = data.address.model
    p99, behind = live.p99_ms(data.live, model), live.behind(data.live, model)
    shown = [("p99", words.span(p99), "request to answer")] if p99 is not None else []
    if behind == words.NOTHING:
        return shown
    return [*shown, ("behind", behind, "nothing waits" if behind == "idle" else "the newest request")]


def _incidents(data: PageData, zone: tzinfo) -> Component:
    end = data.beside
    at = Address(page="incident", root=data.address.root)
    lines = [
        [
            dcc.Link(row["incident"], href=at.go(incident=row["incident"]).href),
            parts.chip(
                row["severity"] if row["closed"] is None else "quiet", "" if row["closed"] is None else "closed"
            ),
            words.listed(row["columns"]),
            parts.moment(row["change_point"], zone, end),
            parts.moment(row["opened"], zone, end),
            "yes" if row["page"] else "no",
            words.evidence(row["evidence"]),
        ]
        for row in data.rows("incidents")
    ]
    headings = ("incident", "severity", "columns", "since", "opened", "paged", "evidence")
    body = parts.table(headings, lines, numbers=(6,)) if lines else parts.blank("No incident in this stretch of time.")
    return cards.card(named("incidents"), data.answers["incidents"], body, wide=True)


def _versions(data: PageData, zone: tzinfo) -> Component:
    end = data.beside
    lines = [
        [
            row["version"],
            row["route"],
            words.figure(row["rows"]),
            words.share(row["share"]),
            words.figure(row["mean_score"]),
            parts.moment(row["first_row"], zone, end),
            parts.moment(row["last_row"], zone, end),
        ]
        for row in data.rows("versions")
    ]
    headings = ("version", "route", "rows", "share", "mean score", "first row", "last row")
    body = parts.table(headings, lines, numbers=(2, 3, 4)) if lines else parts.blank(_NO_ROWS)
    return cards.card(named("versions"), data.answers["versions"], body, wide=True)
