"""The fleet: which model needs me? A row a model, worst first."""

from datetime import tzinfo
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from dashboards import words
from dashboards.page import cards, clauses, live, parts
from dashboards.page.address import Address
from dashboards.page.alert_text import leads, rendered
from dashboards.page.page_data import PageData
from dashboards.panels import named

#: An estimate is not shown where a larger share of the rows lies outside the training data.
OUTSIDE_MAX = 0.1
START = "driftline model init NAME --data train.parquet --model model.pt2 --label y --score p"


def draw(data: PageData, zone: tzinfo) -> list[Component | None]:
    """The page beneath its sentence."""
    models = data.rows("fleet")
    panel, answer = named("fleet"), data.answers["fleet"]
    letters = data.rows("dead_letters")
    if not models and clauses.refused(letters):
        body = parts.blank(f"The newest: {letters[0]['example']}", "driftline dead-letters list")
        return [cards.card(panel, answer, body, wide=True)]
    if not models:
        body = parts.blank("Package a model, put it on a topic, and send a request; it appears here by itself.", START)
        return [cards.card(panel, answer, body, wide=True)]
    traffic = data.frame("fleet_traffic")
    lines = [_line(row, data, zone, _traffic(traffic, row["model"])) for row in models]
    return [cards.card(panel, answer, html.Ol(lines, className="models"), wide=True, note="worst first")]


def _traffic(traffic: Any, model: str) -> list[float]:
    return [float(value) for value in traffic.loc[traffic["model"] == model, "rows"]]


def _line(row: dict[str, Any], data: PageData, zone: tzinfo, rates: list[float]) -> Component:
    severity = row["severity"] if row["open_incidents"] else "quiet"
    link = Address(page="model", model=row["model"], last=data.address.last, root=data.address.root).href
    return html.Li(
        [
            html.Div(
                [
                    html.Div([dcc.Link(row["model"], href=link, className="name"), parts.chip(severity)]),
                    html.P(_verdict(row, data, zone)),
                ],
                className="who",
            ),
            parts.spark(rates, f"traffic of {row['model']}"),
            parts.figures(
                [
                    ("moved", f"{row['moved']} of {row['watched']}", "columns"),
                    _performance(row),
                    ("answered", words.figure(row["rows"]), _p99(data, row["model"])),
                    (
                        "behind",
                        live.behind(data.live, row["model"]),
                        _versions(row, data),
                    ),
                ]
            ),
        ],
        className=f"model model--{severity}",
    )


def _versions(row: dict[str, Any], data: PageData) -> str:
    """The version that serves now; where no worker says so, those that answered in this stretch of time."""
    if serving := live.serving(data.live, row["model"]):
        return f"serving {', '.join(serving)}"
    return f"answered by {row['versions']}" if row["rows"] else ""


def _p99(data: PageData, model: str) -> str:
    p99 = live.p99_ms(data.live, model)
    return f"p99 {words.span(p99)}" if p99 is not None else "rows"


def _verdict(row: dict[str, Any], data: PageData, zone: tzinfo) -> list[Component | str]:
    if row["open_incidents"]:
        link = Address(page="incident", incident=row["incident"], root=data.address.root).href
        if not leads(row, row["since"]):
            return [dcc.Link(rendered(row, lambda ms: words.clock(ms, zone, data.beside)), href=link)]
        return [
            "Since ",
            parts.moment(row["since"], zone, data.beside),
            ", ",
            dcc.Link(rendered(row, lambda ms: words.clock(ms, zone, data.beside), since=False), href=link),
        ]
    if row["incident"]:
        link = Address(page="incident", incident=row["incident"], root=data.address.root).href
        return ["No incident is open. Last one: ", dcc.Link(row["incident"], href=link), "."]
    return ["No incident is open." if row["watched"] else "No window has been judged yet."]


def _performance(row: dict[str, Any]) -> tuple[str, str, str]:
    if not row["rows"]:
        return ("performance", words.NOTHING, "no rows in this stretch")
    if not row["metric"]:
        return ("performance", words.NOTHING, "no labels yet")
    if row["realised"] is not None and row["coverage"]:
        beneath = f"{_trained(row)}labels cover {words.share(row['coverage'])}"
        return (words.metric(row["metric"]), words.figure(row["realised"]), beneath)
    if row["estimated"] is not None and (row["outside"] or 0.0) > OUTSIDE_MAX:
        beneath = f"in one column {words.share(row['outside'])} of the rows outside the reference data"
        return (f"{words.metric(row['metric'])} estimated", words.NOTHING, beneath)
    return (
        f"{words.metric(row['metric'])} estimated",
        words.figure(row["estimated"]),
        f"{words.figure(row['reference'])} in the reference",
    )


def _trained(row: dict[str, Any]) -> str:
    return f"{words.figure(row['reference'])} in the reference, " if row["reference"] is not None else ""
